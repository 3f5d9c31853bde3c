//! Nodes, routes, sessions and generations as a pure state machine with effects.
//!
//! [`apply`] takes the [`State`] and one [`Event`] and says what to do about it as a list of [`Effect`]s. It reads no
//! clock and draws no random number: times and fresh ids come inside the events, so the same events always give the
//! same effects. [`Orchestrator`] is the thin task around it that listens to nodes and clients and carries the
//! effects out; [`OrchestratorHandle`] is what the HTTP face talks to.
//!
//! A client's generation runs as one or several *legs*, each a generation of its own to the nodes, on a route of its own:
//! when a node is lost, or leaves, the next leg is told every token that the client was given and goes on from there. The
//! client sees one sequence. What must outlast the process is told as records, and given back to [`State::restore`] in
//! the next life.
//!
//! This crate knows the ports of `computepool-core` and nothing else. It cannot name a socket, a tensor or a
//! contract, and no activation ever passes through it.
//!
//! ```
//! use computepool_core::LayerRange;
//! use computepool_orchestrator::plan::{Candidate, plan};
//! # use computepool_core::{ContentHash, ModelId, ModelSummary};
//! # use computepool_orchestrator::PoolSettings;
//! # let summary = ModelSummary {
//! #     id: ModelId::new("m").unwrap(), hash: ContentHash([0; 32]), architecture: "llama".into(), layer_count: 4,
//! #     hidden: 8, vocabulary: 32, context: 128, layer_bytes: vec![10; 4], embedding_bytes: 10, head_bytes: 10,
//! #     kv_bytes_per_token_layer: 1,
//! # };
//! let settings = PoolSettings::new(summary, 2);
//! let anyone = Candidate { insisted: None, memory_bytes: 1 << 40 };
//! let shares = plan(&settings, &[anyone, anyone]).unwrap();
//! assert_eq!(shares[0].layers, LayerRange::new(0, 2).unwrap());
//! assert_eq!(shares[1].layers, LayerRange::new(2, 4).unwrap());
//! ```

mod actor;
pub mod advisor;
mod event;
mod handle;
mod journaling;
pub mod plan;
mod refusal;
mod settings;
mod state;

pub use actor::{Orchestrator, Ports};
pub use event::{Asked, Cancelling, Effect, Event, EventKind};
pub use handle::{OrchestratorHandle, Snapshot};
pub use refusal::{Loss, Refusal, RouteGap, Violation};
pub use settings::{Limits, MAX_SHARDS, PoolSettings, SettingsError};
pub use state::{Footprint, State, apply};
