//! What is done to the network, and when.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::proxy::Says;
use crate::world::World;

/// One kind of blow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Blow {
    KillOrchestrator,
    StallOrchestrator,
    KillNode,
    StallNode,
    KillEngine,
    RpcAway,
    RpcSilent,
    RpcLate,
    RpcWrong,
    RpcTwice,
    RpcLosesTransactions,
}

const ALL: [Blow; 11] = [
    Blow::KillOrchestrator,
    Blow::StallOrchestrator,
    Blow::KillNode,
    Blow::StallNode,
    Blow::KillEngine,
    Blow::RpcAway,
    Blow::RpcSilent,
    Blow::RpcLate,
    Blow::RpcWrong,
    Blow::RpcTwice,
    Blow::RpcLosesTransactions,
];

/// What was done so far.
#[derive(Default)]
pub(crate) struct Blows(BTreeMap<Blow, u32>);

impl Blows {
    /// One blow after the other, until this is dropped. Each kind comes once before any comes twice.
    pub(crate) async fn rain(&mut self, world: &Arc<Mutex<World>>, dice: &mut StdRng) {
        let mut left: Vec<Blow> = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_millis(dice.random_range(500..3_000))).await;
            if left.is_empty() {
                left = ALL.to_vec();
            }
            let blow = left.swap_remove(dice.random_range(0..left.len()));
            *self.0.entry(blow).or_default() += 1;
            strike(&mut *world.lock().await, blow, dice).await;
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.values().sum()
    }

    pub(crate) fn table(&self) -> String {
        self.0.iter().map(|(blow, count)| format!("{blow:?} {count}")).collect::<Vec<_>>().join(", ")
    }
}

async fn strike(world: &mut World, blow: Blow, dice: &mut StdRng) {
    let ms = |dice: &mut StdRng, from, to| Duration::from_millis(dice.random_range(from..to));
    let node = dice.random_range(0..world.nodes.len());
    match blow {
        Blow::KillOrchestrator => world.kill_orchestrator(ms(dice, 0, 2_000)).await,
        Blow::KillNode => world.kill_node(node, ms(dice, 0, 3_000)).await,
        Blow::StallOrchestrator => stall(world.orchestrator.pid(), ms(dice, 500, 4_000)).await,
        Blow::StallNode => stall(world.nodes[node].pid(), ms(dice, 500, 7_000)).await,
        Blow::KillEngine => {
            let nodes = world.status().await.map(|status| status.nodes).unwrap_or_default();
            let pids: Vec<u32> = nodes.iter().filter_map(|node| node.usage?.pid).collect();
            if let Some(pid) = pids.get(dice.random_range(0..pids.len().max(1))) {
                signal(*pid, "KILL");
            }
        }
        Blow::RpcAway => {
            world.proxy.behave(|_, _, _| Says::Fails(503));
            rest(world, ms(dice, 1_000, 6_000)).await;
        }
        Blow::RpcSilent => {
            world.proxy.fall_silent(true);
            rest(world, ms(dice, 1_000, 6_000)).await;
        }
        Blow::RpcLate => {
            let late = ms(dice, 50, 1_500);
            world.proxy.behave(move |_, _, _| Says::Late(late));
            rest(world, ms(dice, 2_000, 6_000)).await;
        }
        Blow::RpcWrong => {
            let lies = [Value::Null, json!("0x"), json!(format!("0x{:064x}", 0)), json!([]), json!("no")];
            let mut turn: usize = dice.random_range(0..lies.len());
            world.proxy.behave(move |_, _, _| {
                turn += 1;
                if turn.is_multiple_of(3) { Says::This(lies[turn / 3 % lies.len()].clone()) } else { Says::Truth }
            });
            rest(world, ms(dice, 1_000, 5_000)).await;
        }
        Blow::RpcTwice => {
            world.proxy.behave(|_, _, _| Says::Twice);
            rest(world, ms(dice, 1_000, 6_000)).await;
        }
        Blow::RpcLosesTransactions => {
            world.proxy.lose_transactions(true);
            rest(world, ms(dice, 1_000, 5_000)).await;
        }
    }
}

/// Lets it last for so long, then makes the chain's endpoint honest again.
async fn rest(world: &World, span: Duration) {
    tokio::time::sleep(span).await;
    world.proxy.fall_silent(false);
    world.proxy.lose_transactions(false);
    world.proxy.behave(|_, _, _| Says::Truth);
}

async fn stall(pid: Option<u32>, span: Duration) {
    let Some(pid) = pid else { return };
    signal(pid, "STOP");
    tokio::time::sleep(span).await;
    signal(pid, "CONT");
}

/// Sends a process a signal, by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    // It may have ended meanwhile.
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
}
