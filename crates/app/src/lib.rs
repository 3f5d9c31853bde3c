//! The composition root: settings and the wiring of every other crate.
//!
//! Four things run from here: an [`orchestrator`] with its HTTP face, a [`node`] with its engine, a [`relay`], and a
//! [`cluster`] of the first two as separate processes on one machine. A host (the command line, later the desktop application) chooses settings
//! and shows what comes back; all joining is done here.

pub mod accounts;
pub mod chains;
pub mod cluster;
pub mod deployments;
pub mod desktop;
pub mod devnet;
pub mod door;
pub mod earnings;
pub mod endpoint;
mod identity;
pub mod logging;
pub mod models;
pub mod money;
pub mod node;
pub mod onlooker;
pub mod orchestrator;
pub mod paths;
pub mod paying;
pub mod policy;
pub mod preflight;
pub mod purse;
pub mod relay;
pub mod sessions;
mod stock;
pub mod supervised;

pub use computepool_api::{ApiKey, KeyDigest, KeyLimits, openapi_json};
pub use computepool_engine::client::EngineSnapshot;
pub use computepool_model::catalogue::{ModelSource, sample_model_path};
pub use computepool_node::ExitReason;
pub use computepool_transport::RelayLimits;
pub use stock::ShelfSettings;
