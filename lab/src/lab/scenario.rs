//! What is done in a world, and what must come of it.

mod advisor;
mod attacks;
mod failover;
mod forming;
mod questions;
mod restart;
mod symmetric;
mod view;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::network::Programs;
use super::outcome::{Failure, Findings, Outcome};
use super::world::{HomePlan, Link, Nat, Public, World};

/// What the scenarios share.
pub(crate) struct Settings {
    /// What runs.
    pub(crate) programs: Programs,
    /// Decides everything that is left to chance.
    pub(crate) seed: u64,
    /// How many generations the failover scenario disturbs.
    pub(crate) count: usize,
    /// The round trip time between homes.
    pub(crate) rtt: Duration,
    /// The routers of the homes.
    pub(crate) nats: Vec<Nat>,
}

impl Settings {
    /// Homes with the routers asked for, at the distance asked for.
    fn plans(&self) -> Vec<HomePlan> {
        self.nats.iter().map(|nat| HomePlan { nat: *nat, link: Link::between_homes(self.rtt) }).collect()
    }

    /// A folder of this name among the logs, empty.
    fn fresh_folder(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.programs.folder.join(name);
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).map_err(Failure::of(folder.display()))?;
        Ok(folder)
    }
}

/// The scenarios, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Six homes join by an invite link, and a chat answers.
    Forming,
    /// Members of the route are killed, frozen and cut off in mid-generation, and leave politely.
    Failover,
    /// Homes behind symmetric routers are served through the relay.
    Symmetric,
    /// What the advisor predicts, beside what comes of it.
    Advisor,
    /// Floods of connections and garbage while somebody reads an answer.
    Attacks,
    /// The orchestrator is killed and comes back.
    Restart,
}

impl Scenario {
    /// All, as `run all` runs them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Forming, Self::Failover, Self::Symmetric, Self::Advisor, Self::Attacks, Self::Restart];

    /// Runs it in a world of its own, and says what it found.
    pub(crate) fn run(self, settings: &Settings) -> Outcome {
        println!("\n== {self:?}");
        match self {
            Self::Forming => forming::run(settings),
            Self::Failover => failover::run(settings),
            Self::Symmetric => symmetric::run(settings),
            Self::Advisor => advisor::run(settings),
            Self::Attacks => attacks::run(settings),
            Self::Restart => restart::run(settings),
        }
    }
}

/// Why a scenario ended that somebody ended by hand; those after it are not run.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// Runs `work` as the user's host of a world: what it opens is opened there. Ctrl-C ends it as a failure, so that the
/// world is taken down.
fn as_user<T: Send>(world: &World, work: impl AsyncFnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    world.public(Public::User).within(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(Failure::of("an async runtime"))?.block_on(async {
            tokio::select! {
                done = work() => done,
                () = interrupted() => Err(Failure::new(INTERRUPTED)),
            }
        })
    })
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Says what goes on, for those who watch.
fn note(what: impl Display) {
    println!("{what}");
}

/// Milliseconds, for tables and figures.
fn ms(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1e3)
}

/// Seconds, for tables and figures.
fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

/// A network must also end in order.
fn expect_order(findings: &mut Findings, unruly: &[String]) {
    findings.expect(unruly.is_empty(), format!("did not leave in order: {}", unruly.join(", ")));
}
