//! From `config.json` to [`ModelConfig`].
//!
//! Names and defaults are those of the configuration classes of Hugging Face transformers.

mod fields;
mod rope;

use serde_json::{Map, Value};

use crate::config::{Architecture, FfnActivation, ModelConfig, SlidingWindow, bad};
use crate::error::{ModelError, shown};
use fields::Fields;

/// The settings of a folder; `has_output` tells whether the weights have an output head.
pub(super) fn read(
    root: &Map<String, Value>,
    generation: &Map<String, Value>,
    has_output: bool,
) -> Result<ModelConfig, ModelError> {
    let root = Fields(root);
    let model_type = root.require_str("model_type")?;
    let (architecture, fields) = match model_type {
        "llama" => (Architecture::Llama, root),
        "mistral" => (Architecture::Mistral, root),
        "qwen2" => (Architecture::Qwen2, root),
        "qwen3" => (Architecture::Qwen3, root),
        "gemma3_text" => (Architecture::Gemma3, root),
        "gemma3" => {
            let missing = || ModelError::MissingSetting { key: "text_config".into() };
            (Architecture::Gemma3, root.object("text_config")?.ok_or_else(missing)?)
        }
        other => {
            let known = "llama, mistral, qwen2, qwen3 and gemma3 (text)";
            return Err(ModelError::UnsupportedArchitecture { got: shown(other), known });
        }
    };
    for fields in [root, fields] {
        refuse_unsupported(fields)?;
    }
    let mut config = match architecture {
        Architecture::Gemma3 => gemma3(fields)?,
        other => llama_like(other, fields)?,
    };
    // Where the settings are silent, the weights tell.
    let tied = match root.bool("tie_word_embeddings")? {
        Some(tied) => Some(tied),
        None => fields.bool("tie_word_embeddings")?,
    };
    config.tied = tied.unwrap_or(!has_output);
    config.end_tokens = root.ids("eos_token_id")?;
    config.end_tokens.extend(fields.ids("eos_token_id")?);
    config.end_tokens.extend(Fields(generation).ids("eos_token_id")?);
    config.checked()
}

fn refuse_unsupported(fields: Fields<'_>) -> Result<(), ModelError> {
    if fields.has("quantization_config") {
        return Err(ModelError::Unsupported {
            what: "quantised safetensors (`quantization_config`)".into(),
            hint: "choose the unquantised folder of this model, or a GGUF file",
        });
    }
    if fields.has("attn_logit_softcapping") {
        return Err(unsupported("a softcap on attention"));
    }
    if fields.bool("use_bidirectional_attention")? == Some(true) {
        return Err(unsupported("attention that is not causal"));
    }
    Ok(())
}

fn llama_like(architecture: Architecture, fields: Fields<'_>) -> Result<ModelConfig, ModelError> {
    let hidden = fields.require_usize("hidden_size")?;
    let heads = fields.require_usize("num_attention_heads")?;
    let layer_count = fields.require_u32("num_hidden_layers")?;
    let context = fields.require_u32("max_position_embeddings")?;
    let kv_heads = match (fields.usize("num_key_value_heads")?, architecture) {
        (Some(count), _) => count,
        (None, Architecture::Llama) => heads,
        (None, _) => return Err(ModelError::MissingSetting { key: "num_key_value_heads".into() }),
    };
    let head_dim = match (fields.usize("head_dim")?, architecture) {
        (Some(dim), _) => dim,
        (None, Architecture::Qwen3) => 128,
        (None, _) => hidden.checked_div(heads).unwrap_or(0),
    };
    match fields.str("hidden_act")?.unwrap_or("silu") {
        "silu" => {}
        other => return Err(unsupported(format!("the activation `{}`", shown(other)))),
    }
    let rope_dim = rope::rotated(fields, head_dim)?;
    Ok(ModelConfig {
        architecture,
        layer_count,
        hidden,
        ffn: fields.require_usize("intermediate_size")?,
        heads,
        kv_heads,
        head_dim,
        rope_dim,
        vocabulary: fields.require_usize("vocab_size")?,
        context,
        norm_epsilon: fields.f32("rms_norm_eps")?.unwrap_or(1e-6),
        norm_offset: 0.0,
        rope: rope::read(fields, 10_000.0, context)?,
        local_rope: None,
        sliding_window: sliding_window(architecture, fields, layer_count, context)?,
        attention_scale: 1.0 / (head_dim as f32).sqrt(),
        embedding_scale: 1.0,
        activation: FfnActivation::Silu,
        tied: false,
        final_softcap: None,
        end_tokens: Vec::new(),
    })
}

