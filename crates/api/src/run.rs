//! Runs the generations of one request side by side. Dropping a run cancels them all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use computepool_core::ports::{Inference, Text};
use computepool_core::{Fault, FaultCode, Generate, GenerationEvent, ModelId, SignedReceipt};
use futures::StreamExt;
use futures::future::{poll_fn, try_join_all};
use futures::stream::BoxStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::assembler::{Assembler, Step};
use crate::metrics::Metrics;
use crate::toll::{Meter, Passage};
use crate::tools::Offer;
use crate::wire::UsageBody;

/// How long the shards' accounts are waited for, once all answers are complete.
const ACCOUNTS: Duration = Duration::from_secs(5);

/// What is to be run.
pub(crate) struct Plan {
    pub(crate) model: ModelId,
    pub(crate) text: Arc<dyn Text>,
    /// One for each answer.
    pub(crate) requests: Vec<Generate>,
    pub(crate) stops: Vec<String>,
    pub(crate) offer: Option<Offer>,
}

/// Generations of one request.
pub(crate) struct Run {
    answers: Vec<Answer>,
    /// Events that came while others had not started.
    early: VecDeque<(usize, Option<GenerationEvent>)>,
    /// Where polling goes on, so that none starves.
    turn: usize,
    passage: Passage,
    metrics: Arc<Metrics>,
    arrival: Instant,
    receipts: Vec<SignedReceipt>,
    _permit: OwnedSemaphorePermit,
}

struct Answer {
    stream: Option<Counted>,
    started: bool,
    /// Held while it is paid for: from its start to its last token.
    meter: Option<Meter>,
    assembler: Assembler,
    last_token: Option<Instant>,
}

/// A stream that is counted as running while it is held.
struct Counted {
    stream: BoxStream<'static, GenerationEvent>,
    metrics: Arc<Metrics>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.ended();
    }
}

impl Run {
    /// Starts all generations, and returns when every one was admitted.
    pub(crate) async fn start(
        inference: &dyn Inference,
        metrics: &Arc<Metrics>,
        passage: Passage,
        arrival: Instant,
        plan: Plan,
    ) -> Result<Self, Fault> {
        let permit = passage.account().occupy(u32::try_from(plan.requests.len()).unwrap_or(u32::MAX))?;
        let client = passage.client();
        let open = plan.requests.into_iter().map(|request| {
            let prompt_tokens = request.prompt.len();
            let (model, metrics) = (&plan.model, metrics.clone());
            async move {
                let stream = inference.generate(client, model, request).await?;
                metrics.started(prompt_tokens);
                Ok::<_, Fault>(Counted { stream, metrics })
            }
        });
        let streams = try_join_all(open).await?;
        let answer = |stream| Answer {
            stream: Some(stream),
            started: false,
            meter: None,
            assembler: Assembler::new(plan.text.clone(), plan.offer.as_ref(), plan.stops.clone()),
            last_token: None,
        };
        let mut run = Self {
            answers: streams.into_iter().map(answer).collect(),
            early: VecDeque::new(),
            turn: 0,
            passage,
            metrics: metrics.clone(),
            arrival,
            receipts: Vec::new(),
            _permit: permit,
        };
        run.await_admission().await?;
        Ok(run)
    }

    /// A refusal that comes before the first token is still a status of its own.
    async fn await_admission(&mut self) -> Result<(), Fault> {
        while self.answers.iter().any(|answer| !answer.started) {
            let (index, event) = poll_fn(|cx| self.poll(cx, |answer| !answer.started)).await;
            match event {
                Some(GenerationEvent::Failed(fault)) => return Err(fault),
                None => return Err(broke_off()),
                Some(event) => {
                    self.answers[index].started = true;
                    match event {
                        GenerationEvent::Started(id) => self.answers[index].meter = self.passage.begin(id)?,
                        event => self.early.push_back((index, Some(event))),
                    }
                }
            }
        }
        Ok(())
    }

