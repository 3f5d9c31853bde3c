//! The entry's part: feeding prompts, and what was produced after them, in chunks, and tokens when the exit is this node too.

use std::sync::Arc;

use computepool_core::ports::StepInput;
use tokio::sync::mpsc;

use crate::generation::{Generation, RingToken};
use crate::plane::Plane;

/// Feeds a generation until it is over: `tokens` from the position `first` on, then what the ring brings.
pub(crate) async fn feed(
    plane: Arc<Plane>,
    generation: Arc<Generation>,
    tokens: Vec<u32>,
    first: u32,
    ring: Option<mpsc::Receiver<RingToken>>,
) {
    let feeding = async {
        generation.begun.notified().await;
        let limits = &generation.session.ticket.limits;
        let rows = plane.options.chunk_rows.min(limits.max_rows).max(1);
        let mut position = first;
        for chunk in tokens[first as usize..].chunks(rows as usize) {
            let end = position + chunk.len() as u32;
            generation.originate(end);
            let sample = end == generation.prompt_len;
            plane.step_of_prompt(&generation, position, sample, StepInput::Tokens(chunk.to_vec())).await;
            position = end;
        }
        drop(tokens);
        let Some(mut ring) = ring else { return };
        while let Some(RingToken { position, id }) = ring.recv().await {
            generation.originate(position + 1);
            plane.step(&generation, position, true, StepInput::Tokens(vec![id])).await;
        }
    };
    generation.over.run_until_cancelled(feeding).await;
}
