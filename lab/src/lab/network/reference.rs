//! What the answers should be: those of one node that holds the whole model, on the loopback, undisturbed.

use std::time::{Duration, Instant};

use super::asker::{Asker, Question};
use super::process::Process;
use super::programs::{HTTP, Pool, Programs};
use super::texts;
use crate::lab::answer::Answer;
use crate::lab::outcome::Failure;
use crate::lab::world::{Public, World};

const LOAD: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Questions with their right answers.
pub(crate) struct Reference(Vec<(Question, Answer)>);

impl Reference {
    /// Asks a network of one every question, and lets it go again.
    pub(crate) async fn of(
        world: &World,
        programs: &Programs,
        pool: Pool,
        questions: Vec<Question>,
    ) -> Result<Self, Failure> {
        let (host, program, logs) = (world.public(Public::User), &programs.computepool, &programs.folder);
        let arguments = programs.solo_orchestrator(pool);
        let (orchestrator, ready) = Process::start(host, "solo-orchestrator", program, &arguments, logs).await?;
        let arguments = programs.solo_node(&texts(&ready["addresses"]));
        let (node, _) = Process::start(host, "solo-node", program, &arguments, logs).await?;
        let asker = Asker::new(format!("http://127.0.0.1:{HTTP}/v1"))?;
        let start = Instant::now();
        while !asker.status().await.is_ok_and(|status| status.nodes.iter().any(|node| node.phase == "ready")) {
            if start.elapsed() > LOAD {
                return Err(Failure::new(format!("the reference did not load:\n{}", node.last_words())));
            }
            tokio::time::sleep(LOOK).await;
        }
        let mut answers = Vec::new();
        for question in questions {
            let answer = asker.ask(&question).await;
            if let Some(error) = &answer.error {
                return Err(Failure::new(format!("no reference for {:?}: {error}", question.text)));
            }
            answers.push((question, answer));
        }
        node.leave().await;
        orchestrator.leave().await;
        Ok(Self(answers))
    }

    /// The question and answer with this number, counted round and round.
    pub(crate) fn pair(&self, number: usize) -> (&Question, &Answer) {
        let (question, answer) = &self.0[number % self.0.len()];
        (question, answer)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
