//! Small random models of every architecture, written as GGUF files and as Hugging Face folders, for tests.
//!
//! ```
//! use computepool_model::config::Architecture;
//! use computepool_model::testkit::{TinyModel, TinySpec, as_f32};
//! use computepool_model::weights::ModelFile;
//!
//! let model = TinyModel::random(TinySpec::new(Architecture::Qwen3));
//! let file = ModelFile::from_gguf(model.to_gguf(&as_f32)).unwrap();
//! assert_eq!(file.config().layer_count, model.spec.layers);
//! ```

mod encode;
mod gguf;
mod hf;

use std::collections::BTreeMap;

pub use encode::{Encode, Encoded, as_bf16, as_f16, as_f32, as_q8_0};
pub use gguf::{GgufTensor, GgufValue, GgufWriter};

use crate::config::{Architecture, FfnActivation, ModelConfig, Rope, RopeScaling, RopeStyle, SlidingWindow};
use crate::weights::{self, Need, TensorName};

/// The shape of a tiny model. Change what a test cares about.
#[derive(Clone, Debug)]
pub struct TinySpec {
    /// The family.
    pub architecture: Architecture,
    /// Transformer blocks.
    pub layers: u32,
    /// Width of a hidden state; a multiple of 32 where weights are to be quantised (256 for K types).
    pub hidden: usize,
    /// Width of the feed-forward block; likewise.
    pub ffn: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head; `heads · head_dim` need not be `hidden`.
    pub head_dim: usize,
    /// Tokens; at least 257, so that the tokenizer covers every byte.
    pub vocabulary: usize,
    /// Longest sequence.
    pub context: u32,
    /// Whether the output head is the token embedding.
    pub tied: bool,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Their scaling. A GGUF file says `Llama3` by factors, as real ones do; `Factors` has no form in a folder.
    pub rope_scaling: RopeScaling,
    /// Sliding layers; only Gemma 3 (both forms) and Mistral (folders) know them.
    pub sliding_window: Option<SlidingWindow>,
    /// What the weights are drawn from.
    pub seed: u64,
}

impl TinySpec {
    /// Four blocks of width 64 with four query and two key heads, 320 tokens, untied (Gemma 3: tied, as all of them).
    pub fn new(architecture: Architecture) -> Self {
        let gemma = architecture == Architecture::Gemma3;
        Self {
            architecture,
            layers: 4,
            hidden: 64,
            ffn: 96,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            vocabulary: 320,
            context: 512,
            tied: gemma,
            rope_base: 10_000.0,
            rope_scaling: RopeScaling::None,
            sliding_window: gemma.then_some(SlidingWindow { size: 16, pattern: 3 }),
            seed: 7,
        }
    }

    /// The settings, as a Hugging Face folder gives them.
    pub fn config(&self) -> ModelConfig {
        let gemma = self.architecture == Architecture::Gemma3;
        let rope = |base, scaling| Rope { base, style: RopeStyle::HalfRotated, scaling };
        ModelConfig {
            architecture: self.architecture,
            layer_count: self.layers,
            hidden: self.hidden,
            ffn: self.ffn,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            rope_dim: self.head_dim,
            vocabulary: self.vocabulary,
            context: self.context,
            norm_epsilon: 1e-6,
            norm_offset: if gemma { 1.0 } else { 0.0 },
            rope: rope(self.rope_base, self.rope_scaling.clone()),
            local_rope: gemma.then(|| rope(10_000.0, RopeScaling::None)),
            sliding_window: self.sliding_window,
            attention_scale: 1.0 / (self.head_dim as f32).sqrt(),
            embedding_scale: if gemma { (self.hidden as f32).sqrt() } else { 1.0 },
            activation: if gemma { FfnActivation::GeluTanh } else { FfnActivation::Silu },
            tied: self.tied,
            final_softcap: None,
            end_tokens: vec![END_TOKEN],
        }
    }
}

/// The control token that ends a text in every tiny model; ids 1 to 256 are the bytes, the rest is unused.
pub const END_TOKEN: u32 = 0;

/// A tiny model in memory, its weights as a Hugging Face folder has them.
#[derive(Clone, Debug)]
pub struct TinyModel {
    /// Its shape.
    pub spec: TinySpec,
    weights: BTreeMap<TensorName, (Vec<usize>, Vec<f32>)>,
}

impl TinyModel {
    /// Draws weights from the seed, scaled so that activations neither vanish nor explode. Optional biases of Llama,
    /// Mistral and Qwen3 are left out.
    pub fn random(spec: TinySpec) -> Self {
        let config = spec.config();
        let mut weights = BTreeMap::new();
        for (stream, name) in weights::names(&config).enumerate() {
            if weights::need(&config, name) != Need::Required {
                continue;
            }
            let shape = weights::shape(&config, name);
            let mut draw = Draw(spec.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ stream as u64);
            let (centre, spread) = match shape.as_slice() {
                [_, _] if name == TensorName::TokenEmbedding => (0.0, 1.7 / config.embedding_scale),
                [_, cols] => (0.0, (3.0 / *cols as f32).sqrt()),
                _ if name.is_bias() => (0.0, 0.1),
                // A norm's weights lie around 1, where Gemma's folders store the distance from 1.
                _ => (1.0 - config.norm_offset, 0.2),
            };
            let values = (0..shape.iter().product()).map(|_| centre + spread * draw.next()).collect();
            weights.insert(name, (shape, values));
        }
        Self { spec, weights }
    }

    /// A tensor's shape and values, as a Hugging Face folder has them.
    pub fn tensor(&self, name: TensorName) -> Option<(&[usize], &[f32])> {
        self.weights.get(&name).map(|(shape, values)| (shape.as_slice(), values.as_slice()))
    }

    /// Every tensor, in order.
    pub fn tensors(&self) -> impl Iterator<Item = (TensorName, &[usize], &[f32])> {
        self.weights.iter().map(|(name, (shape, values))| (*name, shape.as_slice(), values.as_slice()))
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014): random enough for weights, and the same everywhere.
struct Draw(u64);

impl Draw {
    /// Uniform in -1..1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// The texts of the tokens: the end token, one per byte in the alphabet of byte-level BPE, and unused ones.
fn token_texts(vocabulary: usize) -> Vec<String> {
    // GPT-2's alphabet: printable bytes stand for themselves, the others follow from U+0100 on.
    let mut next = 0x100u32;
    let bytes = (0u32..256).map(|byte| {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { byte } else { next };
        next += u32::from(!printable);
        char::from_u32(code).unwrap_or('\u{fffd}').to_string()
    });
    let mut texts: Vec<String> = std::iter::once("<|end|>".to_owned()).chain(bytes).collect();
    texts.extend((texts.len()..vocabulary).map(|id| format!("<|unused_{id}|>")));
    texts.truncate(vocabulary);
    texts
}

/// A chat template that every tiny model carries.
const CHAT_TEMPLATE: &str = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}\
                             {% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
