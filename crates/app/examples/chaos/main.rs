//! Paid generations while everything that can be killed, stalled or made to lie is; afterwards every unit is counted.
//! `make chaos` runs it: real processes, a real model, the real contracts on anvil.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a command line's only way to speak; it checks, and may fail loudly"
)]

mod audit;
mod blows;
mod clients;
#[path = "../../tests/adversaries/proxy.rs"]
#[expect(dead_code, reason = "the adversaries' tests use all of it")]
mod proxy;
mod vouchers;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::blows::Blows;
use crate::clients::Clients;
use crate::world::World;

/// Clients that ask at the same time.
const CLIENTS: u64 = 4;

#[tokio::main]
async fn main() {
    computepool_app::logging::start("warn");
    let mut arguments = std::env::args().skip(1);
    let generations: u64 = arguments.next().map_or(200, |text| text.parse().unwrap());
    let seed: u64 = arguments.next().map_or_else(rand::random, |text| text.parse().unwrap());
    println!("{generations} paid generations, seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let began = Instant::now();
    let world = World::start().await;
    println!(
        "the network is up and sold after {:.1} s; logs in {}",
        began.elapsed().as_secs_f64(),
        world.folder().display()
    );
    let before = world.books().await;
    let clients = Clients::new(&world, generations);
    let mut blows = Blows::default();
    let world = Arc::new(tokio::sync::Mutex::new(world));
    let asking = clients.clone().run(CLIENTS, seed);
    let served = tokio::select! {
        () = asking => true,
        () = blows.rain(&world, &mut dice) => unreachable!("it rains until the clients are done"),
        () = tokio::time::sleep(Duration::from_secs(20 * 60)) => false,
    };
    let mut world = Arc::into_inner(world).unwrap().into_inner();
    world.calm().await;
    println!("{}", blows.table());
    let sound = audit::audit(&world, &before, &clients, &blows, began).await;
    world.leave().await;
    std::process::exit(i32::from(!(served && sound)));
}
