//! From GGUF metadata to [`ModelConfig`].
//!
//! Keys and defaults are those of ggml's `docs/gguf.md` and of llama.cpp's `llm_load_hparams`.

use super::error::GgufError;
use super::metadata::{Metadata, Value};
use crate::config::{Architecture, FfnActivation, ModelConfig, Rope, RopeScaling, RopeStyle, SlidingWindow, bad};
use crate::error::{ModelError, shown};

/// What the tensors say that the settings do not.
pub(crate) struct FromTensors {
    /// Rows of the token embedding.
    pub(crate) vocabulary: usize,
    /// Whether there is no output head of its own.
    pub(crate) tied: bool,
    /// The values of `rope_freqs.weight`, where there is one.
    pub(crate) rope_factors: Option<Vec<f32>>,
}

/// The architecture, after refusing files that are no language model of a known family.
pub(crate) fn architecture(metadata: &Metadata) -> Result<Architecture, ModelError> {
    if let Some(count) = metadata.get_u32("split.count")?.filter(|count| *count > 1) {
        let part = metadata.get_u32("split.no")?.unwrap_or(0).saturating_add(1);
        return Err(GgufError::Split { part, count }.into());
    }
    let missing = || ModelError::MissingSetting { key: "general.architecture".into() };
    let got = metadata.get_str("general.architecture")?.ok_or_else(missing)?;
    match got {
        "llama" => Ok(Architecture::Llama),
        "qwen2" => Ok(Architecture::Qwen2),
        "qwen3" => Ok(Architecture::Qwen3),
        "gemma3" => Ok(Architecture::Gemma3),
        other => {
            Err(ModelError::UnsupportedArchitecture { got: shown(other), known: "llama, qwen2, qwen3 and gemma3" })
        }
    }
}

/// The settings of a file whose architecture and tensors are known.
pub(crate) fn read(
    metadata: &Metadata,
    architecture: Architecture,
    tensors: FromTensors,
) -> Result<ModelConfig, ModelError> {
    let keys = Keys { metadata, prefix: architecture.gguf_name() };
    refuse_unsupported(&keys)?;

    let hidden = keys.require_u32("embedding_length")? as usize;
    let layer_count = keys.require_u32("block_count")?;
    let heads = keys.require_u32("attention.head_count")? as usize;
    let kv_heads = keys.u32("attention.head_count_kv")?.map_or(heads, |count| count as usize);
    let context = keys.require_u32("context_length")?;
    let head_dim = match keys.u32("attention.key_length")? {
        Some(length) => length as usize,
        None => hidden.checked_div(heads).unwrap_or(0),
    };
    if let Some(value) = keys.u32("attention.value_length")?.filter(|value| *value as usize != head_dim) {
        return Err(unsupported(format!("values of {value} beside keys of {head_dim}")));
    }
    let rope_dim = keys.u32("rope.dimension_count")?.map_or(head_dim, |count| count as usize);
    if let Some(tokens) = vocabulary(metadata)?.filter(|tokens| *tokens > tensors.vocabulary) {
        let reason = format!("{tokens} tokens for {} rows of embedding", tensors.vocabulary);
        return Err(bad("tokenizer.ggml.tokens", reason));
    }

    let style = match architecture {
        Architecture::Llama | Architecture::Mistral => RopeStyle::Interleaved,
        Architecture::Qwen2 | Architecture::Qwen3 | Architecture::Gemma3 => RopeStyle::HalfRotated,
    };
    let base = keys.f32("rope.freq_base")?.unwrap_or(10_000.0);
    let rope = Rope { base, style, scaling: scaling(&keys, context, tensors.rope_factors)? };

    let gemma = architecture == Architecture::Gemma3;
    let sliding_window = if gemma { sliding_window(&keys)? } else { None };
    let local_rope = match sliding_window {
        Some(_) => {
            let base = keys.f32("rope.freq_base_swa")?.unwrap_or(10_000.0);
            Some(Rope { base, style, scaling: RopeScaling::None })
        }
        None => None,
    };
    // llama.cpp scales the 27B model, known by its 62 blocks, by its hidden size per head.
    let per_head = if gemma && layer_count == 62 { hidden.checked_div(heads).unwrap_or(0) } else { head_dim };
    let attention_scale = match keys.f32("attention.scale")?.filter(|scale| *scale != 0.0) {
        Some(scale) => scale,
        None => 1.0 / (per_head as f32).sqrt(),
    };

    ModelConfig {
        architecture,
        layer_count,
        hidden,
        ffn: keys.require_u32("feed_forward_length")? as usize,
        heads,
        kv_heads,
        head_dim,
        rope_dim,
        vocabulary: tensors.vocabulary,
        context,
        norm_epsilon: keys.require_f32("attention.layer_norm_rms_epsilon")?,
        norm_offset: 0.0,
        rope,
        local_rope,
        sliding_window,
        attention_scale,
        embedding_scale: if gemma { (hidden as f32).sqrt() } else { 1.0 },
        activation: if gemma { FfnActivation::GeluTanh } else { FfnActivation::Silu },
        tied: tensors.tied,
        final_softcap: keys.f32("final_logit_softcapping")?.filter(|softcap| *softcap != 0.0),
        end_tokens: end_tokens(metadata)?,
    }
    .checked()
}

