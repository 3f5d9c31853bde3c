//! Measures what an owner is promised: whenever something says that the machine is wanted back, the verdict falls within
//! a second, the engine's memory is back within two, and no answer that others were getting is harmed.
//!
//! Everything is real: a network of processes, one of whose nodes is a desktop application with its sensors; an X server
//! for input and windows; processes; and the files of `/sys`, in a folder of this program's own, where a machine without
//! battery or GPU has none. `make owner-first` runs it.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark answers on standard output, and ends where it fails"
)]

mod machine;
mod network;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use computepool_app::policy::{Rules, When};
use machine::{Machine, Trigger};
use network::Ring;
use table::Row;

/// What is promised.
const VERDICT: Duration = Duration::from_secs(1);
const MEMORY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    computepool_app::logging::start("warn");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let kept = runtime.block_on(measure());
    runtime.shutdown_background();
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn measure() -> bool {
    let began = Instant::now();
    let machine = Machine::start();
    let mut ring = Ring::start(&machine).await;
    println!(
        "[{:5.1} s] four nodes serve a model at two places; one of them is this desktop",
        began.elapsed().as_secs_f64()
    );
    let rules = Rules { when: When::Idle { minutes: 1 }, exclusive_apps: vec!["blender".into()], ..Rules::default() };
    ring.desktop.set(|settings| settings.rules = rules.clone()).unwrap();
    let right = ring.answer().await;
    let mut rows = Vec::new();
    for trigger in Trigger::ALL {
        ring.redundant().await;
        let row = one(&machine, &mut ring, trigger, &right).await;
        println!("[{:5.1} s] {}: {}", began.elapsed().as_secs_f64(), row.trigger, row.reason);
        rows.push(row);
        machine.undo(trigger, &ring.desktop, &rules);
    }
    let left = ring.leave().await;
    let kept = rows.iter().all(Row::kept);
    table::print(&rows);
    let worst = |of: fn(&Row) -> Duration| rows.iter().map(of).max().unwrap_or_default().as_millis();
    println!(
        "triggers={} verdict_ms={} memory_ms={} answers={} harmed={}",
        rows.len(),
        worst(|row| row.verdict),
        worst(|row| row.memory),
        rows.iter().map(|row| row.answers).sum::<usize>(),
        rows.iter().map(|row| row.harmed).sum::<usize>()
    );
    kept && left
}

/// One owner's return, while the machine serves.
async fn one(machine: &Machine, ring: &mut Ring, trigger: Trigger, right: &str) -> Row {
    let answers = ring.ask_until_served().await;
    let (mut verdicts, mut engine) = (ring.desktop.verdicts(), ring.desktop.sharing());
    let (pid, before) = {
        let sharing = engine.borrow_and_update();
        (sharing.engine.pid.expect("it serves"), sharing.engine.rss_bytes)
    };
    let pulled = Instant::now();
    machine.pull(trigger, &ring.desktop).await;
    let judged = verdicts.wait_for(|verdict| verdict.duty == computepool_app::node::Duty::Release);
    let judged = tokio::time::timeout(Duration::from_secs(30), judged).await;
    let verdict = pulled.elapsed();
    let reason = judged.map_or_else(|_| "never".to_owned(), |verdict| verdict.unwrap().reason().to_string());
    // The kernel's word, not our own: the process that held the memory is no more.
    while machine::runs(pid) && pulled.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let memory = pulled.elapsed();
    let mut row = Row { trigger: trigger.name(), reason, verdict, memory, freed: before, ..Row::default() };
    for answer in answers {
        let answer = answer.await.unwrap();
        row.answers += 1;
        row.pause = row.pause.max(answer.longest_pause);
        row.harmed += usize::from(answer.text != right);
    }
    row
}
