//! One network namespace, and running things in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::tool;
use crate::lab::outcome::Failure;

/// Where `ip netns` keeps the names.
pub(super) const NAMES: &str = "/run/netns";

/// A network namespace with a name, removed when dropped with all that runs in it.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one: IPv4 only, with its loopback up.
    pub(super) fn create(name: String) -> Result<Self, Failure> {
        tool::run("ip", &["netns", "add", &name], "")?;
        let this = Self { name };
        this.ip("link set lo up\n")?;
        // Neighbour discovery would keep every delayed link busy with packets that nobody wants.
        this.set("ipv6/conf/all/disable_ipv6", "1").ok();
        this.set("ipv6/conf/default/disable_ipv6", "1").ok();
        Ok(this)
    }

    /// Its name, for `ip netns exec`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip` commands in it.
    pub(super) fn ip(&self, lines: &str) -> Result<(), Failure> {
        tool::run("ip", &["-n", &self.name, "-batch", "-"], lines).map(drop)
    }

    /// Loads an nftables ruleset into it.
    pub(super) fn nft(&self, ruleset: &str) -> Result<(), Failure> {
        tool::run("ip", &["netns", "exec", &self.name, "nft", "-f", "-"], ruleset).map(drop)
    }

    /// Sets `/proc/sys/net/KEY`, which every namespace has its own of.
    pub(super) fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        let path = Path::new("/proc/sys/net").join(key);
        self.within(|| std::fs::write(&path, value).map_err(Failure::of(path.display())))
    }

    /// Runs `work` on a thread of its own inside the namespace: its sockets are this namespace's, and so are those of
    /// the threads it starts.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(&self.name)?;
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Bytes that have gone through one of its devices, in both directions together.
    pub(crate) fn traffic(&self, device: &str) -> Result<u64, Failure> {
        let text = tool::run("ip", &["-n", &self.name, "-s", "-j", "link", "show", device], "")?;
        let links: serde_json::Value = serde_json::from_str(&text).map_err(Failure::of("ip -j link"))?;
        let bytes = |way: &str| links[0]["stats64"][way]["bytes"].as_u64().unwrap_or(0);
        Ok(bytes("rx") + bytes("tx"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn enter(name: &str) -> Result<(), Failure> {
    let path: PathBuf = Path::new(NAMES).join(name);
    let file = File::open(&path).map_err(Failure::of(path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(Failure::of(format!("entering {name}")))
}

/// Ends what runs in a namespace, and removes it. Nothing is said of what is gone already.
pub(super) fn remove(name: &str) {
    let own = std::process::id().to_string();
    for pid in tool::run("ip", &["netns", "pids", name], "").unwrap_or_default().lines().filter(|pid| *pid != own) {
        if let Ok(pid) = pid.trim().parse() {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
    tool::run("ip", &["netns", "del", name], "").ok();
}
