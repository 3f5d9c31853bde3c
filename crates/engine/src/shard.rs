//! Loads a shard: opens the model, puts a layer range on a device, and makes a batcher of it.

use std::path::Path;
use std::sync::Arc;

use computepool_core::{ActivationType, Fault, FaultCode, ShardInfo, ShardSpec};
use computepool_model::text::ModelText;
use computepool_model::weights::ModelFile;

use crate::accelerator::Accelerator;
use crate::backend::Backend;
use crate::batch::{Batcher, Vocabulary};
use crate::child::{DeviceReport, Loader, Stepper};
use crate::constraint::{Grammar, GrammarVocabulary};
use crate::cpu::Cpu;
use crate::forward::Weights;
use crate::pipe::{DeviceChoice, EngineOptions};

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

    fn devices(&self) -> Vec<DeviceReport> {
        let mut devices = Accelerator::devices();
        devices.push(DeviceReport {
            device: DeviceChoice::Cpu,
            name: Cpu::new(1).names().1,
            memory_bytes: None,
        });
        devices
    }
}

fn load<B: Backend>(backend: B, path: &Path, spec: &ShardSpec) -> Result<Batcher<B>, Fault> {
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
        Some(Vocabulary { size: config.vocabulary as u32, ends, grammar })
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
