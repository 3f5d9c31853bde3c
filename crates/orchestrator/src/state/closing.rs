//! How generations end: told once, closed everywhere, accounted for.

use std::collections::BTreeMap;

use computepool_core::control::OrchestratorMessage;
use computepool_core::{Fault, GenerationEvent, GenerationId, NodeId, SessionId, SignedReceipt, Usage};

use super::Turn;
use super::generation::{Ending, Phase};
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
    pub(super) fn fail(&mut self, id: GenerationId, loss: Loss) {
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        if !generation.is_untold() {
            return;
        }
        self.effects.push(crate::Effect::Tell(id, GenerationEvent::Failed(Fault::from(loss))));
        match &mut generation.phase {
            Phase::Closing { ending, .. } => *ending = Ending::Told,
            Phase::AwaitingSession => self.forget(id),
            Phase::Opening { .. } | Phase::Running { .. } => self.close(id, Ending::Told),
        }
        self.shown();
    }

    /// Ends a generation for a loss that a node has noticed and that may lie beyond it: the client of one that runs is
    /// told once the others had the time to speak of it.
    pub(super) fn suspect(&mut self, id: GenerationId, loss: &Loss) {
        match self.state.generations.get(&id).map(|generation| &generation.phase) {
            Some(Phase::Opening { .. } | Phase::Running { .. }) => self.close(id, Ending::Suspected(loss.clone())),
            Some(Phase::AwaitingSession) => self.fail(id, loss.clone()),
            Some(Phase::Closing { .. }) | None => {}
        }
    }

    /// Has every hop stop, free its KV and account for the generation.
    pub(super) fn close(&mut self, id: GenerationId, ending: Ending) {
        let deadline_ms = self.now_ms.saturating_add(self.state.limits.close_ms);
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        let Some(session) = self.state.sessions.get(&generation.session) else { return };
        let waiting = session.present().map(|(place, _)| place).collect();
        generation.phase = Phase::Closing { ending, waiting, receipts: BTreeMap::new(), deadline_ms };
        for (_, hop) in session.present() {
            let message = OrchestratorMessage::CloseGeneration { generation: id };
            self.effects.push(crate::Effect::Send(hop.node.clone(), message));
        }
        self.end_if_accounted(id);
    }

    pub(super) fn closed(&mut self, node: &NodeId, id: GenerationId, receipt: Option<SignedReceipt>) {
        let Some(place) = self.place_in(node, id) else { return };
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        let Phase::Closing { waiting, .. } = &mut generation.phase else {
            // Its KV is free before anybody asked: nothing can come of this any more.
            return self.fail_by(node, id, Violation::Unasked("a closed generation"));
        };
        if !waiting.remove(&place) {
            return self.strike(node, &Violation::Unasked("a closed generation"));
        }
        if let Some(receipt) = receipt {
            match self.check_receipt(node, id, place, &receipt) {
                Ok(()) => self.keep_receipt(id, place, receipt),
                Err(what) => self.strike(node, &Violation::Receipt(what)),
            }
        }
        self.end_if_accounted(id);
    }

    fn check_receipt(
        &self,
        node: &NodeId,
        id: GenerationId,
        place: usize,
        signed: &SignedReceipt,
    ) -> Result<(), &'static str> {
        let receipt = &signed.receipt;
        let session_id = self.state.generations.get(&id).map(|generation| generation.session);
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

    fn keep_receipt(&mut self, id: GenerationId, place: usize, receipt: SignedReceipt) {
        if let Some(Phase::Closing { receipts, .. }) = self.state.generations.get_mut(&id).map(|it| &mut it.phase) {
            receipts.insert(place, receipt);
        }
    }

    /// A node is gone: no generation of the session waits for its account any more.
    pub(super) fn hop_gone(&mut self, session: SessionId, node: &NodeId) {
        let Some(it) = self.state.sessions.get(&session) else { return };
        let Some(place) = it.hops.iter().position(|hop| &hop.node == node) else { return };
        let generations: Vec<GenerationId> = it.generations.iter().copied().collect();
        for id in generations {
            if let Some(Phase::Closing { waiting, .. }) = self.state.generations.get_mut(&id).map(|it| &mut it.phase) {
                waiting.remove(&place);
                self.end_if_accounted(id);
            }
        }
    }

    /// Waits no longer for the accounts of a generation.
    pub(super) fn stop_waiting(&mut self, id: GenerationId) {
        if let Some(Phase::Closing { waiting, .. }) = self.state.generations.get_mut(&id).map(|it| &mut it.phase) {
            waiting.clear();
        }
        self.end_if_accounted(id);
    }

    fn end_if_accounted(&mut self, id: GenerationId) {
        let Some(generation) = self.state.generations.get_mut(&id) else { return };
        let Phase::Closing { ending, waiting, receipts, .. } = &mut generation.phase else { return };
        if !waiting.is_empty() {
            return;
        }
        match std::mem::replace(ending, Ending::Told) {
            Ending::Told => {}
            Ending::Suspected(loss) => {
                self.effects.push(crate::Effect::Tell(id, GenerationEvent::Failed(Fault::from(loss))));
            }
            Ending::Finished => {
                let receipts = std::mem::take(receipts).into_values().collect();
                let (prompt_tokens, completion_tokens) = (generation.prompt_len, generation.tokens);
                let usage = Usage { prompt_tokens, completion_tokens, receipts };
                self.effects.push(crate::Effect::Tell(id, GenerationEvent::Ended(usage)));
            }
        }
        self.forget(id);
    }

    fn forget(&mut self, id: GenerationId) {
        let Some(generation) = self.state.generations.remove(&id) else { return };
        self.shown();
        if let Some(session) = self.state.sessions.get_mut(&generation.session) {
            session.generations.remove(&id);
            session.used_ms = self.now_ms;
        }
        self.close_if_done(generation.session);
    }
}
