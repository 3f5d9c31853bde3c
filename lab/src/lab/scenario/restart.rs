//! The orchestrator is killed while it answers, and comes back: it knows its nodes and pools, serves again, and the
//! answer that it was killed in does not pretend to have ended.

use std::time::{Duration, Instant};

use super::{Settings, as_user, expect_order, note, questions, seconds};
use crate::lab::answer::{Answer, Difference};
use crate::lab::network::{FORM, Layers, Network, NodeStatus, Pool, Reference, Status};
use crate::lab::outcome::{Failure, Findings, Outcome};
use crate::lab::world::World;

/// Tokens of the answers, and when in its time the orchestrator is killed.
const TOKENS: u32 = 64;
const MOMENT: f64 = 0.4;

/// Times that it is killed.
const ROUNDS: usize = 3;

/// It must serve again in this time.
const BOUND: Duration = Duration::from_secs(30);

pub(super) fn run(settings: &Settings) -> Outcome {
    let world = World::build(&settings.plans(), settings.seed)?;
    let state = settings.fresh_folder("orchestrator-state")?.display().to_string();
    as_user(&world, async || {
        let (mut findings, pool) = (Findings::default(), Pool::default());
        let question = questions::one(TOKENS);
        let reference = Reference::of(&world, &settings.programs, pool, vec![question.clone()]).await?;
        let right = reference.pair(0).1;
        let mut network = Network::start(&world, &settings.programs, pool, Some(state)).await?;
        network.join_all().await?;
        network.whole(FORM).await?;
        let asker = network.asker();
        let usual = asker.ask(&question).await;
        let mut slowest = Duration::ZERO;
        for round in 1..=ROUNDS {
            let before = places(&asker.status().await?);
            let kill = async {
                tokio::time::sleep(usual.took.mul_f64(MOMENT)).await;
                network.orchestrator().kill().await;
            };
            let (broken, ()) = tokio::join!(asker.ask(&question), kill);
            findings.expect(
                is_truthful(&broken, right),
                format!("an answer that was broken off ended as {:?}", broken.finish),
            );
            let killed = Instant::now();
            network.restart_orchestrator().await?;
            let answer = loop {
                let answer = asker.ask(&question).await;
                if answer.error.is_none() {
                    break answer;
                }
                if killed.elapsed() > FORM {
                    return Err(Failure::new(format!(
                        "no answer after a restart: {}",
                        answer.error.unwrap_or_default()
                    )));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            };
            let again = answer.began.duration_since(killed) + answer.first().unwrap_or(answer.took);
            slowest = slowest.max(again);
            let difference = Difference::between(right, &answer);
            findings.expect(difference == Difference::default(), format!("after a restart: {difference:?}"));
            network.whole(FORM).await?;
            let after = places(&asker.status().await?);
            let moved = after.iter().filter(|place| !before.contains(place));
            let moved: Vec<String> = moved.map(|place| format!("{} to {:?}", place.name, place.layers)).collect();
            findings.expect(before == after, format!("after a restart nodes have moved: {}", moved.join(", ")));
            note(format!(
                "restart {round}: broken off after {} tokens with finish {:?} and {:?}; first token of the next answer \
                 {} s after the kill; places as before: {}",
                broken.tokens.len(),
                broken.finish,
                broken.error.unwrap_or_default(),
                seconds(again),
                before == after,
            ));
        }
        findings.expect(slowest <= BOUND, format!("{} s until it served again", seconds(slowest)));
        findings.figures.add("restarts", ROUNDS);
        findings.figures.add("restart_serves_max_s", seconds(slowest));
        expect_order(&mut findings, &network.leave().await);
        Ok(findings)
    })
}

/// Whether the end is what it says: everything, or a beginning of it and no claim to have ended.
fn is_truthful(broken: &Answer, right: &Answer) -> bool {
    let whole = broken.tokens.len() == right.tokens.len() && broken.finish == right.finish;
    let claims = matches!(broken.finish.as_deref(), Some("stop" | "length" | "tool_calls"));
    whole || !claims
}

/// Who holds which layers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    node: String,
    name: String,
    layers: Option<(u32, u32)>,
}

fn places(status: &Status) -> Vec<Place> {
    let range = |layers: Layers| (layers.start, layers.end);
    let place =
        |node: &NodeStatus| Place { node: node.node.clone(), name: node.name.clone(), layers: node.layers.map(range) };
    let mut places: Vec<_> = status.nodes.iter().map(place).collect();
    places.sort();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_answer_may_not_claim_to_have_ended() {
        let answer = |finish: Option<&str>, error: Option<&str>| {
            let mut answer = Answer::new(Instant::now());
            (answer.finish, answer.error) = (finish.map(str::to_owned), error.map(str::to_owned));
            answer
        };
        let mut right = answer(Some("length"), None);
        right.tokens.push(crate::lab::answer::Token { bytes: vec![1], logprob: 0.0, at: Duration::ZERO });
        assert!(is_truthful(&right, &right));
        assert!(is_truthful(&answer(None, Some("the connection broke")), &right));
        assert!(is_truthful(&answer(Some("error"), None), &right));
        assert!(!is_truthful(&answer(Some("stop"), None), &right));
    }
}
