//! What a model's settings say, in one form for GGUF files and Hugging Face folders.

mod rope;

pub use rope::{Rope, RopeScaling, RopeStyle};

use crate::error::ModelError;

/// Bytes of one KV value on a CPU shard (`f32`).
pub const KV_VALUE_BYTES: u64 = 4;

/// The families that run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Llama and its many relatives; in GGUF files Mistral too.
    Llama,
    /// Mistral, as Hugging Face folders name it.
    Mistral,
    /// Qwen2 and Qwen2.5: Llama with biases on query, key and value.
    Qwen2,
    /// Qwen3: Llama with a norm on every query and key head.
    Qwen3,
    /// Gemma 3, the text part.
    Gemma3,
}

impl Architecture {
    /// Every architecture.
    pub const ALL: &[Architecture] = &[Self::Llama, Self::Mistral, Self::Qwen2, Self::Qwen3, Self::Gemma3];

    /// The name in GGUF files, where Mistral is a Llama.
    pub fn gguf_name(self) -> &'static str {
        match self {
            Self::Llama | Self::Mistral => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
        }
    }

    /// The `model_type` in Hugging Face folders.
    pub fn hf_name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3_text",
        }
    }
}

/// The gate's activation in the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FfnActivation {
    /// `x · sigmoid(x)`.
    Silu,
    /// GELU in its tanh approximation.
    GeluTanh,
}

/// Layers that see only the last `size` positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Positions a sliding layer attends to, its own included.
    pub size: u32,
    /// Every `pattern`-th layer attends to everything (Gemma 3: 6, so layers 5, 11, …); 0: no layer does (Mistral).
    pub pattern: u32,
}

impl SlidingWindow {
    /// Whether this layer attends to everything.
    pub fn is_global(self, layer: u32) -> bool {
        self.pattern != 0 && layer % self.pattern == self.pattern - 1
    }
}

/// Everything that the forward pass needs to know besides the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub architecture: Architecture,
    /// Transformer blocks.
    pub layer_count: u32,
    /// Width of a hidden state.
    pub hidden: usize,
    /// Width of the feed-forward block.
    pub ffn: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Leading values of a head that are rotated; even, at most `head_dim`.
    pub rope_dim: usize,
    /// Rows of the token embedding.
    pub vocabulary: usize,
    /// The longest sequence the model was made for, in tokens.
    pub context: u32,
    /// ε of the RMS norms.
    pub norm_epsilon: f32,
    /// To be added to the weights of every norm: 1 for Gemma folders, 0 else (GGUF files have it folded in).
    pub norm_offset: f32,
    /// Rotary position embedding; of the global layers, where there are two.
    pub rope: Rope,
    /// Rotary position embedding of the sliding layers, where it differs.
    pub local_rope: Option<Rope>,
    /// Which layers see only so far.
    pub sliding_window: Option<SlidingWindow>,
    /// Factor on query · key.
    pub attention_scale: f32,
    /// Factor on the token embedding: `sqrt(hidden)` for Gemma, as llama.cpp computes it; 1 else.
    pub embedding_scale: f32,
    /// The gate's activation.
    pub activation: FfnActivation,
    /// Whether the output head is the token embedding.
    pub tied: bool,
    /// `c` in `c · tanh(logits / c)`.
    pub final_softcap: Option<f32>,
    /// Tokens that end a text, as far as the settings name them; sorted.
    pub end_tokens: Vec<u32>,
}

impl ModelConfig {
    /// How many of the last positions this layer sees; nothing where it sees all.
    pub fn layer_window(&self, layer: u32) -> Option<u32> {
        self.sliding_window.filter(|window| !window.is_global(layer)).map(|window| window.size)
    }

    /// The rotary position embedding of this layer.
    pub fn layer_rope(&self, layer: u32) -> &Rope {
        match &self.local_rope {
            Some(local) if self.layer_window(layer).is_some() => local,
            _ => &self.rope,
        }
    }

    /// Bytes of KV per token and block on a CPU shard: key and value in `f32`.
    pub fn kv_bytes_per_token_layer(&self) -> u64 {
        2 * KV_VALUE_BYTES * self.kv_heads as u64 * self.head_dim as u64
    }

    /// Refuses what no real model says, so that no later product can overflow.
    pub(crate) fn checked(mut self) -> Result<Self, ModelError> {
        within("layer count", u64::from(self.layer_count), 1, 1 << 12)?;
        within("hidden size", self.hidden as u64, 1, 1 << 18)?;
        within("feed-forward size", self.ffn as u64, 1, 1 << 21)?;
        within("head count", self.heads as u64, 1, 1 << 12)?;
        within("key and value head count", self.kv_heads as u64, 1, self.heads as u64)?;
        within("head size", self.head_dim as u64, 1, 1 << 12)?;
        within("rotated size", self.rope_dim as u64, 2, self.head_dim as u64)?;
        within("vocabulary size", self.vocabulary as u64, 1, 1 << 22)?;
        within("context length", u64::from(self.context), 1, 1 << 28)?;
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(bad("key and value head count", format!("{} does not divide {}", self.kv_heads, self.heads)));
        }
        if !self.rope_dim.is_multiple_of(2) {
            return Err(bad("rotated size", format!("{} is odd", self.rope_dim)));
        }
        if let Some(window) = self.sliding_window {
            within("sliding window", u64::from(window.size), 1, 1 << 28)?;
        }
        positive("norm epsilon", self.norm_epsilon)?;
        positive("attention scale", self.attention_scale)?;
        positive("embedding scale", self.embedding_scale)?;
        if let Some(softcap) = self.final_softcap {
            positive("final softcap", softcap)?;
        }
        for rope in std::iter::once(&self.rope).chain(&self.local_rope) {
            rope.check(self.rope_dim)?;
        }
        self.end_tokens.sort_unstable();
        self.end_tokens.dedup();
        if let Some(end) = self.end_tokens.iter().find(|id| **id as usize >= self.vocabulary) {
            return Err(bad("end token", format!("{end} is outside a vocabulary of {}", self.vocabulary)));
        }
        Ok(self)
    }
}

/// An impossible setting.
pub(crate) fn bad(key: impl Into<String>, reason: impl Into<String>) -> ModelError {
    ModelError::BadSetting { key: key.into(), reason: reason.into() }
}

fn within(key: &str, got: u64, least: u64, most: u64) -> Result<(), ModelError> {
    if (least..=most).contains(&got) { Ok(()) } else { Err(bad(key, format!("{got} is not in {least}..={most}"))) }
}

/// Refuses zero, negative numbers, infinities and NaN.
pub(crate) fn positive(key: &str, got: f32) -> Result<(), ModelError> {
    if got.is_finite() && got > 0.0 { Ok(()) } else { Err(bad(key, format!("{got} is not a positive number"))) }
}