    /// What is next, and in which answer. `None` when all are complete; after a fault there is nothing more.
    ///
    /// Cancel-safe: no event is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Option<Result<(usize, Step), Fault>> {
        loop {
            let (index, event) = self.next_event().await?;
            match self.take(index, event) {
                Ok(Some(step)) => return Some(Ok((index, step))),
                Ok(None) => {}
                Err(fault) => {
                    self.answers.clear();
                    self.early.clear();
                    tracing::warn!(%fault, "a generation failed");
                    return Some(Err(fault));
                }
            }
        }
    }

    async fn next_event(&mut self) -> Option<(usize, Option<GenerationEvent>)> {
        if let Some(early) = self.early.pop_front() {
            return Some(early);
        }
        if self.answers.iter().all(|answer| answer.stream.is_none()) {
            return None;
        }
        let only_accounts = self.answers.iter().all(|answer| answer.stream.is_none() || answer.assembler.finished());
        let event = poll_fn(|cx| self.poll(cx, |_| true));
        if !only_accounts {
            return Some(event.await);
        }
        match tokio::time::timeout(ACCOUNTS, event).await {
            Ok(event) => Some(event),
            Err(_) => {
                tracing::warn!("the accounts of a generation did not come in time");
                self.answers.iter_mut().for_each(|answer| answer.stream = None);
                None
            }
        }
    }

    /// What an event comes to.
    fn take(&mut self, index: usize, event: Option<GenerationEvent>) -> Result<Option<Step>, Fault> {
        let Some(answer) = self.answers.get_mut(index) else { return Ok(None) };
        let complete = answer.assembler.finished();
        match event {
            Some(GenerationEvent::Started(_)) => Ok(None),
            Some(GenerationEvent::Token(token)) => {
                let now = Instant::now();
                match answer.last_token.replace(now) {
                    None => self.metrics.first_token(now - self.arrival),
                    Some(last) => self.metrics.next_token(now - last),
                }
                if let Some(meter) = &answer.meter {
                    meter.token()?;
                }
                let ends = token.finish.is_some();
                let step = answer.assembler.push(token)?;
                if answer.assembler.finished() {
                    answer.meter = None;
                    if !ends {
                        // A stop string: the model would go on, so it is stopped.
                        answer.stream = None;
                    }
                }
                Ok((!step.is_empty()).then_some(step))
            }
            Some(GenerationEvent::Ended(usage)) => {
                answer.stream = None;
                self.receipts.extend(usage.receipts);
                if complete { Ok(None) } else { Err(broke_off()) }
            }
            Some(GenerationEvent::Failed(fault)) => {
                answer.stream = None;
                if !complete {
                    return Err(fault);
                }
                tracing::warn!(%fault, "a generation failed after its last token");
                Ok(None)
            }
            None => {
                answer.stream = None;
                if complete { Ok(None) } else { Err(broke_off()) }
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wanted: impl Fn(&Answer) -> bool,
    ) -> Poll<(usize, Option<GenerationEvent>)> {
        let count = self.answers.len();
        for offset in 0..count {
            let index = (self.turn + offset) % count;
            let answer = &mut self.answers[index];
            if !wanted(answer) {
                continue;
            }
            let Some(counted) = &mut answer.stream else { continue };
            if let Poll::Ready(event) = counted.stream.poll_next_unpin(cx) {
                self.turn = (index + 1) % count;
                return Poll::Ready((index, event));
            }
        }
        Poll::Pending
    }

    /// What was taken so far, for prompts of so many tokens together.
    pub(crate) fn usage(&self, prompt_tokens: u32) -> UsageBody {
        let completion_tokens =
            self.answers.iter().fold(0_u32, |sum, answer| sum.saturating_add(answer.assembler.tokens));
        UsageBody { prompt_tokens, completion_tokens, total_tokens: prompt_tokens.saturating_add(completion_tokens) }
    }

    /// The accounts of the shards, of all answers.
    pub(crate) fn take_receipts(&mut self) -> Vec<SignedReceipt> {
        std::mem::take(&mut self.receipts)
    }
}

/// Never told as an end: an answer that was cut short does not look like one that is done.
pub(crate) fn broke_off() -> Fault {
    Fault::new(FaultCode::Internal, "the generation broke off without saying why")
}
