//! From tokens to the answer of a completion request, in one piece or in chunks.

use computepool_core::Fault;

use super::plan::AnswerShape;
use crate::assembler::{Finish, Step, TokenRecord};
use crate::logprobs;
use crate::run::{Run, broke_off};
use crate::sse::{EventSink, Gone};
use crate::tools::Piece;
use crate::wire::{Completion, CompletionChoice};

struct Gathered {
    text: String,
    records: Vec<TokenRecord>,
    finish: Option<Finish>,
}

/// The answer in one piece.
pub(super) async fn whole(run: &mut Run, shape: AnswerShape) -> Result<Completion, Fault> {
    let start = |text: &String| Gathered { text: text.clone(), records: Vec::new(), finish: None };
    let mut answers: Vec<Gathered> = shape.echoes.iter().map(start).collect();
    while let Some(step) = run.next().await {
        let (index, step) = step?;
        let Some(answer) = answers.get_mut(index) else { continue };
        answer.finish = step.finish.or(answer.finish);
        answer.text.push_str(&text_of(&step));
        answer.records.extend(step.records);
    }
    let mut whole = completion(&shape);
    whole.choices = answers
        .into_iter()
        .enumerate()
        .map(|(index, answer)| {
            Ok(CompletionChoice {
                index: index as u32,
                logprobs: logprobs::completion(&*shape.text, &answer.records),
                text: answer.text,
                finish_reason: Some(answer.finish.ok_or_else(broke_off)?.as_str()),
            })
        })
        .collect::<Result<_, Fault>>()?;
    whole.usage = Some(Some(run.usage(shape.prompt_tokens)));
    whole.receipts = shape.include_receipts.then(|| run.take_receipts());
    Ok(whole)
}

/// The answer in chunks.
pub(super) async fn streamed(mut run: Run, shape: AnswerShape, sink: EventSink) -> Result<(), Gone> {
    for (index, echo) in shape.echoes.iter().enumerate().filter(|(_, echo)| !echo.is_empty()) {
        sink.send(&chunk(&shape, index, echo.clone(), &Step::default())).await?;
    }
    while let Some(step) = sink.wait(run.next()).await? {
        match step {
            Ok((index, step)) => sink.send(&chunk(&shape, index, text_of(&step), &step)).await?,
            Err(fault) => return sink.fail(fault).await,
        }
    }
    if shape.include_usage || shape.include_receipts {
        let mut last = completion(&shape);
        last.usage = shape.include_usage.then(|| Some(run.usage(shape.prompt_tokens)));
        last.receipts = shape.include_receipts.then(|| run.take_receipts());
        sink.send(&last).await?;
    }
    drop(run);
    sink.done().await
}

fn text_of(step: &Step) -> String {
    let texts = step.pieces.iter().filter_map(|piece| match piece {
        Piece::Content(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn chunk(shape: &AnswerShape, index: usize, text: String, step: &Step) -> Completion {
    let mut chunk = completion(shape);
    chunk.choices.push(CompletionChoice {
        index: index as u32,
        text,
        logprobs: logprobs::completion(&*shape.text, &step.records),
        finish_reason: step.finish.map(Finish::as_str),
    });
    chunk.usage = shape.include_usage.then_some(None);
    chunk
}

fn completion(shape: &AnswerShape) -> Completion {
    Completion {
        id: shape.heading.id.clone(),
        object: "text_completion",
        created: shape.heading.created,
        model: shape.heading.model.clone(),
        system_fingerprint: shape.heading.fingerprint.clone(),
        choices: Vec::new(),
        usage: None,
        receipts: None,
    }
}
