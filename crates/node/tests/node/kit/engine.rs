//! An engine in memory: short queues, so that whoever waits wrongly locks up here.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use computepool_core::ports::{Engine, EngineCommand, EngineEvent, StepInput};
use computepool_core::{
    ActivationType, ContentHash, Fault, FaultCode, FinishReason, Generate, GenerationId, ModelSpeed, ShardInfo,
    ShardSpec, TokenEvent,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use tokio::sync::{mpsc, watch};

use super::toy::{HIDDEN, LAYERS, Memory, embed, hidden, sample, values};

const QUEUE: usize = 4;

struct Kv {
    /// After each position, and before the first.
    past: Vec<Memory>,
    max_len: u32,
    produced: u32,
    request: Option<Generate>,
}

pub struct FakeEngine {
    commands: mpsc::Sender<(u64, EngineCommand)>,
    events: mpsc::Sender<EngineEvent>,
    kv: Mutex<HashMap<GenerationId, Kv>>,
    refused: Mutex<HashSet<GenerationId>>,
    shard: Mutex<Option<(ShardSpec, ShardInfo)>>,
    up: AtomicBool,
    life: AtomicU64,
    pub loads: AtomicU32,
    /// Generations that fit.
    pub places: AtomicU32,
    /// Set: commands wait.
    pub held: watch::Sender<bool>,
    /// Set: loads wait.
    pub load_held: watch::Sender<bool>,
    /// What a real engine would call a bug of the node.
    pub complaints: Mutex<Vec<String>>,
}

impl FakeEngine {
    pub fn start() -> (Arc<Self>, BoxStream<'static, EngineEvent>) {
        let (commands, mut queue) = mpsc::channel(QUEUE);
        let (events, mut stream) = mpsc::channel(QUEUE);
        let engine = Arc::new(Self {
            commands,
            events,
            kv: Mutex::default(),
            refused: Mutex::default(),
            shard: Mutex::default(),
            up: AtomicBool::new(true),
            life: AtomicU64::new(0),
            loads: AtomicU32::new(0),
            places: AtomicU32::new(1000),
            held: watch::Sender::new(false),
            load_held: watch::Sender::new(false),
            complaints: Mutex::default(),
        });
        let weak = Arc::downgrade(&engine);
        let mut held = engine.held.subscribe();
        tokio::spawn(async move {
            while let Some((life, command)) = queue.recv().await {
                if held.wait_for(|held| !held).await.is_err() {
                    return;
                }
                let Some(engine) = weak.upgrade() else { return };
                // A process that died takes its queue with it.
                if life != engine.life.load(Ordering::SeqCst) {
                    continue;
                }
                for event in engine.run(command) {
                    if engine.events.send(event).await.is_err() {
                        return;
                    }
                }
            }
        });
        (engine, futures::stream::poll_fn(move |context| stream.poll_recv(context)).boxed())
    }

    /// Generations that hold KV.
    pub fn open(&self) -> usize {
        self.kv.lock().unwrap().len()
    }

    /// Dies like a killed process.
    pub async fn kill(&self) {
        self.up.store(false, Ordering::SeqCst);
        self.life.fetch_add(1, Ordering::SeqCst);
        self.kv.lock().unwrap().clear();
        self.events.send(EngineEvent::Down { fault: Fault::new(FaultCode::EngineLost, "killed") }).await.unwrap();
    }

    /// Is back with its shard.
    pub async fn revive(&self) {
        self.up.store(true, Ordering::SeqCst);
        let info = self.shard.lock().unwrap().clone().unwrap().1;
        self.events.send(EngineEvent::Ready { info }).await.unwrap();
    }

    /// Gives one generation up, as for a grammar that cannot go on.
    pub async fn fail(&self, generation: GenerationId, code: FaultCode) {
        self.kv.lock().unwrap().remove(&generation);
        self.events.send(EngineEvent::Failed { generation, fault: Fault::new(code, "given up") }).await.unwrap();
    }

    fn complain(&self, what: String) -> Option<EngineEvent> {
        self.complaints.lock().unwrap().push(what);
        None
    }

    fn run(&self, command: EngineCommand) -> Vec<EngineEvent> {
        let mut said = Vec::new();
        let adopted = match &command {
            EngineCommand::Open { adopt: Some(adopt), .. } => {
                let old = self.kv.lock().unwrap().remove(&adopt.generation);
                said.extend(old.is_some().then_some(EngineEvent::Closed { generation: adopt.generation }));
                old.map(|old| old.past)
            }
            _ => None,
        };
        said.extend(self.answer(command, adopted));
        said
    }

    fn answer(&self, command: EngineCommand, adopted: Option<Vec<Memory>>) -> Option<EngineEvent> {
        let layers = self.shard.lock().unwrap().as_ref()?.0.layers;
        let mut open = self.kv.lock().unwrap();
        match command {
            EngineCommand::Open { generation, max_len, adopt, request, .. } => {
                if layers.is_exit(LAYERS) != request.is_some() {
                    return self.complain(format!("{generation:?}: the request belongs to the exit"));
                }
                if open.len() >= self.places.load(Ordering::SeqCst) as usize {
                    self.refused.lock().unwrap().insert(generation);
                    let fault = Fault::new(FaultCode::NoCapacity, "the KV is full");
                    return Some(EngineEvent::Failed { generation, fault });
                }
                let mut past = adopted.unwrap_or_else(|| vec![Memory::new(layers)]);
                if let Some(adopt) = adopt {
                    if past.len() <= adopt.positions as usize {
                        let fault = Fault::new(FaultCode::WrongShape, format!("{} rows are there", past.len() - 1));
                        return Some(EngineEvent::Failed { generation, fault });
                    }
                    past.truncate(adopt.positions as usize + 1);
                }
                let produced = request.as_ref().map_or(0, |request| request.produced.len() as u32);
                open.insert(generation, Kv { past, max_len, produced, request });
                Some(EngineEvent::Opened { generation })
            }
            EngineCommand::Close { generation } => {
                open.remove(&generation);
                Some(EngineEvent::Closed { generation })
            }
            EngineCommand::Step { generation, position, sample: wanted, input } => {
                let kv = open.get_mut(&generation)?;
                let rows = input.rows();
                let next = kv.past.len() as u32 - 1;
                if position != next || position + rows > kv.max_len {
                    return self.complain(format!("{generation:?}: {rows} rows at {position} where {next} comes"));
                }
                let inputs: Vec<u32> = match input {
                    StepInput::Tokens(ids) if layers.is_entry() => {
                        ids.iter().zip(position..).map(|(id, position)| embed(*id, position)).collect()
                    }
                    StepInput::Hidden(hidden) if !layers.is_entry() => values(&hidden),
                    _ => return self.complain(format!("{generation:?}: input of the wrong kind")),
                };
                let mut out = Vec::new();
                for (x, at) in inputs.into_iter().zip(position..) {
                    let mut memory = kv.past.last()?.clone();
                    out.push(memory.run(layers, at, x));
                    kv.past.push(memory);
                }
                let compute_us = u64::from(rows);
                let Some(request) = &kv.request else {
                    let hidden = hidden(&out);
                    return Some(EngineEvent::Hidden { generation, position, sample: wanted, hidden, compute_us });
                };
                if !wanted {
                    return Some(EngineEvent::Absorbed { generation, position, rows, compute_us });
                }
                let finish = (kv.produced + 1 == request.max_tokens).then_some(FinishReason::Length);
                let event = TokenEvent { index: kv.produced, id: sample(*out.last()?), logprob: None, finish };
                kv.produced += 1;
                Some(EngineEvent::Token { generation, position: position + rows, rows, event, compute_us })
            }
        }
    }
}

impl Engine for FakeEngine {
    fn load(&self, spec: ShardSpec) -> BoxFuture<'_, Result<ShardInfo, Fault>> {
        Box::pin(async move {
            self.loads.fetch_add(1, Ordering::SeqCst);
            self.load_held.subscribe().wait_for(|held| !held).await.unwrap();
            self.kv.lock().unwrap().clear();
            if spec.layers.end() > LAYERS {
                return Err(Fault::new(FaultCode::BadModelFile, "the model has no such layer"));
            }
            let info = ShardInfo {
                model: spec.model,
                layers: spec.layers,
                hidden: HIDDEN,
                activation: ActivationType::F32,
                weight_bytes: 1,
                kv_bytes_per_token: 1,
                kv_tokens: 1 << 20,
                device: "toy".into(),
                kernels: "toy".into(),
            };
            *self.shard.lock().unwrap() = Some((spec, info.clone()));
            Ok(info)
        })
    }

    fn send(&self, command: EngineCommand) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            let lost = || Fault::new(FaultCode::EngineLost, "no engine process");
            if !self.up.load(Ordering::SeqCst) {
                return Err(lost());
            }
            let life = self.life.load(Ordering::SeqCst);
            self.commands.send((life, command)).await.map_err(|_| lost())
        })
    }

    fn measure(&self, _model: ContentHash) -> BoxFuture<'_, Result<ModelSpeed, Fault>> {
        Box::pin(async { Err(Fault::new(FaultCode::UnsupportedModel, "a toy has no speed")) })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
