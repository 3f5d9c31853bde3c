//! What the engine says, and who is told. Nothing here waits.

use std::sync::Arc;

use computepool_core::control::NodeMessage;
use computepool_core::ports::EngineEvent;
use computepool_core::{Activation, Fault, FaultCode, GenerationId, HopFrame, Lane, ShardInfo, TokenEvent};
use futures::StreamExt;

use crate::errands::engine_lost;
use crate::generation::{Generation, RingToken};
use crate::lane_out::Outgoing;
use crate::plane::Plane;
use crate::shard::Order;

/// Reads events until the engine's stream ends.
pub(crate) async fn run(plane: &Arc<Plane>) {
    let mut events = plane.engine.events().take().await;
    while let Some(event) = events.next().await {
        plane.handle(event);
    }
    tracing::error!("the engine's events ended");
    plane.engine_gone.cancel();
}

/// A step's answer, as far as all kinds share it.
struct Answer {
    position: u32,
    rows: u32,
    compute_us: u64,
}

impl Plane {
    fn handle(&self, event: EngineEvent) {
        match event {
            EngineEvent::Opened { generation } => self.handle_opened(generation),
            EngineEvent::Hidden { generation, position, sample, hidden, compute_us } => {
                let answer = Answer { position, rows: hidden.rows(), compute_us };
                self.handle_hidden(generation, answer, sample, hidden);
            }
            EngineEvent::Token { generation, position, rows, event, compute_us } => {
                let answer = Answer { position: position.saturating_sub(rows), rows, compute_us };
                self.handle_token(generation, answer, event);
            }
            EngineEvent::Absorbed { generation, position, rows, compute_us } => {
                self.handle_absorbed(generation, Answer { position, rows, compute_us });
            }
            EngineEvent::Failed { generation, fault } => self.handle_failed(generation, fault),
            EngineEvent::Closed { generation } => self.handle_closed(generation),
            EngineEvent::Down { fault } => self.handle_down(&fault),
            EngineEvent::Ready { info } => self.handle_ready(info),
        }
    }

    fn handle_opened(&self, id: GenerationId) {
        if self.generation(id).is_some_and(|generation| generation.admit()) {
            self.outbox.say(NodeMessage::GenerationOpened { generation: id });
        }
    }

    fn handle_hidden(&self, id: GenerationId, answer: Answer, sample: bool, hidden: Activation) {
        let Some(generation) = self.generation(id) else { return };
        let Answer { position, rows, compute_us } = answer;
        let Some(room) = generation.answered(position, rows, compute_us) else { return };
        let lane = if position < generation.prompt_len { Lane::Prefill } else { Lane::Decode };
        let frame = HopFrame::Activation { generation: id, position, sample, hidden };
        let sent = generation.session.send(lane, Outgoing { frame, generation: generation.clone(), room });
        if let Err(fault) = sent {
            self.fail_here(&generation, fault);
        }
    }

    fn handle_token(&self, id: GenerationId, answer: Answer, event: TokenEvent) {
        let Some(generation) = self.generation(id) else { return };
        let Answer { position, rows, compute_us } = answer;
        if generation.answered(position, rows, compute_us).is_none() {
            return;
        }
        let (token, finished, end) = (event.id, event.finish.is_some(), position.saturating_add(rows));
        if finished {
            generation.finish();
        }
        // Before the entry can have the token.
        generation.depart(end);
        if !self.outbox.token(NodeMessage::Token { generation: id, event }) {
            let fault = Fault::new(FaultCode::Stalled, "the orchestrator does not take the tokens sent to it");
            return self.fail_here(&generation, fault);
        }
        if !finished && let Err(fault) = self.return_token(&generation, end, token) {
            self.fail_here(&generation, fault);
        }
    }

    /// Sends a token to the entry, which may be this node.
    fn return_token(&self, generation: &Arc<Generation>, position: u32, id: u32) -> Result<(), Fault> {
        if position >= generation.max_len {
            let what = format!("the engine went on after all {} positions were used", generation.max_len);
            return Err(Fault::new(FaultCode::Internal, what));
        }
        match &generation.ring {
            Some(ring) => ring
                .try_send(RingToken { position, id })
                .map_err(|_| Fault::new(FaultCode::Internal, "the engine sampled two tokens at once")),
            None => {
                let frame = HopFrame::Token { generation: generation.id, position, id };
                generation.session.send(Lane::Return, Outgoing { frame, generation: generation.clone(), room: None })
            }
        }
    }

    fn handle_absorbed(&self, id: GenerationId, answer: Answer) {
        let Some(generation) = self.generation(id) else { return };
        // Its room is free again as soon as it is handed out here.
        drop(generation.answered(answer.position, answer.rows, answer.compute_us));
        generation.depart(answer.position.saturating_add(answer.rows));
    }

    fn handle_failed(&self, id: GenerationId, fault: Fault) {
        let Some(generation) = self.generation(id) else { return };
        generation.kv_freed();
        self.fail_here(&generation, fault);
        self.settle(&generation);
    }

    fn handle_closed(&self, id: GenerationId) {
        self.engine.freed(id);
        let Some(generation) = self.generation(id) else { return };
        generation.kv_freed();
        self.settle(&generation);
    }

    fn handle_down(&self, cause: &Fault) {
        tracing::warn!(%cause, "the engine is down");
        let lost = self.engine.down();
        let fault = engine_lost(cause);
        self.count(&fault);
        self.lose_generations(&fault);
        if let Some(Order { assignment, spec, .. }) = self.assigned()
            && lost == Some(spec)
        {
            self.outbox.say(NodeMessage::ShardDown { assignment, fault });
        }
    }

    /// Everything that was open on the engine is gone.
    pub(crate) fn lose_generations(&self, fault: &Fault) {
        for generation in self.all_generations() {
            generation.kv_freed();
            self.fail(&generation, fault.clone());
            self.settle(&generation);
        }
    }

    fn handle_ready(&self, info: ShardInfo) {
        tracing::info!(layers = %info.layers, "the engine is back");
        if self.engine.back(&info)
            // While the weights of another shard are fetched, this one is no longer what was asked for.
            && let Some(Order { assignment, spec, .. }) = self.assigned()
            && (spec.model, spec.layers) == (info.model, info.layers)
        {
            self.outbox.say(NodeMessage::ShardReady { assignment, info });
        }
    }
}
