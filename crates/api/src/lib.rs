//! The HTTP face: OpenAI wire types, server-sent events, keys and limits, metrics.
//!
//! It knows only the ports of `core`: [`Inference`](computepool_core::ports::Inference) runs a generation, and each
//! model's [`Text`](computepool_core::ports::Text) turns words into tokens and back. A request is checked, rendered
//! and bounded here; what leaves this crate towards the network is a [`Generate`](computepool_core::Generate).
//!
//! ```no_run
//! # async fn demo(inference: std::sync::Arc<dyn computepool_core::ports::Inference>) -> std::io::Result<()> {
//! use computepool_api::{ApiOptions, router, serve};
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let app = router(ApiOptions::default(), inference, None); // nobody pays
//! serve(listener, app, std::future::pending()).await
//! # }
//! ```

mod assembler;
mod body;
mod chat;
mod completions;
mod error;
mod gate;
mod gateway;
mod keys;
mod logprobs;
mod loopback;
mod messages;
mod metrics;
mod models;
mod openapi;
mod operations;
mod options;
mod prompt;
mod response_format;
mod router;
mod run;
mod sampling;
mod server;
mod sessions;
mod sse;
mod stop;
#[cfg(feature = "testkit")]
pub mod testkit;
mod toll;
mod tools;
mod wire;

pub use gateway::{Gateway, Onward, Returned, gateway};
pub use keys::{ApiKey, KeyDigest, KeyLimits};
pub use loopback::{Commands, LoopbackOptions, POLICY, loopback};
pub use openapi::openapi_json;
pub use options::{ApiOptions, RequestLimits};
pub use router::router;
pub use server::{DRAIN, serve};