fn sliding_window(
    architecture: Architecture,
    fields: Fields<'_>,
    layer_count: u32,
    context: u32,
) -> Result<Option<SlidingWindow>, ModelError> {
    // A window as wide as the context hides nothing.
    let narrow = |size: &u32| *size < context;
    match architecture {
        Architecture::Mistral => {
            // An explicit null switches it off; silence means the class's own 4096.
            let size = match fields.is_null("sliding_window") {
                true => None,
                false => Some(fields.u32("sliding_window")?.unwrap_or(4096)),
            };
            Ok(size.filter(narrow).map(|size| SlidingWindow { size, pattern: 0 }))
        }
        Architecture::Qwen2 | Architecture::Qwen3 => {
            let sliding_from = fields.u32("max_window_layers")?.unwrap_or(28);
            let size = fields.u32("sliding_window")?.unwrap_or(4096);
            let used = fields.bool("use_sliding_window")? == Some(true) && sliding_from < layer_count;
            if used && narrow(&size) {
                Err(unsupported("a sliding window on some layers (`use_sliding_window`)"))
            } else {
                Ok(None)
            }
        }
        Architecture::Llama | Architecture::Gemma3 => Ok(None),
    }
}

/// Gemma 3; folders of the model with images leave out what equals the defaults.
fn gemma3(fields: Fields<'_>) -> Result<ModelConfig, ModelError> {
    let hidden = fields.usize("hidden_size")?.unwrap_or(2304);
    let layer_count = fields.u32("num_hidden_layers")?.unwrap_or(26);
    let context = fields.u32("max_position_embeddings")?.unwrap_or(131_072);
    let head_dim = fields.usize("head_dim")?.unwrap_or(256);
    let activation = match fields.str("hidden_activation")? {
        Some(activation) => Some(activation),
        None => fields.str("hidden_act")?,
    };
    match activation.unwrap_or("gelu_pytorch_tanh") {
        "gelu_pytorch_tanh" => {}
        other => return Err(unsupported(format!("the activation `{}`", shown(other)))),
    }
    let size = fields.u32("sliding_window")?.unwrap_or(4096);
    let scalar = fields.f32("query_pre_attn_scalar")?.unwrap_or(256.0);
    let (rope, local_rope) = rope::read_gemma3(fields, context)?;
    Ok(ModelConfig {
        architecture: Architecture::Gemma3,
        layer_count,
        hidden,
        ffn: fields.usize("intermediate_size")?.unwrap_or(9216),
        heads: fields.usize("num_attention_heads")?.unwrap_or(8),
        kv_heads: fields.usize("num_key_value_heads")?.unwrap_or(4),
        head_dim,
        rope_dim: head_dim,
        vocabulary: fields.usize("vocab_size")?.unwrap_or(262_208),
        context,
        norm_epsilon: fields.f32("rms_norm_eps")?.unwrap_or(1e-6),
        norm_offset: 1.0,
        rope,
        local_rope: Some(local_rope),
        sliding_window: Some(SlidingWindow { size, pattern: gemma3_pattern(fields, size, layer_count)? }),
        attention_scale: 1.0 / scalar.sqrt(),
        embedding_scale: (hidden as f32).sqrt(),
        activation: FfnActivation::GeluTanh,
        tied: true,
        final_softcap: fields.f32("final_logit_softcapping")?,
        end_tokens: Vec::new(),
    })
}

/// Which layers are global: newer folders list every layer, older ones give the pattern.
fn gemma3_pattern(fields: Fields<'_>, size: u32, layer_count: u32) -> Result<u32, ModelError> {
    let Some(types) = fields.list("layer_types")? else {
        return Ok(match fields.u32("sliding_window_pattern")? {
            Some(pattern) => pattern,
            None => fields.u32("_sliding_window_pattern")?.unwrap_or(6),
        });
    };
    if types.len() as u64 != u64::from(layer_count) {
        return Err(bad("layer_types", format!("{} entries for {layer_count} layers", types.len())));
    }
    let mut global = Vec::with_capacity(types.len());
    for kind in types {
        match kind.as_str() {
            Some("full_attention") => global.push(true),
            Some("sliding_attention") => global.push(false),
            other => return Err(unsupported(format!("layers of type `{}`", shown(other.unwrap_or("?"))))),
        }
    }
    let pattern = global.iter().position(|global| *global).map_or(0, |first| first as u32 + 1);
    let window = SlidingWindow { size, pattern };
    if (0u32..).zip(&global).any(|(layer, global)| window.is_global(layer) != *global) {
        return Err(unsupported("an irregular pattern of sliding layers"));
    }
    Ok(pattern)
}

fn unsupported(what: impl Into<String>) -> ModelError {
    ModelError::Unsupported { what: what.into(), hint: "choose another model of the family" }
}
