//! Admitting generations: what is checked of a request, and where its KV comes from.

use computepool_core::ports::{Adopt, EngineEvent};
use computepool_core::{Fault, FaultCode, Generate, GenerationId};

use super::{Batcher, Vocabulary};
use crate::backend::Backend;
use crate::kernels::attention::PAGE;
use crate::sampling::Sampler;
use crate::sequence::{Output, Sequence};

/// What an `Open` asks for.
pub(super) struct Opening {
    pub(super) generation: GenerationId,
    pub(super) max_len: u32,
    pub(super) prompt_len: u32,
    pub(super) adopt: Option<Adopt>,
    pub(super) request: Option<Generate>,
}

impl<B: Backend> Batcher<B> {
    /// Opens a generation. Whoever's KV it takes over is closed by that, even where it cannot be opened after all.
    pub(super) fn open(&mut self, opening: Opening, out: &mut Vec<EngineEvent>) {
        let generation = opening.generation;
        let adopted = opening.adopt.filter(|adopt| adopt.generation != generation);
        let adopted = adopted.and_then(|adopt| self.close(adopt.generation).map(|old| (adopt.generation, old)));
        let adopted = adopted.map(|(generation, old)| {
            out.push(EngineEvent::Closed { generation });
            old
        });
        match self.admit(opening, adopted) {
            Ok(true) => out.push(EngineEvent::Opened { generation }),
            // Open once its grammar is compiled.
            Ok(false) => {}
            Err(fault) => out.push(EngineEvent::Failed { generation, fault }),
        }
    }

    /// Reserves KV for a generation and makes it ready to run; `false` while its grammar is being compiled.
    fn admit(&mut self, opening: Opening, adopted: Option<Sequence<B::Kv>>) -> Result<bool, Fault> {
        let Opening { generation, max_len, prompt_len, adopt, request } = opening;
        if self.sequences.contains_key(&generation) {
            return Err(Fault::new(FaultCode::ProtocolViolation, "this generation is already open"));
        }
        if max_len == 0 || max_len > self.max_context || prompt_len > max_len {
            return Err(Fault::new(
                FaultCode::ContextLength,
                format!("{max_len} tokens were asked for, this shard serves sequences of at most {}", self.max_context),
            ));
        }
        let output = match (&self.vocabulary, &request) {
            (Some(vocabulary), Some(request)) => Some(output(vocabulary, request, prompt_len)?),
            (Some(_), None) => {
                return Err(Fault::new(FaultCode::ProtocolViolation, "the exit shard was not told how to sample"));
            }
            (None, _) => None,
        };
        let needed = u64::from(max_len).next_multiple_of(PAGE as u64);
        let free = self.info.kv_tokens - self.reserved;
        if needed > free {
            let fault = Fault::new(
                FaultCode::NoCapacity,
                format!("{needed} tokens of KV are needed, {free} of {} are free", self.info.kv_tokens),
            );
            return Err(if needed > self.info.kv_tokens {
                fault.hint("ask for fewer tokens, or give the shard a larger KV budget")
            } else {
                fault.retry_after_ms(1000).hint("try again when other requests have finished")
            });
        }
        let (kv, first) = match adopt {
            Some(adopt) => (self.take_over(adopt, adopted, max_len, prompt_len)?, adopt.positions),
            None => (self.weights.kv(&self.backend, max_len as usize)?, 0),
        };
        let mut ready = true;
        if let (Some(vocabulary), Some(Generate { constraint: Some(constraint), produced, .. })) =
            (&mut self.vocabulary, request)
        {
            vocabulary.compiler.compile(generation, constraint, produced)?;
            ready = false;
        }
        self.reserved += needed;
        let sequence = Sequence::new(kv, max_len, prompt_len, needed, output).starting_at(first);
        self.sequences.insert(generation, sequence);
        self.turn.push_back(generation);
        Ok(ready)
    }

    /// The KV of the first positions of a generation that was just closed, with room for `max_len`.
    fn take_over(
        &self,
        adopt: Adopt,
        adopted: Option<Sequence<B::Kv>>,
        max_len: u32,
        prompt_len: u32,
    ) -> Result<B::Kv, Fault> {
        let Adopt { generation, positions } = adopt;
        if positions >= prompt_len {
            return Err(Fault::new(
                FaultCode::InvalidRequest,
                format!("taking over {positions} of {prompt_len} positions leaves nothing to be fed"),
            ));
        }
        let closed = || {
            Fault::new(
                FaultCode::WrongSession,
                format!("generation {generation}, whose KV is wanted, is not open here"),
            )
        };
        let old = adopted.ok_or_else(closed)?;
        if positions > old.processed() {
            return Err(Fault::new(
                FaultCode::WrongShape,
                format!("{positions} positions of {generation} are wanted, {} went through", old.processed()),
            ));
        }
        // Away only while a step runs, and commands are taken between steps.
        let kv = old.kv.ok_or_else(|| Fault::new(FaultCode::Internal, "the KV is in use"))?;
        self.backend.retain(kv, positions as usize, max_len as usize)
    }
}

/// The sampling end of a request, as if it had produced itself what was produced before.
fn output(vocabulary: &Vocabulary, request: &Generate, prompt_len: u32) -> Result<Output, Fault> {
    let Generate { prompt, produced, max_tokens, .. } = request;
    let invalid = |what: String| Err(Fault::new(FaultCode::InvalidRequest, what));
    if produced.len() >= *max_tokens as usize {
        return invalid(format!("{} of at most {max_tokens} tokens are there already", produced.len()));
    }
    // The prompt is left out where no penalty looks at it.
    let fed = prompt.len() + produced.len();
    if produced.len() >= prompt_len as usize || !prompt.is_empty() && fed != prompt_len as usize {
        return invalid(format!(
            "a prompt of {} and {} tokens produced are not {prompt_len} positions",
            prompt.len(),
            produced.len()
        ));
    }
    if !request.ignore_eos && produced.iter().any(|id| vocabulary.ends.contains(id)) {
        return invalid("the answer has ended with what was produced of it".to_owned());
    }
    Ok(Output::new(request, Sampler::of(request, vocabulary.size)?))
}
