//! Watching one process: has it loaded, and is it still alive?

use std::time::Duration;

use computepool_core::{ModelSpeed, ShardInfo};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::death::Loss;
use super::launch::Timing;
use super::process::{Process, Reply};
use super::snapshot::EngineSnapshot;

/// A ping that is not answered yet.
struct Ping {
    number: u64,
    asked: Instant,
    /// There may have been no room for it.
    sent: bool,
}

impl Process {
    /// Waits until the shard is loaded.
    pub(super) async fn loaded(&mut self, limit: Duration) -> Result<ShardInfo, Loss> {
        let answer = async {
            loop {
                return match self.replies.recv().await {
                    Some(Reply::Loaded(info)) => Ok(info),
                    Some(Reply::LoadFailed(fault)) => Err(Loss::LoadFailed(fault)),
                    Some(Reply::Pong { .. }) => continue,
                    Some(reply) => Err(loss(reply)),
                    None => Err(Loss::Ended),
                };
            }
        };
        timeout(limit, answer).await.unwrap_or(Err(Loss::SlowLoad(limit)))
    }

    /// Waits until the model is timed.
    pub(super) async fn measured(&mut self, limit: Duration) -> Result<ModelSpeed, Loss> {
        let answer = async {
            match self.replies.recv().await {
                Some(Reply::Measured(speed)) => Ok(speed),
                Some(Reply::LoadFailed(fault)) => Err(Loss::LoadFailed(fault)),
                Some(reply) => Err(loss(reply)),
                None => Err(Loss::Ended),
            }
        };
        timeout(limit, answer).await.unwrap_or(Err(Loss::SlowMeasure(limit)))
    }

    /// Returns once the process is lost. Meanwhile it is pinged, and what it says of itself is put on record.
    pub(super) async fn lost(&mut self, timing: &Timing, record: &watch::Sender<EngineSnapshot>) -> Loss {
        let mut ticks = interval(timing.ping);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut numbers = 0;
        let mut open: Option<Ping> = None;
        loop {
            tokio::select! {
                biased;
                reply = self.replies.recv() => match reply {
                    Some(Reply::Pong { number, stats }) => {
                        record.send_modify(|snapshot| snapshot.report(stats));
                        open = open.filter(|ping| ping.number != number);
                    }
                    Some(reply) => return loss(reply),
                    None => return Loss::Ended,
                },
                _ = self.child.wait() => return Loss::Ended,
                _ = ticks.tick() => {
                    let ping = open.get_or_insert_with(|| {
                        numbers += 1;
                        Ping { number: numbers, asked: Instant::now(), sent: false }
                    });
                    ping.sent = ping.sent || self.lane.ping(ping.number);
                    if ping.asked.max(self.heard.last()).elapsed() > timing.silence {
                        return Loss::Silent(timing.silence);
                    }
                }
            }
        }
    }
}

/// Anything but a pong ends a process that serves.
fn loss(reply: Reply) -> Loss {
    match reply {
        Reply::Fatal(fault) => Loss::Fatal(fault),
        Reply::Misspoke(error) => Loss::Misspoke(error.to_string()),
        Reply::Loaded(_) | Reply::LoadFailed(_) | Reply::Measured(_) | Reply::Pong { .. } => {
            Loss::Misspoke("it answered what it was not asked".to_owned())
        }
    }
}
