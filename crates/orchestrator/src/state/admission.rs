//! Whether a client's request is taken on, and in which session.

use computepool_core::control::MAX_CONTROL_BYTES;
use computepool_core::{Constraint, Generate, GenerationEvent, SessionId};

use super::Turn;
use super::generation::{Generation, Phase};
use super::session::SessionPhase;
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
        let session_id = self.session_for(&asked, pool)?;
        let summary = &self.state.pools[pool].settings.summary;
        let generation = Generation {
            session: session_id,
            prompt_len: asked.request.prompt.len() as u32,
            max_tokens: asked.request.max_tokens,
            logprobs: asked.request.logprobs,
            vocabulary: summary.vocabulary,
            request: Some(Box::new(asked.request)),
            tokens: 0,
            phase: Phase::AwaitingSession,
        };
        self.state.generations.insert(id, generation);
        self.shown();
        let Some(session) = self.state.sessions.get_mut(&session_id) else { return Ok(()) };
        session.generations.insert(id);
        session.used_ms = self.now_ms;
        if matches!(session.phase, SessionPhase::Open) {
            self.open_generation(id);
        }
        Ok(())
    }

    /// The client's session, or a fresh one where there is none with enough time left.
    fn session_for(&mut self, asked: &Asked, pool: usize) -> Result<SessionId, Refusal> {
        let key = (asked.client.clone(), pool);
        if let Some((id, session)) =
            self.state.current.get(&key).and_then(|id| Some((*id, self.state.sessions.get(id)?)))
        {
            let left = session.expires_ms.saturating_sub(self.now_ms);
            if left >= self.state.limits.renew_before_ms {
                let (open, most) = (session.generations.len(), self.state.pools[pool].settings.max_generations);
                let room = open < most as usize;
                return if room { Ok(id) } else { Err(Refusal::ClientBusy { open, most }) };
            }
            self.retire(id);
        }
        let most = self.state.limits.max_sessions;
        if self.state.sessions.len() >= most {
            let idle = self.state.sessions.iter().filter(|(_, session)| session.generations.is_empty());
            let Some(oldest) = idle.min_by_key(|(_, session)| session.used_ms).map(|(id, _)| *id) else {
                return Err(Refusal::Full { what: "sessions", most });
            };
            self.retire(oldest);
        }
        self.open_session(asked.session, &asked.client, pool)?;
        Ok(asked.session)
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
