//! Compiles grammars beside the steps: the first one on a model takes half a second, and nobody's tokens wait for it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use computepool_core::{Constraint, Fault, FaultCode, GenerationId};

use crate::constraint::{ConstraintState, Grammar};

/// Grammars that may wait to be compiled; at worst each takes most of a second, and a generation must open in time.
const QUEUE: usize = 16;

/// A constraint, and the tokens that its generation has produced already.
type Job = (GenerationId, Constraint, Vec<u32>);

type Compiled = (GenerationId, Result<ConstraintState, Fault>);

/// One thread with the grammars of one model.
pub(crate) struct Compiler {
    jobs: SyncSender<Job>,
    results: Receiver<Compiled>,
    under_way: usize,
}

impl Compiler {
    /// Starts the thread; it ends with the compiler.
    pub(crate) fn start(grammar: Arc<Grammar>) -> Result<Self, Fault> {
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        let (done, results) = sync_channel(QUEUE);
        let work = move || {
            for (generation, constraint, produced) in queue {
                let compiled = grammar.compile(&constraint).and_then(|state| state.after(&produced));
                if done.send((generation, compiled.map_err(Fault::from))).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("grammars".to_owned())
            .spawn(work)
            .map_err(|error| Fault::new(FaultCode::Io, format!("no thread could be started: {error}")))?;
        Ok(Self { jobs, results, under_way: 0 })
    }

    /// Hands over a constraint, to be brought past what was produced before; its result comes out of [`Self::fetch`].
    pub(crate) fn compile(
        &mut self,
        generation: GenerationId,
        constraint: Constraint,
        produced: Vec<u32>,
    ) -> Result<(), Fault> {
        self.jobs.try_send((generation, constraint, produced)).map_err(|_| {
            Fault::new(FaultCode::NoCapacity, "too many grammars wait to be compiled").retry_after_ms(1000)
        })?;
        self.under_way += 1;
        Ok(())
    }

    /// Whether results are still to come.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// The next result; waits up to `patience` for it.
    pub(crate) fn fetch(&mut self, patience: Duration) -> Option<Compiled> {
        if !self.is_busy() {
            return None;
        }
        match self.results.recv_timeout(patience) {
            Ok(compiled) => {
                self.under_way -= 1;
                Some(compiled)
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                self.under_way = 0;
                None
            }
        }
    }
}
