//! An engine without a model, for the tests of its supervisor: it does on command what real engines do by accident.
//!
//! What it does while loading stands in the file that it is told to load or to time (see [`follow`]); what it does while serving,
//! in the first token of a step (see [`ToyShard::run`]).

use std::collections::{HashSet, VecDeque};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use computepool_core::ports::{EngineCommand, EngineEvent, StepInput};
use computepool_core::{ActivationType, ContentHash, Fault, FaultCode, GenerationId, ModelSpeed, ShardInfo, ShardSpec};
use computepool_engine::child::{self, DeviceReport, Loader, Stepper};
use computepool_engine::pipe::{DeviceChoice, EngineOptions};

struct ToyLoader;

impl Loader for ToyLoader {
    type Stepper = ToyShard;

    fn load(&self, path: &Path, spec: &ShardSpec, options: &EngineOptions) -> Result<ToyShard, Fault> {
        follow(path)?;
        Ok(ToyShard { spec: spec.clone(), options: *options, open: HashSet::new(), queue: VecDeque::new() })
    }

    fn measure(&self, path: &Path, model: ContentHash, _: &EngineOptions) -> Result<ModelSpeed, Fault> {
        follow(path)?;
        Ok(ModelSpeed { model, layer_ns: 1, layer_ns_8: 2, prefill_ns: 3, head_ns: 4 })
    }

    fn devices(&self) -> Vec<DeviceReport> {
        vec![DeviceReport { device: DeviceChoice::Cpu, name: "a toy".to_owned(), memory_bytes: None }]
    }
}

/// Does what the file says.
fn follow(path: &Path) -> Result<(), Fault> {
    let script = std::fs::read_to_string(path).map_err(|error| Fault::new(FaultCode::Io, error.to_string()))?;
    match script.trim() {
        "refuse" => return Err(Fault::new(FaultCode::UnsupportedModel, "the toy refuses this file")),
        "die" => panic!("the toy dies while loading"),
        "slow" => std::thread::sleep(Duration::from_secs(3_600)),
        _ => {}
    }
    Ok(())
}

struct ToyShard {
    spec: ShardSpec,
    options: EngineOptions,
    open: HashSet<GenerationId>,
    queue: VecDeque<(GenerationId, u32, bool, StepInput)>,
}

impl ToyShard {
    /// Steps with hidden states come back as they are. Steps with tokens do what the first token says.
    fn run(&self, tokens: &[u32], out: &mut Vec<EngineEvent>, generation: GenerationId) -> Result<(), Fault> {
        match tokens.first() {
            Some(1) => panic!("the toy panics in a step"),
            Some(2) => std::thread::sleep(Duration::from_secs(3_600)),
            Some(3) => return Err(Fault::new(FaultCode::Internal, "the toy cannot go on")),
            Some(4) => {
                // What a careless library would do. It must not reach the pipe.
                let mut stdout = std::io::stdout();
                let _ = writeln!(stdout, "the toy prints where it must not").and_then(|()| stdout.flush());
            }
            // What the process inherited, as a fault's message.
            Some(5) => {
                let names: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
                out.push(EngineEvent::Failed { generation, fault: Fault::new(FaultCode::Internal, names.join("\n")) });
                return Ok(());
            }
            _ => {}
        }
        out.push(EngineEvent::Absorbed { generation, position: 0, rows: tokens.len() as u32, compute_us: 1 });
        Ok(())
    }
}

impl Stepper for ToyShard {
    fn command(&mut self, command: EngineCommand, out: &mut Vec<EngineEvent>) {
        match command {
            EngineCommand::Open { generation, .. } => {
                self.open.insert(generation);
                out.push(EngineEvent::Opened { generation });
            }
            EngineCommand::Step { generation, position, sample, input } if self.open.contains(&generation) => {
                self.queue.push_back((generation, position, sample, input));
            }
            EngineCommand::Step { generation, .. } => {
                let fault = Fault::new(FaultCode::WrongSession, "this generation is not open");
                out.push(EngineEvent::Failed { generation, fault });
            }
            EngineCommand::Close { generation } => {
                self.open.remove(&generation);
                out.push(EngineEvent::Closed { generation });
            }
        }
    }

    fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    fn is_full(&self) -> bool {
        self.queue.len() >= 4
    }

    fn step(&mut self, out: &mut Vec<EngineEvent>) -> Result<(), Fault> {
        match self.queue.pop_front() {
            Some((generation, position, sample, StepInput::Hidden(hidden))) => {
                out.push(EngineEvent::Hidden { generation, position, sample, hidden, compute_us: 1 });
                Ok(())
            }
            Some((generation, _, _, StepInput::Tokens(tokens))) => self.run(&tokens, out, generation),
            None => Ok(()),
        }
    }

    fn info(&self) -> ShardInfo {
        ShardInfo {
            model: self.spec.model,
            layers: self.spec.layers,
            hidden: 4,
            activation: ActivationType::F32,
            weight_bytes: 0,
            kv_bytes_per_token: 1,
            kv_tokens: self.spec.kv_bytes,
            device: format!("{:?}, {} threads", self.options.device, self.options.threads),
            kernels: "toy".to_owned(),
        }
    }

    fn kv_tokens_used(&self) -> u64 {
        self.open.len() as u64
    }
}

fn main() -> ExitCode {
    // Once, where a test left a file for it: speak nonsense instead of frames.
    let flag = std::env::var_os("COMPUTEPOOL_ENGINE_TOY_NONSENSE");
    if flag.is_some_and(|flag| std::fs::remove_file(flag).is_ok()) {
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(b"Hello, this is no frame at all").and_then(|()| stdout.flush());
        std::thread::sleep(Duration::from_secs(3_600));
    }
    child::main(&ToyLoader)
}
