//! What can be said on the command line.

use clap::{Parser, Subcommand};

/// Builds networks of home machines in network namespaces, and does things to them.
#[derive(Parser)]
#[command(name = "computepool-lab", version)]
pub(crate) struct Arguments {
    /// Decides everything that is left to chance; printed, so that a run can be repeated.
    #[arg(long, global = true)]
    pub(crate) seed: Option<u64>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Build a world and look whether its delays, rates and routers are what they say.
    World,
}
