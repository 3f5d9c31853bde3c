//! Six homes join with nothing but an invite link, the ring forms, and a chat answers.

use std::time::{Duration, Instant};

use super::{Settings, as_user, expect_order, note, questions, seconds, view};
use crate::lab::answer::Difference;
use crate::lab::network::{FORM, Network, Pool, Reference};
use crate::lab::outcome::{Failure, Findings, Outcome};
use crate::lab::world::World;

/// How often the first question is tried until it is answered.
const TRY: Duration = Duration::from_millis(100);

pub(super) fn run(settings: &Settings) -> Outcome {
    let world = World::build(&settings.plans(), settings.seed)?;
    as_user(&world, async || {
        let mut findings = Findings::default();
        let question = questions::one(32);
        let pool = Pool::default();
        let reference = Reference::of(&world, &settings.programs, pool, vec![question.clone()]).await?;
        let mut network = Network::start(&world, &settings.programs, pool, None).await?;
        let last = world.homes().len() - 1;
        for home in 0..last {
            network.join(home, 1).await?;
        }
        let started = Instant::now();
        network.join(last, 1).await?;
        let asker = network.asker();
        let answer = loop {
            let answer = asker.ask(&question).await;
            if answer.error.is_none() {
                break answer;
            }
            if started.elapsed() > FORM {
                let why = answer.error.unwrap_or_default();
                return Err(Failure::new(format!("no answer within {} s: {why}", FORM.as_secs())));
            }
            tokio::time::sleep(TRY).await;
        };
        let first = answer.began.duration_since(started) + answer.first().unwrap_or(answer.took);
        note(format!("first token {} s after the last node was started: {:?}", seconds(first), answer.text));
        let difference = Difference::between(reference.pair(0).1, &answer);
        findings.expect(difference == Difference::default(), format!("the first answer differs: {difference:?}"));

        network.whole(FORM).await?;
        let whole = started.elapsed();
        note(format!("every node serves and each place has a spare after {} s", seconds(whole)));
        let status = asker.status().await?;
        view::print_nodes(&status);
        view::print_paths(&status);
        if let Some(advice) = status.pool().and_then(|pool| pool.advice.as_deref()) {
            note(advice);
        }
        let again = asker.ask(&question).await;
        note(format!(
            "then {} ms to the first token, {} ms from one to the next",
            super::ms(again.first().unwrap_or_default()),
            super::ms(again.token_time())
        ));
        findings.figures.add("forming_nodes", world.homes().len());
        findings.figures.add("forming_first_token_s", seconds(first));
        findings.figures.add("forming_whole_s", seconds(whole));
        expect_order(&mut findings, &network.leave().await);
        Ok(findings)
    })
}
