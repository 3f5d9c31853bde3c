//! `computepool`, the headless host.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line answers on its standard streams")]

mod arguments;
mod bench;
mod chat;
mod demo;
mod deploy;
mod desktop;
mod devnet;
mod earnings;
mod memory;
mod network;
mod purse;
mod serve;
mod sessions;
mod show;
mod wallet;

use std::process::ExitCode;

use clap::Parser;
use computepool_core::Fault;

use arguments::{Arguments, Task};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    computepool_app::logging::start(&arguments.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(arguments.task));
    // Reading standard input blocks a thread of its own that nothing can wake.
    runtime.shutdown_background();
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("error: {fault}");
            if let Some(hint) = &fault.hint {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Whether the task did what was asked.
async fn run(task: Task) -> Result<bool, Fault> {
    match task {
        Task::Demo(arguments) => demo::demo(arguments).await,
        Task::Up(arguments) => demo::up(arguments).await,
        Task::Node(arguments) => serve::node(arguments).await.map(|()| true),
        Task::Orchestrator(arguments) => serve::orchestrator(arguments).await.map(|()| true),
        Task::Relay(arguments) => serve::relay(arguments).await.map(|()| true),
        Task::Desktop(arguments) => desktop::desktop(*arguments).await,
        Task::Devnet(arguments) => devnet::devnet(arguments).await.map(|()| true),
        Task::Deploy(arguments) => deploy::deploy(arguments).await.map(|()| true),
        Task::Wallet(arguments) => wallet::wallet(arguments).await,
        Task::Sessions(arguments) => sessions::sessions(arguments).await.map(|()| true),
        Task::Earnings(arguments) => earnings::earnings(arguments).await.map(|()| true),
        Task::Network(arguments) => network::show(arguments).await.map(|()| true),
        Task::Preflight(arguments) => network::preflight(arguments).await.map(|()| true),
        Task::Chat(arguments) => chat::chat(arguments.options()?).await.map(|()| true),
        Task::Pay(arguments) => sessions::open(arguments).await.map(|()| true),
        Task::Models(arguments) => show::models(arguments).await.map(|()| true),
        Task::Bench(arguments) => bench::bench(arguments).await,
        Task::Memory(arguments) => memory::memory(arguments).await,
    }
}
