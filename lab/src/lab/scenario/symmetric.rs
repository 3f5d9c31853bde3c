//! Homes that cannot reach each other are served through the relay, correctly and visibly.

use super::{Settings, as_user, expect_order, note, questions, view};
use crate::lab::answer::Difference;
use crate::lab::network::{FORM, Network, Pool, Reference};
use crate::lab::outcome::{Findings, Outcome};
use crate::lab::world::{HomePlan, Link, Nat, Public, World};

/// One home for every shard: the route has no choice.
const HOMES: usize = 3;

const TOKENS: u32 = 48;

pub(super) fn run(settings: &Settings) -> Outcome {
    let plan = HomePlan { nat: Nat::Symmetric, link: Link::between_homes(settings.rtt) };
    let world = World::build(&[plan; HOMES], settings.seed)?;
    as_user(&world, async || {
        let (mut findings, pool) = (Findings::default(), Pool::default());
        let questions = questions::all(TOKENS);
        let reference = Reference::of(&world, &settings.programs, pool, questions[..4].to_vec()).await?;
        let mut network = Network::start(&world, &settings.programs, pool, None).await?;
        network.join_all().await?;
        network.whole(FORM).await?;
        let asker = network.asker();
        let (relay, orchestrator) = (world.public(Public::Relay), world.public(Public::Orchestrator));
        let before = (relay.traffic("eth0")?, orchestrator.traffic("eth0")?);
        let (mut wrong, mut tokens) = (0, 0);
        for number in 0..reference.len() {
            let (question, right) = reference.pair(number);
            let answer = asker.ask(question).await;
            let difference = Difference::between(right, &answer);
            let fine = difference == Difference::default() && answer.error.is_none();
            wrong += usize::from(!fine);
            tokens += answer.tokens.len();
            findings.expect(fine, format!("{:?} through the relay: {difference:?} {:?}", question.text, answer.error));
        }
        let through = (relay.traffic("eth0")? - before.0, orchestrator.traffic("eth0")? - before.1);
        let status = asker.status().await?;
        view::print_nodes(&status);
        view::print_paths(&status);
        note(format!(
            "{tokens} tokens: {:.2} MB went through the relay, {:.2} MB through the orchestrator's host",
            through.0 as f64 / 1e6,
            through.1 as f64 / 1e6
        ));
        findings.expect(through.0 > through.1, "the activations did not go through the relay");
        let said = status.nodes.iter().filter(|node| node.reach == "relayed").count();
        findings.expect(said == HOMES, format!("{said} of {HOMES} nodes say that they are reached through a relay"));
        let links: Vec<_> = status.nodes.iter().flat_map(|node| &node.links).collect();
        let relayed = links.iter().filter(|link| link.kind == "relayed").count();
        let visible = relayed > 0 && relayed == links.len();
        findings.expect(visible, format!("{relayed} of {} paths are shown as relayed", links.len()));
        findings.figures.add("symmetric_answers", reference.len());
        findings.figures.add("symmetric_wrong", wrong);
        findings.figures.add("symmetric_relayed_paths", relayed);
        expect_order(&mut findings, &network.leave().await);
        Ok(findings)
    })
}
