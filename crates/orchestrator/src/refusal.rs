//! Everything that can go wrong here, and the fault a client sees for it.

use computepool_core::{Fault, FaultCode, LayerRange, ModelId};

use crate::plan::PlanError;

/// Why a request is not taken on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The orchestrator is going down.
    #[error("this orchestrator is shutting down and takes nothing new")]
    Draining,
    /// No pool has that name.
    #[error("no model `{0}` is offered here")]
    Model(ModelId),
    /// The prompt is empty.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// No token is asked for.
    #[error("max_tokens is 0, at least 1 token must be asked for")]
    NoTokens,
    /// Something is produced already.
    #[error("the request says that tokens were produced already, which only a route that goes on may say")]
    Produced,
    /// More alternatives than are ever reported.
    #[error("{got} log-probabilities per token are asked for, at most 20 are given")]
    Logprobs {
        /// What was asked for.
        got: u8,
    },
    /// Prompt and output do not fit.
    #[error(
        "this model's context is {context} tokens, but {prompt} in the prompt and {max_tokens} for the completion \
         make {total}", total = *prompt as u64 + u64::from(*max_tokens)
    )]
    Context {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens asked for.
        max_tokens: u32,
        /// The longest sequence served.
        context: u32,
    },
    /// The request would not fit into one control message.
    #[error("the request takes {got} bytes, at most {most} can be passed on")]
    TooLarge {
        /// Its size, estimated from above.
        got: usize,
        /// The bound.
        most: usize,
    },
    /// There is no complete route.
    #[error("no complete route serves `{model}` now: {gap}")]
    NoRoute {
        /// Which model.
        model: ModelId,
        /// What is missing.
        gap: RouteGap,
    },
    /// The client has as many generations open as it may.
    #[error("{open} generations are already open for this client, at most {most} may be")]
    ClientBusy {
        /// Open now.
        open: usize,
        /// The bound.
        most: u32,
    },
    /// All generations or sessions this orchestrator may hold are in use.
    #[error("all {most} {what} of this orchestrator are in use")]
    Full {
        /// What there is no more of.
        what: &'static str,
        /// The bound.
        most: usize,
    },
    /// A ticket could not be made.
    #[error("no route ticket could be made: {0}")]
    Ticket(String),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Draining => Fault::new(FaultCode::Draining, text).retry_after_ms(10_000),
            Refusal::Model(_) => {
                Fault::new(FaultCode::ModelNotFound, text).hint("GET /v1/models lists what is offered")
            }
            Refusal::EmptyPrompt
            | Refusal::NoTokens
            | Refusal::Produced
            | Refusal::Logprobs { .. }
            | Refusal::TooLarge { .. } => Fault::new(FaultCode::InvalidRequest, text),
            Refusal::Context { .. } => {
                Fault::new(FaultCode::ContextLength, text).hint("shorten the prompt or ask for fewer tokens")
            }
            Refusal::NoRoute { .. } => Fault::new(FaultCode::NoRoute, text)
                .hint("try again in a few seconds, or start another node that has this model")
                .retry_after_ms(2_000),
            Refusal::ClientBusy { .. } => Fault::new(FaultCode::RateLimited, text)
                .hint("wait for one of your running requests to end")
                .retry_after_ms(1_000),
            Refusal::Full { .. } => {
                Fault::new(FaultCode::NoCapacity, text).hint("try again in a few seconds").retry_after_ms(2_000)
            }
            Refusal::Ticket(_) => Fault::new(FaultCode::Internal, text),
        }
    }
}

/// What keeps a route from being complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteGap {
    /// The model is not cut yet.
    #[error("{0}")]
    Unplanned(#[from] PlanError),
    /// Nobody holds a range.
    #[error("nobody serves layers {0}")]
    Vacant(LayerRange),
    /// The holder of a range is not ready.
    #[error("{name} is {doing} layers {layers}")]
    NotReady {
        /// Who.
        name: String,
        /// What it does instead of serving: `loading`, `unable to serve`, …
        doing: &'static str,
        /// What.
        layers: LayerRange,
    },
    /// Two shards store hidden states differently, so nothing exact can pass between them.
    #[error("{name} stores hidden states as {got}, the shards before it as {expected}")]
    Activation {
        /// Who.
        name: String,
        /// Of the shards before.
        expected: String,
        /// Of this one.
        got: String,
    },
}

