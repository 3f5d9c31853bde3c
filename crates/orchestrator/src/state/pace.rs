//! What routes really take, beside what was predicted of them.

use std::collections::BTreeMap;

use computepool_core::ports::Pace;
use computepool_core::{GenerationId, LayerRange, NodeId};

use super::pool::FIRST_PROMPT;
use super::{State, Turn};
use crate::advisor::advise;
use crate::plan::{self, Problem};

/// A pace is taken from legs that gave at least as many tokens as this, so that one late token says little.
const LEAST_TOKENS: u32 = 8;
/// Between two pieces of advice, in milliseconds; they are for people, and cost up to some tens of milliseconds.
const ADVICE_MS: u64 = 30_000;
/// How long the first machines have to measure their paths before the first piece, in milliseconds.
const FIRST_ADVICE_MS: u64 = 5_000;
/// The most machines that are advised on at once; exactly so many are placed exactly.
const MAX_ADVISED: usize = 16;

impl State {
    /// Something is new that predictions depend on.
    pub(super) fn news(&mut self) {
        self.forecast_stale = true;
        self.advice_stale = true;
    }
}

impl Turn<'_> {
    /// A leg is about to end: what it took corrects what is believed of its nodes. Only a leg that was alone on its
    /// nodes tells anything of them.
    pub(super) fn learn(&mut self, id: GenerationId) {
        let Some(leg) = self.state.legs.get(&id).filter(|leg| leg.is_running() && !leg.shared) else { return };
        let Some(first_ms) = leg.first_ms else { return };
        let gaps = u64::from(leg.due.saturating_sub(leg.from)).saturating_sub(1);
        if gaps + 1 < u64::from(LEAST_TOKENS) {
            return;
        }
        let Some(session) = self.state.sessions.get(&leg.session) else { return };
        let token_us = leg.last_ms.saturating_sub(first_ms).saturating_mul(1000) / gaps;
        let fed = self.state.generations.get(&leg.generation).map_or(1, |it| u64::from(it.prompt_len() + leg.from));
        let first_us =
            first_ms.saturating_sub(leg.begun_ms).saturating_mul(1000).saturating_mul(FIRST_PROMPT) / fed.max(1);
        let pool = session.pool;
        let route: Vec<(LayerRange, NodeId)> = session.hops.iter().map(|hop| (hop.layers, hop.node.clone())).collect();
        // Only a pace that is not below the clock's resolution.
        if token_us > 0 {
            self.correct(pool, &route, token_us);
        }
        let measured = Pace { token_us, first_us };
        let it = &mut self.state.pools[pool];
        it.measured = Some(it.measured.map_or(measured, |old| Pace {
            token_us: old.token_us - old.token_us / 4 + measured.token_us / 4,
            first_us: old.first_us - old.first_us / 4 + measured.first_us / 4,
        }));
        self.shown();
    }

    fn correct(&mut self, pool: usize, route: &[(LayerRange, NodeId)], token_us: u64) {
        let it = &self.state.pools[pool];
        let (machines, nodes) = self.state.machines(it, route.iter().map(|(_, node)| node));
        if nodes.len() != route.len() {
            return;
        }
        let hops: Vec<(LayerRange, usize)> = route.iter().enumerate().map(|(i, (layers, _))| (*layers, i)).collect();
        let prediction = plan::predict(&Problem::of(&it.settings), &machines, &self.state.paths(&nodes), &hops);
        let slowness: Vec<u32> = machines.iter().map(|machine| machine.slowness).collect();
        let corrected = plan::observe(&prediction, &slowness, token_us.saturating_mul(1000));
        for (id, slowness) in nodes.iter().zip(corrected) {
            if let Some(node) = self.state.registered_mut(id).filter(|node| node.slowness != slowness) {
                node.slowness = slowness;
                self.state.news();
                self.record_node(id);
            }
        }
    }

    /// What the fastest routes are predicted to take, when something of it is new.
    pub(super) fn forecast(&mut self) {
        if std::mem::take(&mut self.state.forecast_stale) {
            for pool in 0..self.state.pools.len() {
                self.predict(pool);
            }
        }
    }

    /// What the advisor says to the machines that are there, now and then.
    pub(super) fn advise(&mut self) {
        if !self.state.advice_stale || self.now_ms < self.state.advice_at_ms {
            return;
        }
        if self.state.advice_at_ms == 0 {
            self.state.advice_at_ms = self.now_ms.saturating_add(FIRST_ADVICE_MS);
            return;
        }
        self.state.advice_stale = false;
        self.state.advice_at_ms = self.now_ms.saturating_add(ADVICE_MS);
        for pool in 0..self.state.pools.len() {
            let mut nodes: Vec<(bool, u64, &NodeId)> = self
                .state
                .links
                .keys()
                .filter_map(|id| {
                    let node = self.state.registered(id)?;
                    let holds = node.place.as_ref().is_some_and(|place| place.pool == pool);
                    (node.offers(pool) && !node.draining).then_some((!holds, node.order, id))
                })
                .collect();
            // Those who hold a place come first, then those who came first.
            nodes.sort();
            nodes.truncate(MAX_ADVISED);
            let it = &self.state.pools[pool];
            let (machines, nodes) = self.state.machines(it, nodes.into_iter().map(|(_, _, id)| id));
            let advice = (!nodes.is_empty())
                .then(|| advise(&Problem::of(&it.settings), &machines, &self.state.paths(&nodes)).sentence);
            if self.state.pools[pool].advice != advice {
                self.state.pools[pool].advice = advice;
                self.shown();
            }
        }
    }

    /// What the fastest route of a pool is predicted to take.
    pub(super) fn predict(&mut self, pool: usize) {
        let best = self.state.choose(pool, &BTreeMap::new(), &|_| false);
        let predicted = best.ok().map(|best| best.prediction.pace());
        if self.state.pools[pool].predicted != predicted {
            self.state.pools[pool].predicted = predicted;
            self.shown();
        }
    }
}
