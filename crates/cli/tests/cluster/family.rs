//! The processes that a test has started, whoever started them for it.

use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

/// The machine's processes at one moment.
pub(crate) struct Family(System);

impl Family {
    pub(crate) fn now() -> Self {
        let mut system = System::new().unwrap();
        let kind = ProcessRefreshKind::nothing().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        Self(system)
    }

    /// The ids of all processes below this one.
    pub(crate) fn below(&self, ancestor: u32) -> Vec<u32> {
        let mut found = vec![Pid::from_u32(ancestor)];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let children = self.0.processes().iter().filter(|(_, process)| process.parent() == Some(parent));
            found.extend(children.map(|(pid, _)| *pid));
            next += 1;
        }
        found.into_iter().skip(1).map(Pid::as_u32).collect()
    }

    /// Whether a process runs; one that only waits to be buried does not.
    pub(crate) fn runs(&self, pid: u32) -> bool {
        let process = self.0.process(Pid::from_u32(pid));
        process.is_some_and(|process| !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead))
    }

    /// Bytes of memory of a process.
    pub(crate) fn memory(&self, pid: u32) -> u64 {
        self.0.process(Pid::from_u32(pid)).map_or(0, sysinfo::Process::memory)
    }

    /// Kills a process as a crash would.
    pub(crate) fn kill(&self, pid: u32) {
        let process = self.0.process(Pid::from_u32(pid)).unwrap_or_else(|| panic!("process {pid} is gone already"));
        assert!(process.kill(), "process {pid} cannot be killed");
    }
}

/// Waits until none of these runs; the time it took.
pub(crate) async fn gone(pids: &[u32], patience: Duration) -> Duration {
    let began = Instant::now();
    loop {
        let now = Family::now();
        let left: Vec<u32> = pids.iter().copied().filter(|pid| now.runs(*pid)).collect();
        if left.is_empty() {
            return began.elapsed();
        }
        assert!(began.elapsed() < patience, "still running after {patience:?}: {left:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
