//! What this process uses.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

use crate::pipe::EngineStats;

/// Reads the process's memory, and remembers the most it saw.
pub(super) struct Meter {
    system: Option<System>,
    peak: u64,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { system: System::new().ok(), peak: 0 }
    }

    /// Memory in use now and at most; 0 where the system does not tell.
    pub(super) fn read(&mut self) -> EngineStats {
        let rss_bytes = self.resident().unwrap_or(0);
        self.peak = self.peak.max(rss_bytes).max(recorded_peak().unwrap_or(0));
        EngineStats { rss_bytes, peak_rss_bytes: self.peak, kv_tokens_used: 0 }
    }

    fn resident(&mut self) -> Option<u64> {
        let pid = get_current_pid().ok()?;
        let kind = ProcessRefreshKind::nothing().with_memory();
        let system = self.system.as_mut()?;
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
        Some(system.process(pid)?.memory())
    }
}

/// The most memory the process ever had, as the kernel recorded it.
#[cfg(target_os = "linux")]
fn recorded_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(not(target_os = "linux"))]
fn recorded_peak() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_remembers_what_the_present_forgets() {
        let mut meter = Meter::new();
        let before = meter.read();
        assert!(before.rss_bytes > 1024 * 1024);
        let mut block = vec![1u8; 64 * 1024 * 1024];
        std::hint::black_box(&mut block);
        let during = meter.read();
        assert!(during.rss_bytes >= before.rss_bytes + 50 * 1024 * 1024, "{before:?} {during:?}");
        drop(block);
        let after = meter.read();
        assert!(after.peak_rss_bytes >= during.rss_bytes && after.peak_rss_bytes >= after.rss_bytes);
    }
}
