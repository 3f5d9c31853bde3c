//! How generations and their legs end: told once, closed everywhere, accounted for.

use std::collections::BTreeSet;

use computepool_core::control::OrchestratorMessage;
use computepool_core::{Fault, FaultCode, GenerationEvent, GenerationId, NodeId, SessionId, SignedReceipt, Usage};

use super::Turn;
use super::generation::{Ending, Phase};
use super::legs::LegPhase;
use crate::{Cancelling, Loss, Violation};

impl Turn<'_> {
    pub(super) fn cancel(&mut self, id: GenerationId, why: Cancelling) {
        let loss = match why {
            Cancelling::Dropped => Loss::Dropped,
            Cancelling::Unread => Loss::Unread,
        };
        self.fail(id, loss);
    }

    /// Tells the client that a generation failed, unless it has been told an end, and closes it wherever it was opened.
    pub(super) fn fail(&mut self, of: GenerationId, loss: Loss) {
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        if !generation.is_untold() {
            return;
        }
        generation.phase = Phase::Ending(Ending::Told);
        self.tell_failed(of, loss);
        self.close_legs(of);
        self.shown();
    }

    /// Every token has been given: the client hears the end when all is accounted for.
    pub(super) fn finish(&mut self, of: GenerationId) {
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        generation.phase = Phase::Ending(Ending::Finished);
        self.close_legs(of);
    }

    fn close_legs(&mut self, of: GenerationId) {
        let Some(generation) = self.state.generations.get(&of) else { return };
        for leg in generation.legs.iter().copied().collect::<Vec<_>>() {
            self.learn(leg);
            self.close_leg(leg);
            self.disown(leg);
        }
        self.end_if_accounted(of);
    }

    fn tell_failed(&mut self, of: GenerationId, loss: Loss) {
        let fault = Fault::from(loss);
        self.record_end(of, Some(fault.code));
        self.tell(of, GenerationEvent::Failed(fault));
    }

    /// Has every hop stop, free its KV and account for a leg.
    pub(super) fn close_leg(&mut self, id: GenerationId) {
        let deadline_ms = self.now_ms.saturating_add(self.state.limits.close_ms);
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&leg.session) else { return };
        let waiting: BTreeSet<usize> = match leg.phase {
            LegPhase::Closing { .. } => return,
            LegPhase::AwaitingSession => BTreeSet::new(),
            LegPhase::Opening { .. } | LegPhase::Running { .. } => session.present().map(|(place, _)| place).collect(),
        };
        leg.phase = LegPhase::Closing { waiting: waiting.clone(), deadline_ms, adopted: false };
        self.send_close(id, &waiting);
        self.forget_leg_if_accounted(id);
    }

    /// Expects every hop to account for a leg whose KV another one takes over.
    pub(super) fn adopted(&mut self, id: GenerationId) {
        let deadline_ms = self.now_ms.saturating_add(self.state.limits.generation_open_ms);
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&leg.session) else { return };
        let waiting = session.present().map(|(place, _)| place).collect();
        leg.phase = LegPhase::Closing { waiting, deadline_ms, adopted: true };
        self.forget_leg_if_accounted(id);
    }

    /// Tells the named hops of a leg's route to close it.
    pub(super) fn send_close(&mut self, id: GenerationId, hops: &BTreeSet<usize>) {
        let Some(leg) = self.state.legs.get(&id) else { return };
        let Some(session) = self.state.sessions.get(&leg.session) else { return };
        for (_, hop) in session.present().filter(|(place, _)| hops.contains(place)) {
            let message = OrchestratorMessage::CloseGeneration { generation: id };
            self.effects.push(crate::Effect::Send(hop.node.clone(), message));
        }
    }

    pub(super) fn closed(&mut self, node: &NodeId, id: GenerationId, receipt: Option<SignedReceipt>) {
        let Some(place) = self.place_in(node, id) else { return };
        let Some(leg) = self.state.legs.get_mut(&id) else { return };
        let LegPhase::Closing { waiting, .. } = &mut leg.phase else {
            // Its KV is free before anybody asked: nothing can come of this any more.
            return self.violated(node, id, Violation::Unasked("a closed generation"));
        };
        if !waiting.remove(&place) {
            return self.strike(node, &Violation::Unasked("a closed generation"));
        }
        let (of, number) = (leg.generation, leg.number);
        if let Some(receipt) = receipt {
            match self.check_receipt(node, id, place, &receipt) {
                Ok(()) => {
                    if let Some(generation) = self.state.generations.get_mut(&of) {
                        generation.keep_receipt(number, place, receipt);
                    }
                }
                Err(what) => self.strike(node, &Violation::Receipt(what)),
            }
        }
        self.forget_leg_if_accounted(id);
    }

    fn check_receipt(
        &self,
        node: &NodeId,
        id: GenerationId,
        place: usize,
        signed: &SignedReceipt,
    ) -> Result<(), &'static str> {
        let receipt = &signed.receipt;
        let session_id = self.state.legs.get(&id).map(|leg| leg.session);
        let session = session_id.and_then(|id| self.state.sessions.get(&id)).ok_or("its session is over")?;
        let model = self.state.pools[session.pool].settings.summary.hash;
        match () {
            () if &receipt.node != node => Err("it names another node"),
            () if receipt.generation != id => Err("it names another generation"),
            () if Some(receipt.session) != session_id => Err("it names another session"),
            () if receipt.layers != session.hops[place].layers => Err("it names other layers"),
            () if receipt.model != model => Err("it names other weights"),
            () if !signed.holds(self.state.verifier.as_ref()) => Err("its signature is not valid"),
            () => Ok(()),
        }
    }

    /// A node is gone: no leg of the session waits for its account any more.
    pub(super) fn hop_gone(&mut self, session: SessionId, node: &NodeId) {
        let Some(it) = self.state.sessions.get(&session) else { return };
        let Some(place) = it.hops.iter().position(|hop| &hop.node == node) else { return };
        for id in it.legs.iter().copied().collect::<Vec<GenerationId>>() {
            if let Some(LegPhase::Closing { waiting, .. }) = self.state.legs.get_mut(&id).map(|it| &mut it.phase) {
                waiting.remove(&place);
                self.forget_leg_if_accounted(id);
            }
        }
    }

    /// Waits no longer for the accounts of a leg.
    pub(super) fn stop_waiting(&mut self, id: GenerationId) {
        self.disown(id);
        if let Some(LegPhase::Closing { waiting, .. }) = self.state.legs.get_mut(&id).map(|it| &mut it.phase) {
            waiting.clear();
        }
        self.forget_leg_if_accounted(id);
    }

    fn forget_leg_if_accounted(&mut self, id: GenerationId) {
        let accounted = |phase: &LegPhase| matches!(phase, LegPhase::Closing { waiting, .. } if waiting.is_empty());
        if !self.state.legs.get(&id).is_some_and(|leg| accounted(&leg.phase)) {
            return;
        }
        let Some(leg) = self.state.legs.remove(&id) else { return };
        if let Some(session) = self.state.sessions.get_mut(&leg.session) {
            session.legs.remove(&id);
            session.used_ms = self.now_ms;
        }
        if let Some(generation) = self.state.generations.get_mut(&leg.generation) {
            generation.legs.remove(&id);
        }
        self.end_if_accounted(leg.generation);
        self.close_if_done(leg.session);
    }

    /// Forgets an ending generation once all its legs are accounted for.
    fn end_if_accounted(&mut self, of: GenerationId) {
        let Some(generation) = self.state.generations.get_mut(&of) else { return };
        let Phase::Ending(ending) = &mut generation.phase else { return };
        if !generation.legs.is_empty() {
            return;
        }
        match std::mem::replace(ending, Ending::Told) {
            Ending::Told => {}
            Ending::Suspected(loss) => self.tell_failed(of, loss),
            Ending::Finished => {
                let receipts = std::mem::take(&mut generation.receipts).into_values().collect();
                let (prompt_tokens, completion_tokens) = (generation.prompt_len(), generation.tokens());
                let usage = Usage { prompt_tokens, completion_tokens, receipts };
                self.record_end(of, None);
                self.tell(of, GenerationEvent::Ended(usage));
            }
        }
        self.state.generations.remove(&of);
        self.shown();
    }

    /// Writes down that a client was told an end.
    fn record_end(&mut self, generation: GenerationId, fault: Option<FaultCode>) {
        let Some(tokens) = self.state.generations.get(&generation).map(|it| it.tokens()) else { return };
        let at_ms = self.now_ms;
        self.write(|| computepool_core::ports::Record::GenerationEnded { generation, at_ms, tokens, fault });
    }
}
