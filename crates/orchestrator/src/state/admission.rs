//! Whether a client's request is taken on.

use std::collections::{BTreeMap, BTreeSet};

use computepool_core::control::MAX_CONTROL_BYTES;
use computepool_core::ports::Record;
use computepool_core::{Constraint, Generate, GenerationEvent};

use super::Turn;
use super::generation::{Generation, Phase};
use crate::{Asked, Refusal};

/// The most log-probability alternatives per token.
const MAX_LOGPROBS: u8 = 20;
/// Room for everything in an `OpenGeneration` beside prompt, biases and grammar.
const MESSAGE_SPARE_BYTES: usize = 4096;

impl Turn<'_> {
    pub(super) fn ask(&mut self, asked: Asked) {
        let id = asked.generation;
        if self.state.generations.contains_key(&id) {
            // Ids are fresh by contract; telling anything here would end somebody else's generation.
            return;
        }
        if let Err(refusal) = self.admit(asked) {
            self.tell(id, GenerationEvent::Failed(refusal.into()));
        }
    }

    fn admit(&mut self, asked: Asked) -> Result<(), Refusal> {
        let (id, model) = (asked.generation, &asked.model);
        if self.state.drain.is_some() {
            return Err(Refusal::Draining);
        }
        let named = self.state.pools.iter().position(|pool| &pool.settings.summary.id == model);
        let pool = named.ok_or_else(|| Refusal::Model(model.clone()))?;
        check_request(&asked.request, self.state.pools[pool].settings.context())?;
        let most = self.state.limits.max_generations;
        if self.state.generations.len() >= most {
            return Err(Refusal::Full { what: "generations", most });
        }
        let settings = &self.state.pools[pool].settings;
        let (vocabulary, most) = (settings.summary.vocabulary, settings.max_generations);
        let of_client = |it: &&Generation| it.client == asked.client && it.pool == pool;
        let open = self.state.generations.values().filter(of_client).count();
        if open >= most as usize {
            return Err(Refusal::ClientBusy { open, most });
        }
        let generation = Generation {
            client: asked.client,
            pool,
            vocabulary,
            request: Box::new(asked.request),
            phase: Phase::Underway,
            started: false,
            legs: BTreeSet::new(),
            main: None,
            handover: None,
            handovers: (0, 0),
            numbers: 0,
            session: asked.session,
            moved_ms: self.now_ms,
            fruitless: 0,
            lost: false,
            avoid: BTreeMap::new(),
            interval: None,
            receipts: BTreeMap::new(),
        };
        self.state.generations.insert(id, generation);
        let session = match self.session_for(id) {
            Ok(session) => session,
            Err(refusal) => {
                self.state.generations.remove(&id);
                return Err(refusal);
            }
        };
        let at_ms = self.now_ms;
        self.write(|| Record::GenerationBegan { generation: id, session, at_ms });
        self.start_leg_in(id, session);
        self.shown();
        Ok(())
    }
}

fn check_request(request: &Generate, context: u32) -> Result<(), Refusal> {
    let (prompt, max_tokens) = (request.prompt.len(), request.max_tokens);
    if prompt == 0 {
        return Err(Refusal::EmptyPrompt);
    }
    if max_tokens == 0 {
        return Err(Refusal::NoTokens);
    }
    if !request.produced.is_empty() {
        return Err(Refusal::Produced);
    }
    if prompt as u64 + u64::from(max_tokens) > u64::from(context) {
        return Err(Refusal::Context { prompt, max_tokens, context });
    }
    if let Some(got) = request.logprobs.filter(|got| *got > MAX_LOGPROBS) {
        return Err(Refusal::Logprobs { got });
    }
    let grammar = match &request.constraint {
        Some(Constraint::JsonSchema(text) | Constraint::Lark(text)) => text.len(),
        Some(Constraint::JsonObject) | None => 0,
    };
    // A token id takes at most 5 bytes as a varint, a bias 4 more.
    let got = prompt * 5 + request.sampling.logit_bias.len() * 9 + grammar;
    let most = MAX_CONTROL_BYTES - MESSAGE_SPARE_BYTES;
    if got > most {
        return Err(Refusal::TooLarge { got, most });
    }
    Ok(())
}
