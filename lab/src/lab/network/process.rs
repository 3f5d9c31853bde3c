//! One process of the network, in a namespace, and what can be done to it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::lab::outcome::Failure;
use crate::lab::world::Namespace;

/// How long a process may take until it says that it is up, and until it has left.
const START: Duration = Duration::from_secs(60);
const LEAVE: Duration = Duration::from_secs(30);

/// How many lines of a log a failure shows.
const SHOWN: usize = 12;

/// A supervised process: it leaves when its standard input closes, and so when the lab dies.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    frozen: bool,
}

impl Process {
    /// Starts a program in a namespace and waits for its first line, which is JSON. Its log goes to a file of its name.
    pub(crate) async fn start(
        namespace: &Namespace,
        name: &str,
        program: &Path,
        arguments: &[String],
        logs: &Path,
    ) -> Result<(Self, Value), Failure> {
        let failed = |what: String| Failure::new(format!("{name} could not be started: {what}"));
        let log = logs.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let file = file.map_err(Failure::of(log.display()))?;
        // `ip netns exec` becomes the program: the process id is the program's own.
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace.name()])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::of("ip netns exec"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no standard output".to_owned()))?;
        let this = Self { name: name.to_owned(), child, stdin, log, frozen: false };
        let mut lines = BufReader::new(stdout.take(64 * 1024)).lines();
        match timeout(START, lines.next_line()).await {
            Ok(Ok(Some(line))) => match serde_json::from_str(&line) {
                Ok(ready) => Ok((this, ready)),
                Err(error) => Err(failed(format!("its first line is not JSON ({error}): {line}"))),
            },
            Ok(_) => Err(failed(format!("it ended at once:\n{}", this.last_words()))),
            Err(_) => Err(failed(format!("it was not up within {} s:\n{}", START.as_secs(), this.last_words()))),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            kill(Pid::from_raw(pid), signal).ok();
        }
    }

    /// Kills it and its children at once, as a power cut would.
    pub(crate) async fn kill(&mut self) {
        let children = self.child.id().map(children).unwrap_or_default();
        self.signal(Signal::SIGKILL);
        for child in children {
            kill(Pid::from_raw(child), Signal::SIGKILL).ok();
        }
        self.child.wait().await.ok();
    }

    /// Stops it where it stands; its sockets stay open and its children run.
    pub(crate) fn freeze(&mut self) {
        self.frozen = true;
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) {
        self.frozen = false;
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to leave, without waiting.
    pub(crate) fn dismiss(&mut self) {
        drop(self.stdin.take());
    }

    /// Asks it to leave and waits until it has. `false` if it failed, or took too long and had to be killed.
    pub(crate) async fn leave(mut self) -> bool {
        if self.frozen {
            self.thaw();
        }
        self.dismiss();
        match timeout(LEAVE, self.child.wait()).await {
            Ok(Ok(status)) => status.success(),
            _ => {
                self.kill().await;
                false
            }
        }
    }

    /// Bytes of memory that it has in use now.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<i32> {
    let Ok(entries) = Path::new("/proc").read_dir() else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| parent_of(*pid) == Some(parent)).collect()
}

/// A process's parent, from `/proc/PID/stat`: the second field after the name, which is in brackets.
fn parent_of(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = children(std::process::id()).contains(&i32::try_from(child.id()).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
