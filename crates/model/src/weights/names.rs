//! What the tensors of a model are called: here, in GGUF files and in Hugging Face folders.

use std::fmt;

use crate::config::Architecture;

/// A tensor of a model, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TensorName {
    /// `[vocabulary, hidden]`.
    TokenEmbedding,
    /// `[hidden]`.
    OutputNorm,
    /// `[vocabulary, hidden]`; a tied model has none of its own.
    Output,
    /// `[rope_dim / 2]`, in GGUF files; already part of [`Rope`](crate::config::Rope).
    RopeFactors,
    /// A tensor of one block.
    Layer(u32, LayerTensor),
}

/// A tensor of a block. Matrices are `[outputs, inputs]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerTensor {
    /// `[hidden]`, before attention.
    AttentionNorm,
    /// `[heads · head_dim, hidden]`.
    Query,
    /// `[kv_heads · head_dim, hidden]`.
    Key,
    /// `[kv_heads · head_dim, hidden]`.
    Value,
    /// `[hidden, heads · head_dim]`.
    AttentionOutput,
    /// `[heads · head_dim]`.
    QueryBias,
    /// `[kv_heads · head_dim]`.
    KeyBias,
    /// `[kv_heads · head_dim]`.
    ValueBias,
    /// `[head_dim]`, on every query head.
    QueryNorm,
    /// `[head_dim]`, on every key head.
    KeyNorm,
    /// `[hidden]`, on the output of attention, before it is added.
    PostAttentionNorm,
    /// `[hidden]`, before the feed-forward block.
    FfnNorm,
    /// `[ffn, hidden]`.
    Gate,
    /// `[ffn, hidden]`.
    Up,
    /// `[hidden, ffn]`.
    Down,
    /// `[hidden]`, on the output of the feed-forward block, before it is added.
    PostFfnNorm,
}

impl LayerTensor {
    /// Every tensor of a block, in the order of its use.
    pub const ALL: &[LayerTensor] = &[
        Self::AttentionNorm,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionOutput,
        Self::QueryBias,
        Self::KeyBias,
        Self::ValueBias,
        Self::QueryNorm,
        Self::KeyNorm,
        Self::PostAttentionNorm,
        Self::FfnNorm,
        Self::Gate,
        Self::Up,
        Self::Down,
        Self::PostFfnNorm,
    ];

    /// Its name after `blk.N.` in GGUF files.
    fn gguf(self) -> &'static str {
        match self {
            Self::AttentionNorm => "attn_norm.weight",
            Self::Query => "attn_q.weight",
            Self::Key => "attn_k.weight",
            Self::Value => "attn_v.weight",
            Self::AttentionOutput => "attn_output.weight",
            Self::QueryBias => "attn_q.bias",
            Self::KeyBias => "attn_k.bias",
            Self::ValueBias => "attn_v.bias",
            Self::QueryNorm => "attn_q_norm.weight",
            Self::KeyNorm => "attn_k_norm.weight",
            Self::PostAttentionNorm => "post_attention_norm.weight",
            Self::FfnNorm => "ffn_norm.weight",
            Self::Gate => "ffn_gate.weight",
            Self::Up => "ffn_up.weight",
            Self::Down => "ffn_down.weight",
            Self::PostFfnNorm => "post_ffw_norm.weight",
        }
    }

    /// Its name after `layers.N.` in Hugging Face folders.
    fn hf(self, architecture: Architecture) -> &'static str {
        let gemma = architecture == Architecture::Gemma3;
        match self {
            Self::AttentionNorm => "input_layernorm.weight",
            Self::Query => "self_attn.q_proj.weight",
            Self::Key => "self_attn.k_proj.weight",
            Self::Value => "self_attn.v_proj.weight",
            Self::AttentionOutput => "self_attn.o_proj.weight",
            Self::QueryBias => "self_attn.q_proj.bias",
            Self::KeyBias => "self_attn.k_proj.bias",
            Self::ValueBias => "self_attn.v_proj.bias",
            Self::QueryNorm => "self_attn.q_norm.weight",
            Self::KeyNorm => "self_attn.k_norm.weight",
            Self::PostAttentionNorm => "post_attention_layernorm.weight",
            Self::FfnNorm if gemma => "pre_feedforward_layernorm.weight",
            Self::FfnNorm => "post_attention_layernorm.weight",
            Self::Gate => "mlp.gate_proj.weight",
            Self::Up => "mlp.up_proj.weight",
            Self::Down => "mlp.down_proj.weight",
            Self::PostFfnNorm => "post_feedforward_layernorm.weight",
        }
    }
}

impl TensorName {
    /// Its name in GGUF files.
    pub fn gguf(self) -> String {
        match self {
            Self::TokenEmbedding => "token_embd.weight".into(),
            Self::OutputNorm => "output_norm.weight".into(),
            Self::Output => "output.weight".into(),
            Self::RopeFactors => "rope_freqs.weight".into(),
            Self::Layer(layer, tensor) => format!("blk.{layer}.{}", tensor.gguf()),
        }
    }

    /// Its name in Hugging Face folders, after the prefix (usually `model.`) that all but the output head share.
    pub fn hf(self, architecture: Architecture) -> String {
        match self {
            Self::TokenEmbedding => "embed_tokens.weight".into(),
            Self::OutputNorm => "norm.weight".into(),
            Self::Output => "lm_head.weight".into(),
            Self::RopeFactors => "rotary_emb.factors".into(),
            Self::Layer(layer, tensor) => format!("layers.{layer}.{}", tensor.hf(architecture)),
        }
    }
}

impl TensorName {
    /// Whether it is added to a result instead of multiplied with it.
    pub fn is_bias(self) -> bool {
        matches!(self, Self::Layer(_, LayerTensor::QueryBias | LayerTensor::KeyBias | LayerTensor::ValueBias))
    }
}

impl fmt::Display for TensorName {
    /// As GGUF files name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.gguf())
    }
}
