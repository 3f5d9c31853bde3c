//! Handing rows to the engine.

use std::sync::Arc;

use computepool_core::ports::{EngineCommand, StepInput};

use crate::errands::engine_lost;
use crate::generation::Generation;
use crate::plane::Plane;

impl Plane {
    /// Hands rows of a prompt to the engine as soon as there is room for them; drops them when the generation ends
    /// before.
    pub(crate) async fn step_of_prompt(
        &self,
        generation: &Arc<Generation>,
        position: u32,
        sample: bool,
        input: StepInput,
    ) {
        let waiting = generation.over.run_until_cancelled(generation.session.room(input.rows()));
        if let Some(Some(room)) = waiting.await
            && generation.keep(room)
        {
            self.step(generation, position, sample, input).await;
        }
    }

    /// Hands rows to the engine; waits while its queue is full.
    pub(crate) async fn step(&self, generation: &Arc<Generation>, position: u32, sample: bool, input: StepInput) {
        let command = EngineCommand::Step { generation: generation.id, position, sample, input };
        if let Err(fault) = self.engine.engine().send(command).await {
            self.fail_here(generation, engine_lost(&fault));
        }
    }
}
