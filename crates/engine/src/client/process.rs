//! One engine process and the tasks at its three streams.

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use computepool_core::ports::EngineEvent;
use computepool_core::{Fault, ModelSpeed, ShardInfo};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::death::{LastWords, Loss};
use super::lane::{Frame, Lane};
use super::launch::EngineLaunch;
use crate::pipe::{ChildMessage, EngineStats, PipeError, read_message};

/// Bytes read from the pipe at once.
const READ_BUFFER: usize = 256 * 1024;

/// No line of the process's log is kept longer.
const LINE_BYTES: usize = 1_000;

/// What a process that is gone has left in its pipes is waited for this long.
const REMAINS: Duration = Duration::from_secs(1);

/// What a process says of itself; events go their own way.
#[derive(Debug)]
pub(super) enum Reply {
    Loaded(ShardInfo),
    LoadFailed(Fault),
    Measured(ModelSpeed),
    Pong { number: u64, stats: EngineStats },
    Fatal(Fault),
    Misspoke(PipeError),
}

/// When a process was last heard.
pub(super) struct Heard {
    began: Instant,
    last_ms: AtomicU64,
    delivering: AtomicBool,
}

impl Heard {
    fn mark(&self, delivering: bool) {
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.delivering.store(delivering, Ordering::Relaxed);
    }

    /// The moment; now, while what it said waits for the node to take it.
    pub(super) fn last(&self) -> Instant {
        if self.delivering.load(Ordering::Relaxed) {
            return Instant::now();
        }
        self.began + Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

/// A process that runs.
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) lane: Lane,
    pub(super) replies: mpsc::Receiver<Reply>,
    pub(super) heard: Arc<Heard>,
    words: Arc<Mutex<LastWords>>,
    reader: JoinHandle<()>,
    writer: JoinHandle<()>,
    listener: JoinHandle<()>,
}

impl Process {
    /// Starts the executable.
    pub(super) fn start(launch: &EngineLaunch, events: mpsc::Sender<EngineEvent>) -> io::Result<Self> {
        let mut child = launch.command().spawn()?;
        let missing = || io::Error::other("a stream of the process is missing");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let pid = child.id().unwrap_or_default();
        let (lane, frames) = Lane::open();
        let (reply, replies) = mpsc::channel(16);
        let heard = Heard { began: Instant::now(), last_ms: AtomicU64::new(0), delivering: AtomicBool::new(false) };
        let heard = Arc::new(heard);
        let words = Arc::new(Mutex::new(LastWords::default()));
        Ok(Self {
            child,
            lane,
            replies,
            reader: tokio::spawn(read(stdout, events, reply, Arc::clone(&heard))),
            writer: tokio::spawn(write(stdin, frames)),
            listener: tokio::spawn(listen(stderr, pid, Arc::clone(&words))),
            heard,
            words,
        })
    }

    /// Ends the process in order: closes its pipe, waits for it at most `limit`, and kills it if need be. What it still
    /// had to say is dropped.
    pub(super) async fn end(mut self, limit: Duration) {
        self.lane.close();
        self.reader.abort();
        // Dropping the task closes standard input, which tells the process to go.
        self.writer.abort();
        if timeout(limit, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.child.id(), "the engine did not end by itself and is killed");
            self.kill().await;
        }
    }

    /// Buries a process that was lost, and says how it died. Its last events are delivered first.
    pub(super) async fn bury(mut self, mut loss: Loss) -> Fault {
        self.lane.close();
        self.writer.abort();
        // One that ends by itself is given the time to do so: the status tells more than that it was killed.
        let ending = matches!(loss, Loss::Ended | Loss::Fatal(_) | Loss::LoadFailed(_));
        let ended = if ending { timeout(REMAINS, self.child.wait()).await.ok() } else { None };
        let status = match ended {
            Some(status) => status.ok(),
            None => self.kill().await,
        };
        while let Ok(Some(reply)) = timeout(REMAINS, self.replies.recv()).await {
            match (reply, &loss) {
                (Reply::Fatal(fault), Loss::Ended) => loss = Loss::Fatal(fault),
                (Reply::LoadFailed(fault), Loss::Ended) => loss = Loss::LoadFailed(fault),
                (Reply::Misspoke(error), Loss::Ended) => loss = Loss::Misspoke(error.to_string()),
                _ => {}
            }
        }
        let _ = timeout(REMAINS, &mut self.listener).await;
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        // A status that we caused ourselves explains nothing.
        loss.fault(if ending { status } else { None }, &words)
    }

    async fn kill(&mut self) -> Option<ExitStatus> {
        if let Err(error) = self.child.start_kill() {
            tracing::debug!(%error, "the engine is gone already");
        }
        self.child.wait().await.ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.lane.close();
        self.reader.abort();
        self.writer.abort();
        self.listener.abort();
    }
}

/// Reads what the process says, until it ends.
async fn read(stdout: ChildStdout, events: mpsc::Sender<EngineEvent>, replies: mpsc::Sender<Reply>, heard: Arc<Heard>) {
    let mut input = BufReader::with_capacity(READ_BUFFER, stdout);
    let mut buffer = Vec::new();
    loop {
        let reply = match read_message(&mut input, &mut buffer).await {
            Ok(ChildMessage::Event(event)) => {
                heard.mark(true);
                // Nobody may listen any more; the process is ended by whoever dropped the stream.
                let _ = events.send(event).await;
                heard.mark(false);
                continue;
            }
            Ok(ChildMessage::Loaded(info)) => Reply::Loaded(info),
            Ok(ChildMessage::LoadFailed(fault)) => Reply::LoadFailed(fault),
            Ok(ChildMessage::Measured(speed)) => Reply::Measured(speed),
            Ok(ChildMessage::Pong { number, stats }) => Reply::Pong { number, stats },
            Ok(ChildMessage::Fatal(fault)) => Reply::Fatal(fault),
            Err(PipeError::Closed | PipeError::Truncated) => return,
            Err(error) => {
                let _ = replies.send(Reply::Misspoke(error)).await;
                return;
            }
        };
        heard.mark(false);
        if replies.send(reply).await.is_err() {
            return;
        }
    }
}

/// Writes what the process is told, until it no longer reads.
async fn write(mut stdin: ChildStdin, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if let Err(error) = stdin.write_all(&frame.bytes).await {
            tracing::debug!(%error, "the engine no longer reads");
            return;
        }
    }
}

/// Passes the process's log on, and remembers the end of it.
async fn listen(stderr: impl AsyncRead + Unpin, pid: u32, words: Arc<Mutex<LastWords>>) {
    let mut input = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        let length = match input.fill_buf().await {
            Ok(chunk) if !chunk.is_empty() => {
                for byte in chunk {
                    if *byte == b'\n' {
                        say(&mut line, pid, &words);
                    } else if line.len() < LINE_BYTES {
                        line.push(*byte);
                    }
                }
                chunk.len()
            }
            _ => break,
        };
        input.consume(length);
    }
    say(&mut line, pid, &words);
}

fn say(line: &mut Vec<u8>, pid: u32, words: &Mutex<LastWords>) {
    let text = String::from_utf8_lossy(line).trim_end().to_owned();
    line.clear();
    if !text.is_empty() {
        tracing::info!(target: "computepool_engine::child", pid, "{text}");
        words.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}