/// Why a generation that was taken on cannot go on. `who` reads `NAME (layers A..B)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// A node's link is gone.
    #[error("{who} left the network")]
    Node {
        /// Who.
        who: String,
    },
    /// A node was given other layers.
    #[error("{who} was needed elsewhere")]
    Moved {
        /// Who.
        who: String,
    },
    /// A node's shard is down.
    #[error("{who} lost its shard: {fault}")]
    Shard {
        /// Who.
        who: String,
        /// What the node said.
        fault: Fault,
    },
    /// A node gave the generation or its session up.
    #[error("{who}: {fault}")]
    Given {
        /// Who.
        who: String,
        /// What the node said.
        fault: Fault,
    },
    /// The exit shard broke the rules.
    #[error("{who} sent something that cannot be: {violation}")]
    Violation {
        /// Who.
        who: String,
        /// What it did.
        violation: Violation,
    },
    /// Nodes did not answer in time.
    #[error("no answer within {waited_ms} ms to {what}, missing: {who}")]
    Silent {
        /// Those who did not answer.
        who: String,
        /// What they were asked.
        what: &'static str,
        /// For how long.
        waited_ms: u64,
    },
    /// No token came for too long.
    #[error("no token for {waited_ms} ms after {tokens} tokens")]
    Stalled {
        /// For how long.
        waited_ms: u64,
        /// Tokens produced before.
        tokens: u32,
    },
    /// The session's ticket ran out.
    #[error("the session's time ran out after {tokens} tokens")]
    Expired {
        /// Tokens produced before.
        tokens: u32,
    },
    /// The client went away.
    #[error("the caller withdrew the request")]
    Dropped,
    /// The client did not read.
    #[error("the caller left too many tokens unread")]
    Unread,
    /// The orchestrator is going down.
    #[error("the orchestrator shut down before the generation was complete")]
    Draining,
}

impl From<Loss> for Fault {
    fn from(loss: Loss) -> Self {
        let text = loss.to_string();
        let again = |code| Fault::new(code, text.clone()).hint("send the request again").retry_after_ms(1_000);
        match loss {
            Loss::Node { .. } | Loss::Moved { .. } => again(FaultCode::NodeLost),
            Loss::Shard { .. } => again(FaultCode::EngineLost),
            Loss::Given { fault, .. } => Fault { message: from_request(&fault).unwrap_or(text), ..fault },
            Loss::Violation { .. } => again(FaultCode::ProtocolViolation),
            Loss::Silent { .. } | Loss::Stalled { .. } => again(FaultCode::Stalled),
            Loss::Expired { .. } => again(FaultCode::TicketExpired),
            Loss::Dropped | Loss::Unread => Fault::new(FaultCode::Cancelled, text),
            Loss::Draining => again(FaultCode::Draining),
        }
    }
}

/// The message of a fault that is about the request and not about the node.
fn from_request(fault: &Fault) -> Option<String> {
    let about = matches!(fault.code, FaultCode::BadGrammar | FaultCode::InvalidRequest | FaultCode::ContextLength);
    about.then(|| fault.message.clone())
}

