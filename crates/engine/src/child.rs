//! The engine process: reads commands, runs steps, writes events, and ends when its host does.
//!
//! One thread reads the pipe into a bounded queue. The main thread takes all that is there, runs one step, writes what
//! came of it, and begins again; so a step always serves everybody who is ready, and a slow host or a slow shard slows the
//! other down instead of filling memory.
//!
//! What computes is behind two traits, [`Loader`] and [`Stepper`]. A step that fails as a whole, or panics, ends the
//! process: its host starts a fresh one, which is the only sure way to get rid of a poisoned device.

mod inbox;
mod main;
mod memory;
mod outlet;
mod stdio;

pub use main::{DeviceReport, ProbeReport, main};

use std::io::{Read, Write};
use std::path::Path;

use computepool_core::ports::{EngineCommand, EngineEvent};
use computepool_core::{ContentHash, Fault, ModelSpeed, ShardInfo, ShardSpec};

use crate::pipe::{ChildMessage, EngineOptions, EngineStats, HostMessage, PipeError};
use inbox::{Inbox, QUEUE};
use outlet::Outlet;

/// Loads shards, and times models.
pub trait Loader {
    /// What it loads.
    type Stepper: Stepper;

    /// Loads one shard of the weights at `path`.
    fn load(&self, path: &Path, spec: &ShardSpec, options: &EngineOptions) -> Result<Self::Stepper, Fault>;

    /// Times some layers of the weights at `path` and lets go of them.
    fn measure(&self, path: &Path, model: ContentHash, options: &EngineOptions) -> Result<ModelSpeed, Fault>;

    /// The devices that this executable can compute on, on this machine. Asked by `--probe`.
    fn devices(&self) -> Vec<DeviceReport>;
}

/// A loaded shard that runs steps for many generations.
pub trait Stepper {
    /// Takes a command and says what follows at once. What is wrong with a command becomes a `Failed` event.
    fn command(&mut self, command: EngineCommand, out: &mut Vec<EngineEvent>);

    /// Whether a step would do anything.
    fn has_work(&self) -> bool;

    /// Whether so much is queued that further commands should wait in the pipe until a step was run.
    fn is_full(&self) -> bool {
        false
    }

    /// Runs one step over whatever is ready. Failing means that the shard cannot go on: the process ends.
    fn step(&mut self, out: &mut Vec<EngineEvent>) -> Result<(), Fault>;

    /// What is loaded.
    fn info(&self) -> ShardInfo;

    /// Tokens of KV reserved by open generations.
    fn kv_tokens_used(&self) -> u64;
}

impl<S: Stepper + ?Sized> Stepper for Box<S> {
    fn command(&mut self, command: EngineCommand, out: &mut Vec<EngineEvent>) {
        (**self).command(command, out);
    }

    fn has_work(&self) -> bool {
        (**self).has_work()
    }

    fn is_full(&self) -> bool {
        (**self).is_full()
    }

    fn step(&mut self, out: &mut Vec<EngineEvent>) -> Result<(), Fault> {
        (**self).step(out)
    }

    fn info(&self) -> ShardInfo {
        (**self).info()
    }

    fn kv_tokens_used(&self) -> u64 {
        (**self).kv_tokens_used()
    }
}

/// Why an engine process ended before its host closed the pipe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// The host could not be understood, or no longer reads.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// The host began with something else than a shard to load or a model to time.
    #[error("the first message was neither a shard to load nor a model to time")]
    NotLoaded,
    /// The host asked for a second shard; it is to start a second process.
    #[error("a shard is loaded already")]
    AlreadyLoaded,
    /// The shard could not be loaded.
    #[error("the shard could not be loaded: {0}")]
    Load(Fault),
    /// A step failed as a whole.
    #[error("the shard cannot go on: {0}")]
    Step(Fault),
    /// The reading thread could not be started.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
}

/// Serves one host until it closes the pipe. If it does so while a step runs that does not end within a second, the
/// process exits from under it.
pub fn run<L: Loader>(loader: &L, input: impl Read + Send + 'static, output: impl Write) -> Result<(), ChildError> {
    let mut inbox = Inbox::start(input).map_err(ChildError::Thread)?;
    let mut outlet = Outlet::new(output);
    let (path, spec, options) = match inbox.wait()? {
        None => return Ok(()),
        Some(HostMessage::Load { path, spec, options }) => (path, spec, options),
        Some(HostMessage::Measure { path, model, options }) => {
            let measured = loader.measure(&path, model, &options);
            outlet.send(&measured.map_or_else(ChildMessage::LoadFailed, ChildMessage::Measured))?;
            return Ok(outlet.flush()?);
        }
        Some(_) => return Err(ChildError::NotLoaded),
    };
    let stepper = match loader.load(&path, &spec, &options) {
        Ok(stepper) => stepper,
        Err(fault) => {
            outlet.send(&ChildMessage::LoadFailed(fault.clone()))?;
            outlet.flush()?;
            return Err(ChildError::Load(fault));
        }
    };
    outlet.send(&ChildMessage::Loaded(stepper.info()))?;
    outlet.flush()?;
    Served { stepper, outlet, events: Vec::new(), memory: memory::Meter::new() }.serve(&mut inbox)
}

struct Served<S, W> {
    stepper: S,
    outlet: Outlet<W>,
    events: Vec<EngineEvent>,
    memory: memory::Meter,
}

impl<S: Stepper, W: Write> Served<S, W> {
    fn serve(&mut self, inbox: &mut Inbox) -> Result<(), ChildError> {
        loop {
            if !self.stepper.has_work() {
                match inbox.wait()? {
                    Some(message) => self.take(message)?,
                    None => return Ok(()),
                }
            }
            for _ in 0..QUEUE {
                if self.stepper.has_work() && self.stepper.is_full() {
                    break;
                }
                match inbox.poll()? {
                    inbox::Poll::Message(message) => self.take(message)?,
                    inbox::Poll::Empty => break,
                    inbox::Poll::Closed => return Ok(()),
                }
            }
            // What was said to commands does not wait for the step.
            self.write_events()?;
            if self.stepper.has_work() {
                if let Err(fault) = self.stepper.step(&mut self.events) {
                    self.write_events()?;
                    self.outlet.send(&ChildMessage::Fatal(fault.clone()))?;
                    self.outlet.flush()?;
                    return Err(ChildError::Step(fault));
                }
                self.write_events()?;
            }
        }
    }

    fn take(&mut self, message: HostMessage) -> Result<(), ChildError> {
        match message {
            HostMessage::Command(command) => self.stepper.command(command, &mut self.events),
            HostMessage::Ping(number) => {
                let kv_tokens_used = self.stepper.kv_tokens_used();
                let stats = EngineStats { kv_tokens_used, ..self.memory.read() };
                self.outlet.send(&ChildMessage::Pong { number, stats })?;
            }
            HostMessage::Load { .. } | HostMessage::Measure { .. } => return Err(ChildError::AlreadyLoaded),
        }
        Ok(())
    }

    fn write_events(&mut self) -> Result<(), ChildError> {
        for event in self.events.drain(..) {
            self.outlet.send(&ChildMessage::Event(event))?;
        }
        Ok(self.outlet.flush()?)
    }
}
