//! What went wrong, said once for machines (`code`), once for people (`message`) and once for what to do (`hint`).

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! fault_codes {
    ($($(#[$meta:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Why something failed. The text form is stable: logs, metrics and clients may match on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum FaultCode { $($(#[$meta])* $name),+ }

        impl FaultCode {
            /// Every code, in order of declaration.
            pub const ALL: &[FaultCode] = &[$(FaultCode::$name),+];

            /// The stable text form.
            pub fn as_str(self) -> &'static str {
                match self { $(FaultCode::$name => $text),+ }
            }
        }
    };
}

fault_codes! {
    /// The request or an argument is not acceptable as it stands.
    InvalidRequest = "invalid_request",
    /// The prompt and the tokens asked for do not fit the model's context.
    ContextLength = "context_length_exceeded",
    /// No such model here.
    ModelNotFound = "model_not_found",
    /// The grammar or JSON schema asked for cannot be used.
    BadGrammar = "bad_grammar",
    /// Nobody can take this work now: memory, slots or nodes are all in use.
    NoCapacity = "no_capacity",
    /// No complete route serves this model at the moment.
    NoRoute = "no_route",
    /// A node of the route went away.
    NodeLost = "node_lost",
    /// A node's engine process died or hung; its supervisor restarts it.
    EngineLost = "engine_lost",
    /// The connection to a neighbour broke.
    LinkLost = "link_lost",
    /// A peer did not make progress in time.
    Stalled = "stalled",
    /// A route ticket is malformed, or not signed by the orchestrator this node trusts.
    BadTicket = "bad_ticket",
    /// A route ticket is past its deadline or not yet valid.
    TicketExpired = "ticket_expired",
    /// The peer is not at this place in the route.
    NotInTicket = "not_in_ticket",
    /// A frame could not be parsed.
    BadFrame = "bad_frame",
    /// A frame announces more bytes than its session allows.
    OversizeFrame = "oversize_frame",
    /// A frame names a session or a generation that is not open here.
    WrongSession = "wrong_session",
    /// A frame repeats a position that was already processed.
    Replay = "replay",
    /// A frame's rows, width or position are not those of the generation.
    WrongShape = "wrong_shape",
    /// A peer broke the rules of the conversation.
    ProtocolViolation = "protocol_violation",
    /// A statement is not signed by whom it names.
    BadSignature = "bad_signature",
    /// A block of weights does not have the hash that its manifest gives.
    BadBlock = "bad_block",
    /// A model file is damaged, or contradicts itself.
    BadModelFile = "bad_model_file",
    /// A model file is sound, but needs something this version does not have.
    UnsupportedModel = "unsupported_model",
    /// A file could not be read or written.
    Io = "io",
    /// The caller withdrew the request.
    Cancelled = "cancelled",
    /// The machine is leaving or its owner has paused it.
    Draining = "draining",
    /// The API key is missing or unknown.
    Unauthorized = "unauthorized",
    /// Too many requests for this key.
    RateLimited = "rate_limited",
    /// A bug or an unforeseen state; the log has the details.
    Internal = "internal",
    /// The orchestrator was gone while it ran.
    Interrupted = "interrupted",
    /// Nothing was paid for this.
    PaymentRequired = "payment_required",
    /// What was presented as payment does not do.
    PaymentRefused = "payment_refused",
    /// The session's money is spent, or its time is up.
    BudgetSpent = "budget_spent",
    /// The chain does not answer, or its answers contradict each other.
    ChainUnavailable = "chain_unavailable",
    /// The chain refuses a transaction.
    ChainRefused = "chain_refused",
    /// A spend limit of the wallet stands against it.
    SpendLimit = "spend_limit",
    /// The wallet has to be unlocked first.
    WalletLocked = "wallet_locked",
    /// This was written down already, by this or by another process.
    Duplicate = "duplicate",
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same call will fail the same way.
    Never,
    /// The same call may succeed after this many milliseconds.
    AfterMs(u64),
}

/// A failure as it crosses a port or leaves for a person: code, message, hint, and whether to retry.
///
/// Inside a crate, operations have error enums of their own; a fault is what they become at the edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Fault {
    /// For machines.
    pub code: FaultCode,
    /// What happened, in a sentence for people.
    pub message: String,
    /// What to do about it, where something can be done.
    pub hint: Option<String>,
    /// Whether trying again can help.
    pub retry: Retry,
}

impl Fault {
    /// A fault that trying again does not cure.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry: Retry::Never }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says that the same call may succeed after `ms` milliseconds.
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry = Retry::AfterMs(ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_the_wire_form() {
        for code in FaultCode::ALL {
            let wire = serde_json::to_value(code).unwrap();
            let parsed: FaultCode = serde_json::from_value(wire).unwrap();
            assert_eq!(parsed, *code);
        }
        assert_eq!(FaultCode::ContextLength.to_string(), "context_length_exceeded");
    }
}
