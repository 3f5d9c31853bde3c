//! What the owner of an endpoint may choose.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::{ApiKey, KeyLimits};

/// How an endpoint behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiOptions {
    /// The keys that are accepted. Without any, everybody is the client `local`.
    pub keys: Vec<ApiKey>,
    /// What each client may do, unless its key says otherwise.
    pub key_limits: KeyLimits,
    /// What the client `local` may do, where no keys are configured.
    pub local_limits: KeyLimits,
    /// What all strangers together may do, where they pay. Their sessions have limits of their own.
    pub stranger_limits: KeyLimits,
    /// What one request may ask for.
    pub limits: RequestLimits,
    /// Tokens produced when a request names no limit and the context leaves room for more.
    pub default_max_tokens: u32,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// A comment goes out on a stream that was silent for this long, so that proxies keep it open.
    pub keep_alive: Duration,
    /// A stream whose client takes nothing for this long is given up, and its generation with it.
    pub stalled_client: Duration,
    /// Web origins that browsers may call from; `*` is any. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Whether `/health` and `/metrics` ask for a key too, where keys are configured.
    pub key_for_health: bool,
}

/// What one request may ask for; more is refused with a 400 that names the limit (413 for the body).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestLimits {
    /// Bytes of a request body.
    pub body_bytes: usize,
    /// Messages of a chat.
    pub messages: usize,
    /// Tools offered in a chat.
    pub tools: usize,
    /// Bytes of one JSON schema.
    pub schema_bytes: usize,
    /// Bytes of one stop string.
    pub stop_bytes: usize,
    /// Answers to one prompt (`n`).
    pub choices: u32,
    /// Generations of one request: prompts times `n`.
    pub generations: u32,
    /// Tokens with a `logit_bias`.
    pub biases: usize,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            key_limits: KeyLimits::default(),
            local_limits: KeyLimits { per_minute: None, ..KeyLimits::default() },
            stranger_limits: KeyLimits { generations: 1024, per_minute: NonZeroU32::new(6000), burst: None },
            limits: RequestLimits::default(),
            default_max_tokens: 1024,
            body_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(15),
            stalled_client: Duration::from_secs(60),
            allowed_origins: Vec::new(),
            key_for_health: false,
        }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 4 * 1024 * 1024,
            messages: 2048,
            tools: 128,
            schema_bytes: 64 * 1024,
            stop_bytes: 256,
            choices: 8,
            generations: 32,
            biases: 1024,
        }
    }
}
