//! Writing Hugging Face folders.

use std::fs;
use std::io;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Map, Value, json};

use super::{CHAT_TEMPLATE, END_TOKEN, Encode, TinyModel, token_texts};
use crate::config::{Architecture, RopeScaling};
use crate::tensor::TensorType;
use crate::weights::TensorName;

impl TinyModel {
    /// Writes the model as a Hugging Face folder, its weights in `files` safetensors (with an index where there are
    /// several), stored as `encode` decides, which must be one of the float types.
    pub fn write_hf(&self, folder: &Path, files: usize, encode: &Encode<'_>) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        write_json(&folder.join("config.json"), &self.hf_config())?;
        write_json(&folder.join("tokenizer.json"), &self.hf_tokenizer())?;
        let tokenizer = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|end|>",
            "add_bos_token": false,
            "chat_template": CHAT_TEMPLATE,
        });
        write_json(&folder.join("tokenizer_config.json"), &tokenizer)?;

        let architecture = self.spec.architecture;
        let mut stored = Vec::new();
        for (name, shape, values) in self.tensors() {
            let text = match name {
                TensorName::Output => name.hf(architecture),
                _ => format!("model.{}", name.hf(architecture)),
            };
            let (kind, bytes) = encode(name, shape, values);
            let kind = match kind {
                TensorType::F32 => Dtype::F32,
                TensorType::F16 => Dtype::F16,
                TensorType::Bf16 => Dtype::BF16,
                other => return Err(io::Error::other(format!("{other} has no place in safetensors"))),
            };
            stored.push((text, kind, shape.to_vec(), bytes));
        }
        let per_file = stored.len().div_ceil(files.max(1));
        let mut index = Map::new();
        for (number, part) in stored.chunks(per_file).enumerate() {
            let file = match files {
                0 | 1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{files:05}.safetensors", number + 1),
            };
            let mut views = Vec::new();
            for (name, kind, shape, bytes) in part {
                index.insert(name.clone(), Value::String(file.clone()));
                views.push((name.as_str(), TensorView::new(*kind, shape.clone(), bytes).map_err(io::Error::other)?));
            }
            serialize_to_file(views, None, &folder.join(file)).map_err(io::Error::other)?;
        }
        if files > 1 {
            let index = json!({ "metadata": {}, "weight_map": index });
            write_json(&folder.join("model.safetensors.index.json"), &index)?;
        }
        Ok(())
    }

    /// `config.json`, in the form of transformers 4.
    pub fn hf_config(&self) -> Value {
        let spec = &self.spec;
        let mut config = json!({
            "model_type": spec.architecture.hf_name(),
            "num_hidden_layers": spec.layers,
            "hidden_size": spec.hidden,
            "intermediate_size": spec.ffn,
            "num_attention_heads": spec.heads,
            "num_key_value_heads": spec.kv_heads,
            "head_dim": spec.head_dim,
            "vocab_size": spec.vocabulary,
            "max_position_embeddings": spec.context,
            "rms_norm_eps": 1e-6,
            "rope_theta": spec.rope_base,
            "tie_word_embeddings": spec.tied,
            "bos_token_id": END_TOKEN,
            "eos_token_id": END_TOKEN,
            "pad_token_id": null,
            "torch_dtype": "float32",
        });
        let mut more = |key: &str, value: Value| config[key] = value;
        let class = match spec.architecture {
            Architecture::Llama => "LlamaForCausalLM",
            Architecture::Mistral => "MistralForCausalLM",
            Architecture::Qwen2 => "Qwen2ForCausalLM",
            Architecture::Qwen3 => "Qwen3ForCausalLM",
            Architecture::Gemma3 => "Gemma3ForCausalLM",
        };
        more("architectures", json!([class]));
        match spec.architecture {
            Architecture::Gemma3 => {
                more("hidden_activation", "gelu_pytorch_tanh".into());
                more("query_pre_attn_scalar", spec.head_dim.into());
                more("rope_local_base_freq", json!(10_000.0));
                if let Some(window) = spec.sliding_window {
                    let kind = |layer| if window.is_global(layer) { "full_attention" } else { "sliding_attention" };
                    more("sliding_window", window.size.into());
                    more("layer_types", (0..spec.layers).map(kind).collect());
                }
            }
            Architecture::Mistral => {
                more("hidden_act", "silu".into());
                more("sliding_window", spec.sliding_window.map_or(Value::Null, |window| window.size.into()));
            }
            Architecture::Llama | Architecture::Qwen2 | Architecture::Qwen3 => more("hidden_act", "silu".into()),
        }
        more("rope_scaling", hf_scaling(&spec.rope_scaling));
        config
    }

    fn hf_tokenizer(&self) -> Value {
        let texts = token_texts(self.spec.vocabulary);
        let vocabulary: Map<String, Value> = texts.iter().cloned().zip((0u32..).map(Value::from)).collect();
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [{
                "id": END_TOKEN, "content": "<|end|>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            }],
            "normalizer": null,
            "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
            "post_processor": null,
            "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                "vocab": vocabulary, "merges": [],
            },
        })
    }
}

/// `rope_scaling`; `Factors` has no form of its own here.
fn hf_scaling(scaling: &RopeScaling) -> Value {
    match scaling {
        RopeScaling::None | RopeScaling::Factors(_) => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Llama3 { factor, low_frequency, high_frequency, original_context } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_frequency,
            "high_freq_factor": high_frequency,
            "original_max_position_embeddings": original_context,
        }),
        RopeScaling::Yarn { factor, original_context, attention_factor, beta_fast, beta_slow } => json!({
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": original_context,
            "attention_factor": attention_factor,
            "beta_fast": beta_fast,
            "beta_slow": beta_slow,
        }),
    }
}

fn write_json(path: &Path, value: &Value) -> io::Result<()> {
    fs::write(path, serde_json::to_vec_pretty(value)?)
}
