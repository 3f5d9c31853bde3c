//! How long something took this thread.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

/// From this on, a time is worth a second look: the machine may have been busy with something else.
const DOUBTFUL: Duration = Duration::from_millis(20);

/// Measures time by the clock; long times by what the scheduler gave this thread, where that can be known (Linux).
pub(crate) struct Stopwatch {
    scheduled: Option<File>,
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self { scheduled: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// Does something and says how long it took.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> (T, Duration) {
        let (before, started) = (self.on_cpu(), Instant::now());
        let done = work();
        let mut took = started.elapsed();
        if took > DOUBTFUL
            && let (Some(before), Some(after)) = (before, self.on_cpu())
        {
            took = took.min(after.saturating_sub(before).max(DOUBTFUL));
        }
        (done, took)
    }

    /// What this thread has had of the processors so far.
    fn on_cpu(&mut self) -> Option<Duration> {
        let mut buffer = [0; 96];
        let file = self.scheduled.as_mut()?;
        file.seek(SeekFrom::Start(0)).ok()?;
        let length = file.read(&mut buffer).ok()?;
        let nanoseconds = std::str::from_utf8(&buffer[..length]).ok()?.split_whitespace().next()?.parse().ok()?;
        Some(Duration::from_nanos(nanoseconds))
    }
}

/// Bytes of memory this process has, where that can be known (Linux).
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
