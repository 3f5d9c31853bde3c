//! Child processes of this same program that leave in order when told to, and when their parent dies.
//!
//! A supervised process gets a pipe as standard input and drains when it closes, which works alike on every system and
//! needs no signal. Its first line on standard output says in JSON that it is up; its log goes where the parent says.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use computepool_core::{Fault, FaultCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// How long a process may take until it is up. Its model was hashed before, so nothing slow is left to do.
const START: Duration = Duration::from_secs(60);

/// How long a process may take to leave before it is ended: more than an orchestrator's drain
/// ([`crate::orchestrator`]) and a node's ([`crate::node`]) can take.
const LEAVE: Duration = Duration::from_secs(25);

/// A running child process.
pub struct Supervised {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Supervised {
    /// Starts `program arguments…` and waits for its first line, which must be a `T` in JSON. The log goes to `log`.
    pub async fn start<T: DeserializeOwned>(
        name: &str,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> Result<(Self, T), Fault> {
        let failed = |what: String| Fault::new(FaultCode::Io, format!("{name} could not be started: {what}"));
        let log_file = std::fs::File::create(log).map_err(|error| failed(format!("{}: {error}", log.display())))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log_file).kill_on_drop(true);
        apart(&mut command);
        let mut child = command.spawn().map_err(|error| failed(format!("{}: {error}", program.display())))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| failed("it has no standard output".to_owned()))?;
        let mut this = Self { name: name.to_owned(), child, stdin, log: log.to_owned() };
        let mut lines = BufReader::new(stdout.take(64 * 1024)).lines();
        match timeout(START, lines.next_line()).await {
            Ok(Ok(Some(line))) => match serde_json::from_str(&line) {
                Ok(ready) => Ok((this, ready)),
                Err(error) => Err(failed(format!("its first line is not what was expected ({error}): {line}"))),
            },
            Ok(_) => {
                this.child.wait().await.ok();
                Err(failed(format!("it ended at once:\n{}", this.last_log_lines())))
            }
            Err(_) => Err(failed(format!("it was not up within {} s", START.as_secs()))),
        }
    }

    /// What the process is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills the process without warning, as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await.ok();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Asks the process to leave and waits until it has; ends it when that takes too long. Returns whether it left by
    /// itself and without an error.
    pub async fn leave(mut self) -> bool {
        drop(self.stdin.take());
        match timeout(LEAVE, self.child.wait()).await {
            Ok(Ok(status)) => status.success(),
            _ => {
                self.child.kill().await.ok();
                false
            }
        }
    }

    /// The end of its log, for an error message.
    pub fn last_log_lines(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// Puts a process into a group of its own: Ctrl-C in the terminal is for the parent, which then asks its children to
/// leave in order.
fn apart(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        const CREATE_NO_WINDOW: u32 = 0x0800_0000;
        command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
    }
}

/// Waits until the system or the user asks this process to end: Ctrl-C, and on Unix SIGTERM or SIGHUP.
pub async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (terminate, hang_up) = (signal(SignalKind::terminate()), signal(SignalKind::hangup()));
        if let (Ok(mut terminate), Ok(mut hang_up)) = (terminate, hang_up) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
            return;
        }
    }
    tokio::signal::ctrl_c().await.ok();
}

/// In a supervised process: says on standard output that it is up.
#[expect(clippy::print_stdout, reason = "the line is this process's answer to its parent")]
pub fn announce<T: Serialize>(ready: &T) -> Result<(), Fault> {
    let line = serde_json::to_string(ready).map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))?;
    println!("{line}");
    Ok(())
}

/// In a supervised process: waits until the parent closes the pipe.
pub async fn told_to_leave() {
    let mut stdin = tokio::io::stdin();
    let mut scrap = [0; 64];
    while matches!(stdin.read(&mut scrap).await, Ok(n) if n > 0) {}
}
