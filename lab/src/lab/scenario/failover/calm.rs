//! Answers that nothing happens to: how long they take, and that they are right to begin with.

use std::time::Duration;

use crate::lab::answer::{Difference, median};
use crate::lab::network::{Asker, Reference};
use crate::lab::outcome::{Failure, Findings};
use crate::lab::scenario::{ms, note};

/// What one question usually takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// To the first token.
    pub(super) first: Duration,
    /// To the end.
    pub(super) took: Duration,
}

/// What all take.
pub(super) struct Calm {
    usual: Vec<Usual>,
    token_time: Duration,
    pause: Duration,
}

impl Calm {
    /// Asks every question once. Answers that are not right are found here already, and so not blamed on losses.
    pub(super) async fn of(asker: &Asker, reference: &Reference, findings: &mut Findings) -> Result<Self, Failure> {
        let (mut usual, mut token_times, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..reference.len() {
            let (question, right) = reference.pair(number);
            let answer = asker.ask(question).await;
            if let Some(error) = &answer.error {
                return Err(Failure::new(format!("undisturbed, {:?} fails: {error}", question.text)));
            }
            let difference = Difference::between(right, &answer);
            let what = format!("undisturbed, {:?} differs from the unsharded answer: {difference:?}", question.text);
            findings.expect(difference == Difference::default(), what);
            let first = answer.first().unwrap_or_default();
            usual.push(Usual { first, took: answer.took });
            token_times.push(answer.token_time());
            pauses.push(answer.pause(first));
        }
        let pause = pauses.into_iter().max().unwrap_or_default();
        Ok(Self { usual, token_time: median(&token_times), pause })
    }

    /// What the question with this number takes, counted round and round.
    pub(super) fn of_question(&self, number: usize) -> Usual {
        self.usual[number % self.usual.len()]
    }

    /// From one token to the next.
    pub(super) fn token_time(&self) -> Duration {
        self.token_time
    }

    /// The longest pause of an undisturbed answer.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// In one line.
    pub(super) fn print(&self) {
        let firsts: Vec<Duration> = self.usual.iter().map(|usual| usual.first).collect();
        note(format!(
            "undisturbed: {} answers, {} ms to the first token, {} ms from one to the next, longest pause {} ms",
            self.usual.len(),
            ms(median(&firsts)),
            ms(self.token_time),
            ms(self.pause)
        ));
    }
}