fn refuse_unsupported(keys: &Keys<'_>) -> Result<(), ModelError> {
    if keys.u32("expert_count")?.is_some_and(|count| count > 0) {
        return Err(ModelError::Unsupported {
            what: "a mixture of experts".into(),
            hint: "choose a dense model of the Llama, Mistral, Qwen2, Qwen3 or Gemma 3 family",
        });
    }
    if keys.f32("attn_logit_softcapping")?.is_some_and(|softcap| softcap != 0.0) {
        return Err(unsupported("a softcap on attention"));
    }
    if keys.metadata.get_bool(&keys.name("attention.causal"))? == Some(false) {
        return Err(unsupported("attention that is not causal"));
    }
    Ok(())
}

fn vocabulary(metadata: &Metadata) -> Result<Option<usize>, ModelError> {
    match metadata.get("tokenizer.ggml.tokens")? {
        Some(Value::Array(_, count)) => Ok(Some(count)),
        _ => Ok(None),
    }
}

fn sliding_window(keys: &Keys<'_>) -> Result<Option<SlidingWindow>, ModelError> {
    let Some(size) = keys.u32("attention.sliding_window")?.filter(|size| *size > 0) else { return Ok(None) };
    const PATTERN: &str = "attention.sliding_window_pattern";
    // A pattern by layer, where a file has one, must be the one that the family is known for.
    let name = keys.name(PATTERN);
    let pattern = match keys.metadata.get(&name)? {
        Some(Value::Array(..)) => {
            let sliding = keys.metadata.get_bools(&name)?.unwrap_or_default();
            let every = sliding.iter().position(|sliding| !sliding).map_or(0, |first| first as u32 + 1);
            let window = SlidingWindow { size, pattern: every };
            if (0u32..).zip(&sliding).any(|(layer, sliding)| window.is_global(layer) == *sliding) {
                return Err(unsupported("an irregular pattern of sliding layers"));
            }
            every
        }
        Some(_) => keys.require_u32(PATTERN)?,
        None => 6,
    };
    Ok(Some(SlidingWindow { size, pattern }))
}

fn scaling(keys: &Keys<'_>, context: u32, factors: Option<Vec<f32>>) -> Result<RopeScaling, ModelError> {
    let factor = match keys.f32("rope.scaling.factor")? {
        Some(factor) => Some(factor),
        None => keys.f32("rope.scale_linear")?,
    };
    // 0 stands for "not scaled" in these files.
    let factor = factor.filter(|factor| *factor != 0.0).unwrap_or(1.0);
    let kind = keys.metadata.get_str(&keys.name("rope.scaling.type"))?.unwrap_or("linear");
    let scaling = match kind {
        "none" => RopeScaling::None,
        "linear" if factor == 1.0 => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor },
        "yarn" => RopeScaling::Yarn {
            factor,
            original_context: keys.u32("rope.scaling.original_context_length")?.unwrap_or(context),
            attention_factor: keys.f32("rope.scaling.attn_factor")?.unwrap_or(1.0)
                * RopeScaling::yarn_magnitude(factor),
            beta_fast: keys.f32("rope.scaling.yarn_beta_fast")?.unwrap_or(32.0),
            beta_slow: keys.f32("rope.scaling.yarn_beta_slow")?.unwrap_or(1.0),
        },
        other => return Err(unsupported(format!("rope scaling `{}`", shown(other)))),
    };
    match (factors, scaling) {
        (None, scaling) => Ok(scaling),
        (Some(factors), RopeScaling::None) => Ok(RopeScaling::Factors(factors)),
        (Some(factors), RopeScaling::Linear { factor }) => {
            Ok(RopeScaling::Factors(factors.into_iter().map(|divisor| divisor * factor).collect()))
        }
        (Some(_), _) => Err(unsupported("rope factors together with YaRN")),
    }
}

fn end_tokens(metadata: &Metadata) -> Result<Vec<u32>, ModelError> {
    let mut ends = Vec::new();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"] {
        ends.extend(metadata.get_u32(key)?);
    }
    Ok(ends)
}

fn unsupported(what: impl Into<String>) -> ModelError {
    ModelError::Unsupported { what: what.into(), hint: "choose another model of the family" }
}

/// The keys of one architecture.
struct Keys<'a> {
    metadata: &'a Metadata,
    prefix: &'static str,
}

impl Keys<'_> {
    fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    /// A number for the whole model; one per layer is accepted where all are equal.
    fn u32(&self, key: &str) -> Result<Option<u32>, ModelError> {
        let name = self.name(key);
        if !matches!(self.metadata.get(&name)?, Some(Value::Array(..))) {
            return Ok(self.metadata.get_u32(&name)?);
        }
        let values = self.metadata.get_u32s(&name)?.unwrap_or_default();
        match values.split_first() {
            Some((first, rest)) if rest.iter().all(|value| value == first) => Ok(Some(*first)),
            _ => Err(unsupported(format!("layers that differ in `{name}`"))),
        }
    }

    fn require_u32(&self, key: &str) -> Result<u32, ModelError> {
        self.u32(key)?.ok_or_else(|| ModelError::MissingSetting { key: self.name(key) })
    }

    fn f32(&self, key: &str) -> Result<Option<f32>, ModelError> {
        Ok(self.metadata.get_f32(&self.name(key))?)
    }

    fn require_f32(&self, key: &str) -> Result<f32, ModelError> {
        self.f32(key)?.ok_or_else(|| ModelError::MissingSetting { key: self.name(key) })
    }
}
