//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::scenario::Scenario;
use super::world::Nat;

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
    /// Run scenarios; all of them when none is named.
    Run(RunArguments),
}

/// What the scenarios are run with.
#[derive(Args)]
pub(crate) struct RunArguments {
    /// Which.
    pub(crate) scenarios: Vec<Scenario>,
    /// The model, a GGUF file or a Hugging Face folder; the sample model when absent.
    #[arg(long)]
    pub(crate) model: Option<PathBuf>,
    /// Generations that are disturbed in the failover scenario.
    #[arg(long, default_value_t = 60)]
    pub(crate) count: usize,
    /// Milliseconds from one home to another and back.
    #[arg(long, default_value_t = 25)]
    pub(crate) rtt: u64,
    /// The homes' routers, one for each home: open, cone or symmetric.
    #[arg(long, value_delimiter = ',', default_value = "cone,cone,cone,symmetric,symmetric,symmetric")]
    pub(crate) homes: Vec<Nat>,
    /// Where logs go; a folder of this run's own when absent, which goes when all is well.
    #[arg(long)]
    pub(crate) logs: Option<PathBuf>,
    /// Which log lines the processes write, in the syntax of RUST_LOG.
    #[arg(long, default_value = "info")]
    pub(crate) log: String,
}
