//! The inference port over a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use computepool_core::ports::{Inference, ModelStatus, NetworkStatus, Text, ToolDialect};
use computepool_core::{
    AlternativeToken, ClientId, ContentHash, Fault, FaultCode, FinishReason, Generate, GenerationEvent, GenerationId,
    ModelId, ModelSummary, TokenEvent, TokenLogprob, Usage,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::watch;

use super::Script;
use super::text::{FakeText, VOCABULARY};

type Respond = dyn Fn(&Generate, &str) -> Script + Send + Sync;

/// A model whose answers are scripted. Counts what is open and keeps what was asked.
pub struct FakeInference {
    status: ModelStatus,
    text: FakeText,
    respond: Box<Respond>,
    asked: Mutex<Vec<Generate>>,
    open: watch::Sender<usize>,
}

impl FakeInference {
    /// `respond` says what to do with each request, whose prompt it is also given as text.
    pub fn new(model: &str, respond: impl Fn(&Generate, &str) -> Script + Send + Sync + 'static) -> Self {
        let id = ModelId::new(model).or_else(|_| ModelId::new("fake"));
        let id = id.unwrap_or_else(|fault| unreachable!("a fixed id: {fault}"));
        let summary = ModelSummary {
            id,
            hash: ContentHash([7; 32]),
            architecture: "fake".into(),
            layer_count: 1,
            hidden: 1,
            vocabulary: VOCABULARY,
            context: 4096,
            layer_bytes: vec![1],
            embedding_bytes: 1,
            head_bytes: 1,
            kv_bytes_per_token_layer: 1,
        };
        Self {
            status: ModelStatus { summary, max_context: 4096, available: true, created: 1_700_000_000 },
            text: FakeText { dialect: ToolDialect::Hermes },
            respond: Box::new(respond),
            asked: Mutex::new(Vec::new()),
            open: watch::Sender::new(0),
        }
    }

    /// Says the same to everybody.
    pub fn saying(text: &str) -> Self {
        let script = Script::say(text);
        Self::new("fake", move |_, _| script.clone())
    }

    /// Answers like [`Script::answer`].
    pub fn answering_questions(model: &str) -> Self {
        Self::new(model, |request, prompt| Script::answer(request, prompt, ToolDialect::Hermes))
    }

    /// Writes tool calls in another dialect.
    pub fn dialect(mut self, dialect: ToolDialect) -> Self {
        self.text.dialect = dialect;
        self
    }

    /// Serves this many tokens at most.
    pub fn context(mut self, tokens: u32) -> Self {
        self.status.max_context = tokens;
        self
    }

    /// Has no complete route.
    pub fn unavailable(mut self) -> Self {
        self.status.available = false;
        self
    }

    /// Generations whose streams are held by somebody.
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Waits until as many generations are open.
    pub async fn until_open(&self, count: usize) {
        // The sender lives in `self`: it cannot be gone.
        let _ = self.open.subscribe().wait_for(|open| *open == count).await;
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Generate> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn prompt_text(&self, prompt: &[u32]) -> String {
        let mut decoder = self.text.decoder();
        let text: String = prompt.iter().map(|id| decoder.push(*id)).collect();
        text + &decoder.finish()
    }
}

impl Inference for FakeInference {
    fn generate<'a>(
        &'a self,
        _client: &'a ClientId,
        model: &'a ModelId,
        request: Generate,
    ) -> BoxFuture<'a, Result<BoxStream<'static, GenerationEvent>, Fault>> {
        Box::pin(async move {
            if *model != self.status.summary.id {
                return Err(Fault::new(FaultCode::ModelNotFound, "no such model"));
            }
            let script = (self.respond)(&request, &self.prompt_text(&request.prompt));
            let number = {
                let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                asked.push(request.clone());
                asked.len() as u128
            };
            if let Some(fault) = script.refuse {
                return Err(fault);
            }
            self.open.send_modify(|open| *open += 1);
            let telling = Telling {
                pending: VecDeque::new(),
                said: 0,
                over: false,
                id: GenerationId(number.to_be_bytes()),
                request,
                script,
                _open: OpenGeneration(self.open.clone()),
            };
            Ok(futures::stream::unfold(telling, Telling::next).boxed())
        })
    }

    fn models(&self) -> Vec<(ModelStatus, Arc<dyn Text>)> {
        vec![(self.status.clone(), Arc::new(self.text))]
    }

    fn status(&self) -> NetworkStatus {
        NetworkStatus { sessions: 1, generations: self.open() as u64, ..NetworkStatus::default() }
    }
}

struct OpenGeneration(watch::Sender<usize>);

impl Drop for OpenGeneration {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

struct Telling {
    id: GenerationId,
    script: Script,
    request: Generate,
    pending: VecDeque<GenerationEvent>,
    said: usize,
    over: bool,
    _open: OpenGeneration,
}

impl Telling {
    async fn next(mut self) -> Option<(GenerationEvent, Self)> {
        if let Some(event) = self.pending.pop_front() {
            return Some((event, self));
        }
        if self.over {
            return None;
        }
        if self.said == 0 && self.pending.is_empty() {
            let first = match self.script.reject.take() {
                Some(fault) => {
                    self.over = true;
                    return Some((GenerationEvent::Failed(fault), self));
                }
                None => GenerationEvent::Started(self.id),
            };
            let token = self.token().await;
            self.pending.push_back(token);
            if let Some(GenerationEvent::Token(TokenEvent { finish: Some(_), .. })) = self.pending.back() {
                self.end();
            }
            return Some((first, self));
        }
        let token = self.token().await;
        if matches!(token, GenerationEvent::Token(TokenEvent { finish: Some(_), .. })) {
            self.end();
        }
        Some((token, self))
    }

    fn end(&mut self) {
        self.over = true;
        self.pending.push_back(GenerationEvent::Ended(Usage {
            prompt_tokens: self.request.prompt.len() as u32,
            completion_tokens: self.said as u32,
            receipts: Vec::new(),
        }));
    }

    async fn token(&mut self) -> GenerationEvent {
        if !self.script.pause.is_zero() {
            tokio::time::sleep(self.script.pause).await;
        }
        if let Some((_, fault)) = self.script.fail.take_if(|(after, _)| *after == self.said) {
            self.over = true;
            return GenerationEvent::Failed(fault);
        }
        let said = self.script.tokens.len();
        let index = if self.script.endless && said > 0 { self.said % said } else { self.said };
        let id = self.script.tokens.get(index).copied().unwrap_or(FakeText::END);
        let last = index >= said && !self.request.ignore_eos;
        let full = self.said + 1 >= self.request.max_tokens as usize;
        let finish = match (last, full) {
            (true, _) => Some(FinishReason::Stop),
            (false, true) => Some(FinishReason::Length),
            (false, false) => None,
        };
        let logprob = self.request.logprobs.map(|top| TokenLogprob {
            logprob: -0.125,
            top: (0..u32::from(top))
                .map(|rank| AlternativeToken { id: (id + rank) % 128, logprob: -0.125 * (rank + 1) as f32 })
                .collect(),
        });
        let event = TokenEvent { index: self.said as u32, id, logprob, finish };
        self.said += 1;
        GenerationEvent::Token(event)
    }
}