/// How a node broke the rules of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// It speaks another version.
    #[error("it speaks version {got} of the control protocol, this orchestrator speaks {expected}")]
    Version {
        /// Ours.
        expected: u16,
        /// Theirs.
        got: u16,
    },
    /// It said something before hello.
    #[error("it spoke before saying hello")]
    NoHello,
    /// It said hello again.
    #[error("it said hello twice")]
    SecondHello,
    /// Its advert does not count.
    #[error("its advert does not count: {0}")]
    Advert(String),
    /// It speaks of an assignment it was never given.
    #[error("it speaks of assignment {got}, the last one given was {last}")]
    Assignment {
        /// What it said.
        got: u64,
        /// The newest there is.
        last: u64,
    },
    /// It loaded something else than it was asked to.
    #[error("it was asked to load {expected} and loaded {got}")]
    WrongShard {
        /// What was asked for.
        expected: String,
        /// What it says it holds.
        got: String,
    },
    /// It speaks of a session or generation that has no place for it.
    #[error("it spoke of a {0} that is not its own")]
    NotItsOwn(&'static str),
    /// It repeats an answer, or answers what was not asked.
    #[error("it answered {0} without being asked")]
    Unasked(&'static str),
    /// A token came out of order.
    #[error("token {expected} was due and token {got} came")]
    TokenOrder {
        /// The next index.
        expected: u32,
        /// What came.
        got: u32,
    },
    /// A token after the one that ended the generation.
    #[error("a token came after the last one")]
    TokenAfterFinish,
    /// The last token asked for did not say that it is the last.
    #[error("{0} tokens came, as many as asked for, and the last did not end the generation")]
    NoFinish(u32),
    /// A token that is not the one that came in its place before.
    #[error("token {index} was {given}, and came again as {got}")]
    Differs {
        /// Which.
        index: u32,
        /// The id that the client was given.
        given: u32,
        /// The id that came.
        got: u32,
    },
    /// A token that others went on from is said to be the last one.
    #[error("token {0} is said to be the last one, and was not")]
    EarlyFinish(u32),
    /// A token that the model does not have.
    #[error("token id {got} is not in the vocabulary of {vocabulary}")]
    Vocabulary {
        /// The id.
        got: u32,
        /// Tokens there are.
        vocabulary: u32,
    },
    /// More log-probabilities than asked for.
    #[error("{got} alternatives came with a token, {most} were asked for")]
    Logprobs {
        /// How many came.
        got: usize,
        /// How many were asked for.
        most: usize,
    },
    /// A receipt that is not for this work, or not signed by this node.
    #[error("its receipt does not hold: {0}")]
    Receipt(&'static str),
}

/// The longest text of a node's fault that is passed on, in characters.
const MAX_FAULT_TEXT: usize = 500;

/// A fault as a node reports it, made fit to be shown to clients: bounded, and with no code that only the
/// orchestrator or the HTTP face may use.
pub(crate) fn heard(fault: Fault) -> Fault {
    let code = match fault.code {
        FaultCode::Unauthorized
        | FaultCode::RateLimited
        | FaultCode::ModelNotFound
        | FaultCode::NoRoute
        | FaultCode::Cancelled => FaultCode::Internal,
        code => code,
    };
    Fault {
        code,
        message: plain(&fault.message, MAX_FAULT_TEXT),
        hint: fault.hint.map(|hint| plain(&hint, MAX_FAULT_TEXT)),
        retry: fault.retry,
    }
}

/// Whether after this fault the session's lanes or tickets cannot be trusted to work, so that the next generation needs
/// a session of its own.
pub(crate) fn breaks_session(code: FaultCode) -> bool {
    matches!(
        code,
        FaultCode::LinkLost
            | FaultCode::EngineLost
            | FaultCode::NodeLost
            | FaultCode::BadTicket
            | FaultCode::TicketExpired
            | FaultCode::NotInTicket
            | FaultCode::WrongSession
            | FaultCode::Stalled
            | FaultCode::Draining
    )
}

/// Whether others may know more of this. Neighbours notice a crash as soon as the orchestrator does; the node itself, or
/// the end of its link, says more before the last account can have come.
pub(crate) fn is_second_hand(code: FaultCode) -> bool {
    matches!(code, FaultCode::LinkLost | FaultCode::EngineLost)
}

/// A stranger's text without control characters and no longer than `most` characters.
pub(crate) fn plain(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}
