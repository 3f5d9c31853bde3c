//! Loads a shard: opens the model, puts a layer range on a device, and makes a batcher of it.

use std::path::Path;
use std::sync::Arc;

use computepool_core::{ActivationType, ContentHash, Fault, FaultCode, LayerRange, ModelSpeed, ShardInfo, ShardSpec};
use computepool_model::text::ModelText;
use computepool_model::weights::ModelFile;

use crate::accelerator::Accelerator;
use crate::backend::{Backend, Segment};
use crate::batch::{Batcher, Vocabulary};
use crate::child::{DeviceReport, Loader, Stepper};
use crate::compiler::Compiler;
use crate::constraint::{Grammar, GrammarVocabulary};
use crate::cpu::Cpu;
use crate::forward::{BatchInput, Weights};
use crate::pipe::{DeviceChoice, EngineOptions};
use crate::speed;

/// Loads real shards.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardLoader;

impl Loader for ShardLoader {
    type Stepper = Box<dyn Stepper>;

    fn load(&self, path: &Path, spec: &ShardSpec, options: &EngineOptions) -> Result<Box<dyn Stepper>, Fault> {
        Ok(match options.device {
            DeviceChoice::Cpu => Box::new(load(Cpu::new(options.threads as usize), path, spec)?),
            DeviceChoice::Cuda(ordinal) => Box::new(load(Accelerator::cuda(ordinal as usize)?, path, spec)?),
        })
    }

    fn measure(&self, path: &Path, model: ContentHash, options: &EngineOptions) -> Result<ModelSpeed, Fault> {
        match options.device {
            DeviceChoice::Cpu => speed::measure(&Cpu::new(options.threads as usize), path, model),
            DeviceChoice::Cuda(ordinal) => speed::measure(&Accelerator::cuda(ordinal as usize)?, path, model),
        }
    }

    fn devices(&self) -> Vec<DeviceReport> {
        let mut devices = Accelerator::devices();
        devices.push(DeviceReport { device: DeviceChoice::Cpu, name: Cpu::new(1).names().1, memory_bytes: None });
        devices
    }
}

impl ShardLoader {
    /// Logits of every position of a sequence, computed in chunks of `chunk` on one shard with all layers: for comparing
    /// with other implementations. Row-major, one row of vocabulary size for each token.
    pub fn logits(&self, path: &Path, ids: &[u32], chunk: usize, options: &EngineOptions) -> Result<Vec<f32>, Fault> {
        match options.device {
            DeviceChoice::Cpu => logits(&Cpu::new(options.threads as usize), path, ids, chunk),
            DeviceChoice::Cuda(ordinal) => logits(&Accelerator::cuda(ordinal as usize)?, path, ids, chunk),
        }
    }
}

/// Logits of every position of a sequence.
pub(crate) fn logits<B: Backend>(backend: &B, path: &Path, ids: &[u32], chunk: usize) -> Result<Vec<f32>, Fault> {
    let file = ModelFile::open(path)?;
    let weights = Weights::load(backend, &file, LayerRange::new(0, file.config().layer_count)?)?;
    let mut kv = weights.kv(backend, ids.len())?;
    let mut all = Vec::new();
    let mut position = 0;
    for ids in ids.chunks(chunk.max(1)) {
        let mut segments = [Segment { start: 0, rows: ids.len(), position, kv: &mut kv }];
        let rows = weights.run(backend, BatchInput::Tokens(ids.to_vec()), &mut segments)?;
        all.extend(weights.logits(backend, &rows, &(0..ids.len()).collect::<Vec<_>>())?);
        position += ids.len() as u32;
    }
    Ok(all)
}

/// Loads a shard of the model at `path` onto a device.
pub(crate) fn load<B: Backend>(backend: B, path: &Path, spec: &ShardSpec) -> Result<Batcher<B>, Fault> {
    let file = ModelFile::open(path)?;
    let config = file.config();
    let weights = Weights::load(&backend, &file, spec.layers)?;
    let kv_bytes_per_token =
        u64::from(spec.layers.len()) * 2 * (config.kv_heads * config.head_dim * size_of::<f32>()) as u64;
    let kv_tokens = spec.kv_bytes / kv_bytes_per_token;
    if kv_tokens == 0 {
        return Err(Fault::new(
            FaultCode::NoCapacity,
            format!("the KV budget of {} bytes does not hold one token ({kv_bytes_per_token} bytes)", spec.kv_bytes),
        ));
    }
    let vocabulary = if spec.layers.is_exit(config.layer_count) {
        let text = ModelText::open(&file)?;
        let tokens = text.vocabulary_bytes();
        let control = (0..tokens.len() as u32).map(|id| text.is_control(id)).collect();
        let ends = text.end_tokens().to_vec();
        let grammar = Arc::new(Grammar::new(GrammarVocabulary { tokens, control, end: ends.clone() }));
        Some(Vocabulary { size: config.vocabulary as u32, ends, compiler: Compiler::start(grammar)? })
    } else {
        None
    };
    let (device, kernels) = backend.names();
    let info = ShardInfo {
        model: spec.model,
        layers: spec.layers,
        hidden: config.hidden as u32,
        activation: ActivationType::F32,
        weight_bytes: file.shard_bytes(spec.layers),
        kv_bytes_per_token,
        kv_tokens,
        device,
        kernels,
    };
    let ids_below = spec.layers.is_entry().then_some(config.vocabulary as u32);
    let max_context = spec.max_context.min(config.context);
    Ok(Batcher::new(backend, weights, info, max_context, vocabulary, ids_below))
}

#[cfg(test)]
mod tests;
