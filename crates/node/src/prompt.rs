//! The entry's part: feeding prompts, and what was produced after them, in chunks, and tokens when the exit is this node too.

use std::sync::Arc;

use computepool_core::ports::StepInput;
use tokio::sync::mpsc;

use crate::generation::{Generation, RingToken};
use crate::plane::Plane;

/// What the entry feeds of a prompt.
pub(crate) struct Prompt {
    /// The prompt, and what was produced of the answer before.
    pub(crate) tokens: Vec<u32>,
    /// The first position that the engine does not have.
    pub(crate) first: u32,
    /// Rows of one chunk; at least one.
    pub(crate) chunk_rows: u32,
}

impl Prompt {
    /// Feeds a generation until it is over: this, once it may begin, then what the ring brings.
    pub(crate) async fn run(
        self,
        plane: Arc<Plane>,
        generation: Arc<Generation>,
        ring: Option<mpsc::Receiver<RingToken>>,
    ) {
        let feeding = async {
            generation.begun.notified().await;
            let mut position = self.first;
            for chunk in self.tokens[self.first as usize..].chunks(self.chunk_rows as usize) {
                let end = position + chunk.len() as u32;
                generation.originate(end);
                let sample = end == generation.prompt_len;
                plane.step_of_prompt(&generation, position, sample, StepInput::Tokens(chunk.to_vec())).await;
                position = end;
            }
            drop(self.tokens);
            let Some(mut ring) = ring else { return };
            while let Some(RingToken { position, id }) = ring.recv().await {
                generation.originate(position + 1);
                plane.step(&generation, position, true, StepInput::Tokens(vec![id])).await;
            }
        };
        generation.over.run_until_cancelled(feeding).await;
    }
}
