//! From a completion request to generations.

use std::sync::Arc;

use computepool_core::Generate;
use computepool_core::ports::Text;

use crate::ApiOptions;
use crate::error::ApiError;
use crate::prompt::{Heading, Target};
use crate::run::Plan;
use crate::sampling::{SamplingFields, choice_seed, read_stops};
use crate::wire::{CompletionRequest, PromptField};

/// OpenAI's default of `max_tokens` for this endpoint.
const USUAL_TOKENS: u32 = 16;

/// A request that was understood.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) answer: AnswerShape,
}

/// How the answer is to be written.
pub(super) struct AnswerShape {
    pub(super) heading: Heading,
    pub(super) text: Arc<dyn Text>,
    /// What each answer begins with: its prompt, where that is to be repeated.
    pub(super) echoes: Vec<String>,
    pub(super) prompt_tokens: u32,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) include_receipts: bool,
}

pub(super) fn read(request: CompletionRequest, target: Target, options: &ApiOptions) -> Result<Asked, ApiError> {
    let limits = &options.limits;
    if request.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
        return Err(ApiError::invalid("suffix", "no model here fills gaps: `suffix` is not supported"));
    }
    let echo = request.echo.unwrap_or(false);
    if echo && request.logprobs.is_some() {
        return Err(ApiError::invalid(
            "echo",
            "log-probabilities of the prompt are not available: use `echo` without `logprobs`",
        ));
    }
    let n = request.n.unwrap_or(1);
    if !(1..=limits.choices).contains(&n) {
        return Err(ApiError::invalid("n", format!("{n} is not between 1 and {}", limits.choices)));
    }
    if request.best_of.is_some_and(|best_of| best_of != n) {
        return Err(ApiError::invalid("best_of", "answers are not ranked here: `best_of` must equal `n`"));
    }
    let logprobs = match request.logprobs {
        None => None,
        Some(top @ 0..=5) => Some(top as u8),
        Some(top) => return Err(ApiError::invalid("logprobs", format!("{top} is not between 0 and 5"))),
    };
    let sampling = SamplingFields::from(&request).read(target.status.summary.vocabulary, limits)?;
    let stops = read_stops(request.stop.as_ref(), limits)?;
    let Some(prompt) = request.prompt else { return Err(ApiError::invalid("prompt", "the prompt is missing")) };
    let prompts = read_prompts(prompt, n, &target, limits.generations)?;

    let mut answer = AnswerShape {
        heading: Heading::new("cmpl-", &target),
        text: target.text.clone(),
        echoes: Vec::new(),
        prompt_tokens: prompts.iter().fold(0, |sum, prompt| sum.saturating_add(prompt.len() as u32)),
        stream: request.stream.unwrap_or(false),
        include_usage: request.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
        include_receipts: request.include_receipts.unwrap_or(false),
    };
    let mut requests = Vec::with_capacity(prompts.len() * n as usize);
    for prompt in prompts {
        let wanted = request.max_tokens.map(|tokens| (tokens, "max_tokens"));
        let max_tokens =
            target.room(prompt.len(), wanted, USUAL_TOKENS).map_err(|error| match error.param.as_deref() {
                Some("messages") => error.param("prompt"),
                _ => error,
            })?;
        let shown = if echo { decode(&*target.text, &prompt) } else { String::new() };
        for _ in 0..n {
            let mut sampling = sampling.clone();
            sampling.seed = choice_seed(sampling.seed, requests.len() as u32);
            answer.echoes.push(shown.clone());
            requests.push(Generate {
                prompt: prompt.clone(),
                produced: Vec::new(),
                max_tokens,
                sampling,
                constraint: None,
                logprobs,
                ignore_eos: request.ignore_eos.unwrap_or(false),
            });
        }
    }
    let plan = Plan { model: target.status.summary.id.clone(), text: target.text, requests, stops, offer: None };
    Ok(Asked { plan, answer })
}

fn read_prompts(field: PromptField, n: u32, target: &Target, limit: u32) -> Result<Vec<Vec<u32>>, ApiError> {
    let count = match &field {
        PromptField::Text(_) | PromptField::Tokens(_) => 1,
        PromptField::Texts(texts) => texts.len(),
        PromptField::TokenLists(lists) => lists.len(),
    };
    if count.saturating_mul(n as usize) > limit as usize {
        let message =
            format!("{count} prompts with {n} answers each are asked for, at most {limit} answers are made at once");
        return Err(ApiError::invalid("prompt", message));
    }
    let encode = |text: String| target.text.encode(&text, true).map_err(ApiError::from);
    let prompts = match field {
        PromptField::Text(text) => vec![encode(text)?],
        PromptField::Tokens(ids) => vec![ids],
        PromptField::Texts(texts) => texts.into_iter().map(encode).collect::<Result<_, _>>()?,
        PromptField::TokenLists(lists) => lists,
    };
    if prompts.is_empty() || prompts.iter().any(Vec::is_empty) {
        return Err(ApiError::invalid("prompt", "a prompt needs at least one token"));
    }
    let vocabulary = target.status.summary.vocabulary;
    if let Some(id) = prompts.iter().flatten().find(|id| **id >= vocabulary) {
        return Err(ApiError::invalid(
            "prompt",
            format!("{id} is not a token id of this model, which has {vocabulary}"),
        ));
    }
    Ok(prompts)
}

fn decode(text: &dyn Text, ids: &[u32]) -> String {
    let mut decoder = text.decoder();
    let mut decoded: String = ids.iter().map(|id| decoder.push(*id)).collect();
    decoded.push_str(&decoder.finish());
    decoded
}
