//! Writes a small random model as a GGUF file with 32-bit weights: `tiny OUT ARCHITECTURE tied|untied [SCALING]`.
//!
//! ARCHITECTURE is `llama`, `qwen2`, `qwen3` or `gemma3`; SCALING, of the rotary frequencies, is `linear`, `llama3` or
//! `yarn`. For comparing logits with other implementations: see `conformance/llama/logits.py`.

use std::error::Error;
use std::path::Path;

use computepool_model::config::{Architecture, RopeScaling, SlidingWindow};
use computepool_model::testkit::{TinyModel, TinySpec, as_f32};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, architecture, tied, scaling @ ..] = arguments.as_slice() else {
        return Err("tiny OUT ARCHITECTURE tied|untied [linear|llama3|yarn]".into());
    };
    let family = Architecture::ALL.iter().find(|known| known.gguf_name() == architecture);
    let family = *family.ok_or_else(|| format!("no architecture {architecture}"))?;
    let spec = TinySpec {
        // Gemma 3's sixth block sees the whole sequence.
        layers: 7,
        hidden: 128,
        ffn: 192,
        head_dim: 32,
        tied: tied == "tied",
        sliding_window: (family == Architecture::Gemma3).then_some(SlidingWindow { size: 32, pattern: 6 }),
        rope_base: 50_000.0,
        rope_scaling: match scaling.first().map(String::as_str) {
            None => RopeScaling::None,
            Some("linear") => RopeScaling::Linear { factor: 4.0 },
            Some("llama3") => {
                RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 128 }
            }
            Some("yarn") => RopeScaling::Yarn {
                factor: 4.0,
                original_context: 128,
                attention_factor: RopeScaling::yarn_magnitude(4.0),
                beta_fast: 32.0,
                beta_slow: 1.0,
            },
            Some(other) => return Err(format!("no scaling {other}").into()),
        },
        ..TinySpec::new(family)
    };
    TinyModel::random(spec).write_gguf(Path::new(out), &as_f32)?;
    Ok(())
}
