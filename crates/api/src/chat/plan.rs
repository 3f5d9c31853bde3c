//! From a chat request to generations.

use std::sync::Arc;

use computepool_core::ports::{ChatPrompt, Text};
use computepool_core::{Constraint, Generate};

use crate::ApiOptions;
use crate::error::ApiError;
use crate::messages::read_messages;
use crate::prompt::{Heading, Target};
use crate::response_format::{Format, read_format};
use crate::run::Plan;
use crate::sampling::{SamplingFields, choice_seed, read_stops};
use crate::tools::{self, Choice, Dialect, Elsewhere, Offer, read_offer};
use crate::wire::ChatRequest;

/// A request that was understood.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) answer: AnswerShape,
}

/// How the answer is to be written.
pub(super) struct AnswerShape {
    pub(super) heading: Heading,
    pub(super) text: Arc<dyn Text>,
    pub(super) choices: u32,
    pub(super) prompt_tokens: u32,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) include_receipts: bool,
}

pub(super) fn read(request: ChatRequest, target: Target, options: &ApiOptions) -> Result<Asked, ApiError> {
    let limits = &options.limits;
    refuse_unsupported(&request)?;
    let stream = request.stream.unwrap_or(false);
    if request.stream_options.is_some() && !stream {
        // Said, not refused: a harmless leftover that other servers accept.
        tracing::debug!("stream_options without stream");
    }
    let sampling = SamplingFields::from(&request).read(target.status.summary.vocabulary, limits)?;
    let stops = read_stops(request.stop.as_ref(), limits)?;
    let logprobs = read_logprobs(&request)?;
    let choices = request.n.unwrap_or(1);
    if !(1..=limits.choices).contains(&choices) {
        return Err(ApiError::invalid("n", format!("{choices} is not between 1 and {}", limits.choices)));
    }
    let dialect = Dialect::of(&*target.text);
    let kind = dialect.kind;
    let offer = read_offer(
        request.tools.as_deref(),
        request.tool_choice.as_ref(),
        request.parallel_tool_calls,
        dialect,
        limits,
    )?;
    let format = read_format(request.response_format.as_ref(), limits)?;
    let constraint = read_constraint(offer.as_ref(), &format)?;
    let wanted = match (request.max_completion_tokens, request.max_tokens) {
        (Some(tokens), _) => Some((tokens, "max_completion_tokens")),
        (None, Some(tokens)) => Some((tokens, "max_tokens")),
        (None, None) => None,
    };

    let Some(messages) = request.messages else {
        return Err(ApiError::invalid("messages", "the chat's messages are missing"));
    };
    let messages = read_messages(messages, limits)?;
    let (messages, tools) = tools::prepare_messages(messages, offer.as_ref(), kind);
    let variables = request.chat_template_kwargs.unwrap_or_default();
    let chat = ChatPrompt { messages: &messages, tools: &tools, add_generation_prompt: true, variables: &variables };
    let rendered = target.text.render(&chat)?;
    let prompt = target.text.encode(&rendered, true)?;
    if prompt.is_empty() {
        return Err(ApiError::invalid("messages", "the model's template makes an empty prompt of this chat"));
    }
    let max_tokens = target.room(prompt.len(), wanted, options.default_max_tokens)?;

    let answer = AnswerShape {
        heading: Heading::new("chatcmpl-", &target),
        text: target.text.clone(),
        choices,
        prompt_tokens: u32::try_from(prompt.len()).unwrap_or(u32::MAX),
        stream,
        include_usage: request.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
        include_receipts: request.include_receipts.unwrap_or(false),
    };
    let base = Generate {
        prompt,
        produced: Vec::new(),
        max_tokens,
        sampling,
        constraint,
        logprobs,
        ignore_eos: request.ignore_eos.unwrap_or(false),
    };
    let requests = (0..choices).map(|choice| {
        let mut request = base.clone();
        request.sampling.seed = choice_seed(base.sampling.seed, choice);
        request
    });
    let plan =
        Plan { model: target.status.summary.id.clone(), text: target.text, requests: requests.collect(), stops, offer };
    Ok(Asked { plan, answer })
}

fn refuse_unsupported(request: &ChatRequest) -> Result<(), ApiError> {
    if request.functions.as_ref().is_some_and(|functions| !functions.is_null()) {
        return Err(ApiError::invalid("functions", "this old field is not supported: use `tools`"));
    }
    let modalities = request.modalities.as_ref().and_then(|list| list.as_array());
    if modalities.is_some_and(|list| list.iter().any(|kind| kind != "text")) {
        return Err(ApiError::invalid("modalities", "the models here write text only"));
    }
    Ok(())
}

fn read_logprobs(request: &ChatRequest) -> Result<Option<u8>, ApiError> {
    match (request.logprobs.unwrap_or(false), request.top_logprobs) {
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(ApiError::invalid("top_logprobs", "`top_logprobs` needs `logprobs` to be true")),
        (true, top) => match top.unwrap_or(0) {
            top @ 0..=20 => Ok(Some(top as u8)),
            top => Err(ApiError::invalid("top_logprobs", format!("{top} is not between 0 and 20"))),
        },
    }
}

fn read_constraint(offer: Option<&Offer>, format: &Format) -> Result<Option<Constraint>, ApiError> {
    let Some(offer) = offer else { return Ok(format.constraint()) };
    let elsewhere = match format.schema() {
        None => Elsewhere::Text,
        Some(_) if offer.choice == Choice::Auto && offer.dialect.open.is_none() => {
            let message =
                "this model tells a tool call by its first `{`: JSON answers and optional tools exclude each other";
            return Err(ApiError::invalid("response_format", message));
        }
        Some(schema) => Elsewhere::Json(schema),
    };
    Ok(Some(tools::constraint(offer, elsewhere)))
}
