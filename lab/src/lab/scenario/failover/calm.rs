//! Answers that nothing happens to: how long they take, and that they are right to begin with.

use std::time::Duration;

use crate::lab::answer::{Answer, Difference, median};
use crate::lab::network::{Asker, Reference};
use crate::lab::outcome::{Failure, Findings};
use crate::lab::scenario::{ms, note};

/// What one question usually takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// To the first token, of any question: the very first also waited for the route's connections to be made.
    pub(super) first: Duration,
    /// To the end.
    pub(super) took: Duration,
}

/// What all take.
pub(super) struct Calm {
    took: Vec<Duration>,
    first: Duration,
    token_time: Duration,
    pause: Duration,
}

impl Calm {
    /// Asks every question once. Answers that are not right are found here already, and so not blamed on losses.
    pub(super) async fn of(asker: &Asker, reference: &Reference, findings: &mut Findings) -> Result<Self, Failure> {
        let (mut answers, mut took) = (Vec::new(), Vec::new());
        for number in 0..reference.len() {
            let (question, right) = reference.pair(number);
            let answer = asker.ask(question).await;
            if let Some(error) = &answer.error {
                return Err(Failure::new(format!("undisturbed, {:?} fails: {error}", question.text)));
            }
            let difference = Difference::between(right, &answer);
            let what = format!("undisturbed, {:?} differs from the unsharded answer: {difference:?}", question.text);
            findings.expect(difference == Difference::default(), what);
            took.push(answer.took);
            answers.push(answer);
        }
        let of = |figure: &dyn Fn(&Answer) -> Duration| answers.iter().map(figure).collect::<Vec<_>>();
        let first = median(&of(&|answer| answer.first().unwrap_or(answer.took)));
        let token_time = median(&of(&Answer::token_time));
        // The first answer's wait for connections is no pause of an answer.
        let longest = of(&|answer| answer.pause(answer.first().unwrap_or_default()));
        let pause = longest.into_iter().max().unwrap_or_default();
        Ok(Self { took, first, token_time, pause })
    }

    /// What the question with this number takes, counted round and round.
    pub(super) fn of_question(&self, number: usize) -> Usual {
        Usual { first: self.first, took: self.took[number % self.took.len()] }
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
        note(format!(
            "undisturbed: {} answers, {} ms to the first token, {} ms from one to the next, longest pause {} ms",
            self.took.len(),
            ms(self.first),
            ms(self.token_time),
            ms(self.pause)
        ));
    }
}
