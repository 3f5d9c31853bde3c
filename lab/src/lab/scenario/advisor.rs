//! What is predicted of a ring before it runs, beside what comes of it, for several shapes of ring.

use std::time::Duration;

use super::{Settings, as_user, expect_order, ms, note, questions};
use crate::lab::answer::median;
use crate::lab::network::{FORM, Network, Pace, Pool, Status};
use crate::lab::outcome::{Failure, Findings, Outcome};
use crate::lab::table::Table;
use crate::lab::world::{HomePlan, Link, Nat, World};

/// How far a prediction may be from what is measured, as a share of it.
const BOUND: f64 = 0.2;

const TOKENS: u32 = 48;

/// Answers that a figure is the median of.
const ANSWERS: usize = 3;

/// Time for the last measurements to reach the planner.
const SETTLE: Duration = Duration::from_secs(2);

/// One ring.
struct Shape {
    name: &'static str,
    shards: u32,
    rtt: Duration,
    /// Megabits a second up and down.
    rates: Option<(u64, u64)>,
    /// Engine threads of every node; one less unequal where they differ.
    threads: [u32; 3],
}

const SHAPES: [Shape; 7] = [
    shape("solo", 1, 0, None, [1, 1, 1]),
    shape("two at 0 ms", 2, 0, None, [1, 1, 1]),
    shape("two at 25 ms", 2, 25, None, [1, 1, 1]),
    shape("three at 10 ms", 3, 10, None, [1, 1, 1]),
    shape("three at 50 ms", 3, 50, None, [1, 1, 1]),
    shape("three at 25 ms, 5/20 Mbit/s", 3, 25, Some((5, 20)), [1, 1, 1]),
    shape("three at 10 ms, one of them faster", 3, 10, None, [2, 1, 1]),
];

const fn shape(name: &'static str, shards: u32, rtt: u64, rates: Option<(u64, u64)>, threads: [u32; 3]) -> Shape {
    Shape { name, shards, rtt: Duration::from_millis(rtt), rates, threads }
}

/// What was said of a ring, and what it did.
struct Pair {
    predicted: Duration,
    /// What the orchestrator has measured.
    said: Duration,
    /// What a client has.
    measured: Duration,
}

impl Pair {
    /// The error of the prediction, as a share of what a client measured.
    fn error(&self) -> f64 {
        (self.predicted.as_secs_f64() - self.measured.as_secs_f64()) / self.measured.as_secs_f64().max(1e-9)
    }
}

pub(super) fn run(settings: &Settings) -> Outcome {
    let mut findings = Findings::default();
    let mut table = Table::new(&["ring", "predicted ms", "orchestrator's ms", "client's ms", "error"]);
    let mut worst: f64 = 0.0;
    for shape in &SHAPES {
        let pair = measure(settings, shape, &mut findings)?;
        let error = pair.error();
        worst = worst.max(error.abs());
        let what =
            format!("{}: predicted {} ms a token and measured {}", shape.name, ms(pair.predicted), ms(pair.measured));
        findings.expect(error.abs() <= BOUND, what);
        let times = [pair.predicted, pair.said, pair.measured].map(|time| format!("{:.1}", time.as_secs_f64() * 1e3));
        table.row([vec![shape.name.to_owned()], times.to_vec(), vec![format!("{:+.0} %", error * 100.0)]].concat());
    }
    table.print("Time per token, predicted and measured");
    findings.figures.add("advisor_shapes", SHAPES.len());
    findings.figures.add("advisor_error_max_pct", format!("{:.0}", worst * 100.0));
    Ok(findings)
}

fn measure(settings: &Settings, shape: &Shape, findings: &mut Findings) -> Result<Pair, Failure> {
    let mut link = Link::between_homes(shape.rtt);
    if let Some((up, down)) = shape.rates {
        link = link.rates(up, down);
    }
    let homes = vec![HomePlan { nat: Nat::Cone, link }; shape.shards as usize];
    let world = World::build(&homes, settings.seed)?;
    as_user(&world, async || {
        let pool = Pool { shards: shape.shards, ..Pool::default() };
        let mut network = Network::start(&world, &settings.programs, pool, None).await?;
        for (home, threads) in (0..homes.len()).zip(shape.threads) {
            network.join(home, threads).await?;
        }
        network.whole(FORM).await?;
        // Nodes measure their paths once they know of each other; until then the planner has to assume.
        let neighbours = usize::from(shape.shards > 1);
        let known = |status: &Status| {
            status.pool().is_some_and(|pool| pool.predicted.is_some())
                && status.nodes.iter().all(|node| node.links.len() >= neighbours)
        };
        network.until("paths are not measured, or nothing is predicted", FORM, known).await?;
        tokio::time::sleep(SETTLE).await;
        let asker = network.asker();
        let status = asker.status().await?;
        let pace = |pace: Option<Pace>| Duration::from_micros(pace.map_or(0, |pace| pace.token_us));
        let predicted = pace(status.pool().and_then(|pool| pool.predicted));
        if let Some(advice) = status.pool().and_then(|pool| pool.advice.as_deref()) {
            note(format!("{}: {advice}", shape.name));
        }
        let mut times = Vec::new();
        for _ in 0..ANSWERS {
            let answer = asker.ask(&questions::one(TOKENS)).await;
            if let Some(error) = answer.error {
                return Err(Failure::new(format!("{}: {error}", shape.name)));
            }
            times.push(answer.token_time());
        }
        let said = pace(asker.status().await?.pool().and_then(|pool| pool.measured));
        expect_order(findings, &network.leave().await);
        Ok(Pair { predicted, said, measured: median(&times) })
    })
}
