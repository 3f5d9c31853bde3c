//! From tokens to the answer of a chat, in one piece or in chunks.

use computepool_core::Fault;

use super::plan::AnswerShape;
use crate::assembler::{Finish, Step, TokenRecord};
use crate::logprobs;
use crate::prompt::random_id;
use crate::run::{Run, broke_off};
use crate::sse::{EventSink, Gone};
use crate::tools::Piece;
use crate::wire::{
    AssistantMessage, ChatChoice, ChatChunk, ChatCompletion, ChunkChoice, FunctionCall, FunctionDelta, MessageDelta,
    ToolCall, ToolCallDelta,
};

#[derive(Default)]
struct Gathered {
    content: String,
    calls: Vec<ToolCall>,
    records: Vec<TokenRecord>,
    finish: Option<Finish>,
}

impl Gathered {
    fn take(&mut self, step: Step) {
        for piece in step.pieces {
            match piece {
                Piece::Content(text) => self.content.push_str(&text),
                Piece::Call { name, .. } => self.calls.push(ToolCall {
                    id: random_id("call_"),
                    kind: "function",
                    function: FunctionCall { name, arguments: String::new() },
                }),
                Piece::Arguments { index, fragment } => {
                    if let Some(call) = self.calls.get_mut(index as usize) {
                        call.function.arguments.push_str(&fragment);
                    }
                }
            }
        }
        self.records.extend(step.records);
        self.finish = step.finish.or(self.finish);
    }
}

/// The answer in one piece.
pub(super) async fn whole(run: &mut Run, shape: &AnswerShape) -> Result<ChatCompletion, Fault> {
    let mut answers: Vec<Gathered> = (0..shape.choices).map(|_| Gathered::default()).collect();
    while let Some(step) = run.next().await {
        let (index, step) = step?;
        if let Some(answer) = answers.get_mut(index) {
            answer.take(step);
        }
    }
    let choices = answers.into_iter().enumerate().map(|(index, answer)| {
        Ok(ChatChoice {
            index: index as u32,
            logprobs: logprobs::chat(&*shape.text, &answer.records),
            finish_reason: answer.finish.ok_or_else(broke_off)?.as_str(),
            message: AssistantMessage {
                role: "assistant",
                content: (answer.calls.is_empty() || !answer.content.is_empty()).then_some(answer.content),
                refusal: None,
                annotations: [],
                tool_calls: answer.calls,
            },
        })
    });
    let choices = choices.collect::<Result<_, Fault>>()?;
    Ok(ChatCompletion {
        id: shape.heading.id.clone(),
        object: "chat.completion",
        created: shape.heading.created,
        model: shape.heading.model.clone(),
        system_fingerprint: shape.heading.fingerprint.clone(),
        choices,
        usage: run.usage(shape.prompt_tokens),
        receipts: shape.include_receipts.then(|| run.take_receipts()),
    })
}

/// The answer in chunks.
pub(super) async fn streamed(mut run: Run, shape: AnswerShape, sink: EventSink) -> Result<(), Gone> {
    for index in 0..shape.choices {
        let delta = MessageDelta { role: Some("assistant"), content: Some(String::new()), ..MessageDelta::default() };
        sink.send(&chunk(&shape, index, delta)).await?;
    }
    while let Some(step) = sink.wait(run.next()).await? {
        match step {
            Ok((index, step)) => send_step(&sink, &shape, index as u32, step).await?,
            Err(fault) => return sink.fail(fault).await,
        }
    }
    if shape.include_usage || shape.include_receipts {
        let mut last = chunk(&shape, 0, MessageDelta::default());
        last.choices.clear();
        last.usage = shape.include_usage.then(|| Some(run.usage(shape.prompt_tokens)));
        last.receipts = shape.include_receipts.then(|| run.take_receipts());
        sink.send(&last).await?;
    }
    drop(run);
    sink.done().await
}

async fn send_step(sink: &EventSink, shape: &AnswerShape, index: u32, step: Step) -> Result<(), Gone> {
    let mut logprobs = logprobs::chat(&*shape.text, &step.records);
    for piece in step.pieces {
        let delta = match piece {
            Piece::Content(text) => MessageDelta { content: Some(text), ..MessageDelta::default() },
            Piece::Call { index, name } => call_delta(ToolCallDelta {
                index,
                id: Some(random_id("call_")),
                kind: Some("function"),
                function: FunctionDelta { name: Some(name), arguments: String::new() },
            }),
            Piece::Arguments { index, fragment } => call_delta(ToolCallDelta {
                index,
                id: None,
                kind: None,
                function: FunctionDelta { name: None, arguments: fragment },
            }),
        };
        let mut chunk = chunk(shape, index, delta);
        if let Some(choice) = chunk.choices.first_mut() {
            choice.logprobs = logprobs.take();
        }
        sink.send(&chunk).await?;
    }
    if step.finish.is_none() && logprobs.is_none() {
        return Ok(());
    }
    let mut last = chunk(shape, index, MessageDelta::default());
    if let Some(choice) = last.choices.first_mut() {
        choice.logprobs = logprobs;
        choice.finish_reason = step.finish.map(Finish::as_str);
    }
    sink.send(&last).await
}

fn call_delta(call: ToolCallDelta) -> MessageDelta {
    MessageDelta { tool_calls: vec![call], ..MessageDelta::default() }
}

fn chunk(shape: &AnswerShape, index: u32, delta: MessageDelta) -> ChatChunk {
    ChatChunk {
        id: shape.heading.id.clone(),
        object: "chat.completion.chunk",
        created: shape.heading.created,
        model: shape.heading.model.clone(),
        system_fingerprint: shape.heading.fingerprint.clone(),
        choices: vec![ChunkChoice { index, delta, logprobs: None, finish_reason: None }],
        usage: shape.include_usage.then_some(None),
        receipts: None,
    }
}
