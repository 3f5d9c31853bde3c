//! Models of every architecture, as a GGUF file and as a Hugging Face folder: the same settings, the same weights.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::fs;
use std::path::Path;

use computepool_core::{ContentHash, Fault, FaultCode, LayerRange, ModelId};
use computepool_model::config::{Architecture, ModelConfig, Rope, RopeScaling, RopeStyle, SlidingWindow};
use computepool_model::fit::{ENGINE_OVERHEAD, estimate};
use computepool_model::testkit::{TinyModel, TinySpec, as_bf16, as_f16, as_f32, as_q8_0};
use computepool_model::{LayerTensor, ModelError, ModelFile, TensorName, TensorType};
use serde_json::{Value, json};

fn range(start: u32, end: u32) -> LayerRange {
    LayerRange::new(start, end).unwrap()
}

fn specs() -> Vec<TinySpec> {
    let both =
        |architecture: &Architecture| [true, false].map(|tied| TinySpec { tied, ..TinySpec::new(*architecture) });
    let mut specs: Vec<TinySpec> = Architecture::ALL.iter().flat_map(both).collect();
    let llama = TinySpec::new(Architecture::Llama);
    let llama3 = RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 64 };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 128,
        attention_factor: RopeScaling::yarn_magnitude(4.0),
        beta_fast: 32.0,
        beta_slow: 1.0,
    };
    specs.push(TinySpec { rope_scaling: llama3, ..llama.clone() });
    specs.push(TinySpec { rope_scaling: RopeScaling::Linear { factor: 2.0 }, head_dim: 32, ..llama });
    specs.push(TinySpec { rope_scaling: yarn, ..TinySpec::new(Architecture::Qwen3) });
    let linear = RopeScaling::Linear { factor: 8.0 };
    specs.push(TinySpec { rope_scaling: linear, rope_base: 1e6, layers: 7, ..TinySpec::new(Architecture::Gemma3) });
    specs
}

fn values(file: &ModelFile, name: TensorName) -> Option<Vec<f32>> {
    file.tensor(name).unwrap().map(|tensor| tensor.to_f32().unwrap())
}

fn names(file: &ModelFile) -> Vec<TensorName> {
    file.shard_tensors(range(0, file.config().layer_count))
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * b.abs())
}

/// Where the two forms may differ: names, the layout of rotated pairs, where Gemma's 1 is added, Llama 3's factors.
fn same_settings(gguf: &ModelConfig, folder: &ModelConfig) {
    let plain = |rope: &Rope| Rope { style: RopeStyle::HalfRotated, scaling: RopeScaling::None, ..rope.clone() };
    let reduced = |config: &ModelConfig| ModelConfig {
        architecture: Architecture::Llama,
        rope: plain(&config.rope),
        local_rope: config.local_rope.as_ref().map(plain),
        norm_offset: 0.0,
        ..config.clone()
    };
    assert_eq!(reduced(gguf), reduced(folder));
    for layer in 0..gguf.layer_count {
        let (gguf, folder) = (gguf.layer_rope(layer), folder.layer_rope(layer));
        let frequencies = |rope: &Rope| rope.inverse_frequencies(16);
        assert!(close(&frequencies(gguf), &frequencies(folder)), "{gguf:?} {folder:?}");
        assert!((gguf.magnitude() - folder.magnitude()).abs() < 1e-6);
    }
}

/// The rows of a head in the order of the other layout.
fn interleaved(values: &[f32], head: usize) -> Vec<f32> {
    let cols = values.len() % 64;
    assert_eq!(cols, 0);
    let rows: Vec<&[f32]> = values.chunks(64).collect();
    let mut out = Vec::new();
    for first in (0..rows.len()).step_by(head) {
        for pair in 0..head / 2 {
            out.extend(rows[first + pair]);
            out.extend(rows[first + head / 2 + pair]);
        }
    }
    out
}

#[test]
fn a_gguf_file_and_a_folder_of_one_model_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for (index, spec) in specs().into_iter().enumerate() {
        let model = TinyModel::random(spec.clone());
        let path = dir.path().join(format!("{index}.gguf"));
        let folder = dir.path().join(index.to_string());
        model.write_gguf(&path, &as_f32).unwrap();
        model.write_hf(&folder, 1 + index % 3, &as_f32).unwrap();
        let (gguf, folder) = (ModelFile::open(&path).unwrap(), ModelFile::open(&folder).unwrap());

        let expected = spec.config();
        assert_eq!(*folder.config(), expected, "{spec:?}");
        same_settings(gguf.config(), folder.config());
        assert_eq!(gguf.config().tied, spec.tied);
        let llama = matches!(spec.architecture, Architecture::Llama | Architecture::Mistral);
        let style = if llama { RopeStyle::Interleaved } else { RopeStyle::HalfRotated };
        assert_eq!((gguf.config().rope.style, folder.config().rope.style), (style, RopeStyle::HalfRotated));
        assert!(gguf.gguf().is_some() && gguf.folder().is_none());
        assert!(folder.gguf().is_none() && folder.folder().is_some());

        let gemma = spec.architecture == Architecture::Gemma3;
        for name in names(&folder) {
            let (shape, original) = model.tensor(name).unwrap();
            assert_eq!(folder.require(name).unwrap().shape(), shape);
            assert_eq!(values(&folder, name).unwrap(), original, "{name}");
            let expected = match name {
                TensorName::Layer(_, LayerTensor::Query | LayerTensor::Key) if llama => {
                    interleaved(original, spec.head_dim)
                }
                _ if gemma && shape.len() == 1 => original.iter().map(|value| value + 1.0).collect(),
                _ => original.to_vec(),
            };
            assert_eq!(values(&gguf, name).unwrap(), expected, "{name}");
        }
        assert_eq!(names(&folder).len(), model.tensors().count());
        assert_eq!(folder.tensor(TensorName::Output).unwrap().is_none(), spec.tied);
    }
}

#[test]
fn a_shard_needs_exactly_its_own_tensors() {
    let dir = tempfile::tempdir().unwrap();
    for tied in [true, false] {
        let model = TinyModel::random(TinySpec { tied, layers: 5, ..TinySpec::new(Architecture::Qwen2) });
        model.write_hf(dir.path(), 2, &as_f32).unwrap();
        let file = ModelFile::open(dir.path()).unwrap();
        let of = |layers| file.shard_tensors(layers);

        let middle = of(range(2, 4));
        assert_eq!(middle.len(), 2 * 12);
        assert!(middle.iter().all(|name| matches!(name, TensorName::Layer(2 | 3, _))));
        let entry = of(range(0, 2));
        assert_eq!(entry.len(), 2 * 12 + 1);
        assert!(entry.contains(&TensorName::TokenEmbedding));
        let exit = of(range(4, 5));
        assert_eq!(exit.contains(&TensorName::TokenEmbedding), tied);
        assert_eq!(exit.contains(&TensorName::Output), !tied);
        assert!(exit.contains(&TensorName::OutputNorm));
        let whole = of(range(0, 5));
        assert_eq!(whole.iter().filter(|name| **name == TensorName::TokenEmbedding).count(), 1);

        let bytes = |names: &[TensorName]| -> u64 {
            names.iter().map(|name| file.require(*name).unwrap().bytes().len() as u64).sum()
        };
        for layers in [range(2, 4), range(0, 2), range(4, 5), range(0, 5)] {
            assert_eq!(file.shard_bytes(layers), bytes(&of(layers)), "{layers}");
        }
        let summary = file.summary(ModelId::new("tiny").unwrap(), ContentHash([1; 32]));
        assert_eq!(summary.layer_bytes.len(), 5);
        assert_eq!(file.shard_bytes(range(2, 4)), summary.layer_bytes[2] + summary.layer_bytes[3]);
        assert_eq!(
            file.shard_bytes(range(0, 2)),
            summary.embedding_bytes + summary.layer_bytes[..2].iter().sum::<u64>()
        );
        assert_eq!(file.shard_bytes(range(4, 5)), summary.head_bytes + summary.layer_bytes[4]);
        assert_eq!(summary.kv_bytes_per_token_layer, 2 * 2 * 16 * 4);
        assert_eq!((summary.architecture.as_str(), summary.vocabulary), ("qwen2", 320));

        let fit = estimate(&file, range(2, 4), 1000);
        assert_eq!((fit.weights, fit.kv), (file.shard_bytes(range(2, 4)), 1000 * 2 * 256));
        assert!(fit.reserve >= ENGINE_OVERHEAD && fit.reserve < 150 << 20);
        assert_eq!(fit.total(), fit.weights + fit.kv + fit.reserve);
        assert!(estimate(&file, range(4, 5), 0).reserve > fit.reserve);
        assert_eq!(estimate(&file, range(0, 5), u64::MAX).total(), u64::MAX);

        assert!(matches!(
            file.tensor(TensorName::Layer(5, LayerTensor::Up)),
            Err(ModelError::NoSuchLayer { layer: 5, layer_count: 5 })
        ));
        let missing = file.require(TensorName::RopeFactors);
        assert!(matches!(missing, Err(ModelError::MissingTensor { .. })));
    }
}

#[test]
fn stored_types_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let model = TinyModel::random(TinySpec::new(Architecture::Llama));
    let query = TensorName::Layer(1, LayerTensor::Down);
    let original = model.tensor(query).unwrap().1;
    let quantised = ModelFile::from_gguf(model.to_gguf(&as_q8_0)).unwrap();
    let tensor = quantised.require(query).unwrap();
    assert_eq!((tensor.kind(), tensor.bytes().len()), (TensorType::Q8_0, 64 * 3 * 34));
    assert_eq!(quantised.require(TensorName::OutputNorm).unwrap().kind(), TensorType::F32);

    model.write_hf(dir.path(), 1, &as_bf16).unwrap();
    let folder = ModelFile::open(dir.path()).unwrap();
    assert_eq!(folder.require(query).unwrap().kind(), TensorType::Bf16);
    assert!(values(&folder, query).unwrap().iter().zip(original).all(|(got, put)| (got - put).abs() < 0.005));
    let halves = ModelFile::from_gguf(model.to_gguf(&as_f16)).unwrap();
    assert!(values(&halves, query).unwrap().iter().zip(original).all(|(got, put)| (got - put).abs() < 0.0005));
}

fn edited(spec: TinySpec, edit: impl FnOnce(&mut Value)) -> Result<ModelFile, ModelError> {
    let dir = tempfile::tempdir().unwrap();
    let model = TinyModel::random(spec);
    model.write_hf(dir.path(), 1, &as_f32).unwrap();
    let mut config = model.hf_config();
    edit(&mut config);
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    ModelFile::open(dir.path())
}

#[test]
fn folders_of_other_ages_and_shapes_are_understood() {
    let llama = || TinySpec::new(Architecture::Llama);
    // transformers 5 keeps the base with the scaling.
    let file = edited(llama(), |config| {
        config["rope_theta"] = Value::Null;
        config["rope_scaling"] = Value::Null;
        config["rope_parameters"] = json!({ "rope_type": "linear", "factor": 4.0, "rope_theta": 5e5 });
    });
    let rope = file.unwrap().config().rope.clone();
    assert_eq!((rope.base, rope.scaling), (5e5, RopeScaling::Linear { factor: 4.0 }));
    let file = edited(TinySpec::new(Architecture::Gemma3), |config| {
        config["rope_scaling"] = Value::Null;
        config["rope_parameters"] = json!({
            "full_attention": { "rope_type": "linear", "factor": 8.0, "rope_theta": 1e6 },
            "sliding_attention": { "rope_type": "default", "rope_theta": 2e4 },
        });
    });
    let config = file.unwrap().config().clone();
    assert_eq!((config.rope.base, config.rope.scaling), (1e6, RopeScaling::Linear { factor: 8.0 }));
    assert_eq!(config.local_rope.unwrap().base, 2e4);

    // Silence about tying: the weights tell.
    for tied in [true, false] {
        let file = edited(TinySpec { tied, ..llama() }, |config| config["tie_word_embeddings"] = Value::Null);
        assert_eq!(file.unwrap().config().tied, tied);
    }
    // The end tokens of both settings files.
    let file = edited(llama(), |config| config["eos_token_id"] = json!([5, 3, 5]));
    assert_eq!(file.unwrap().config().end_tokens, [3, 5]);
    // Mistral's window, and its explicit absence.
    let window = Some(SlidingWindow { size: 32, pattern: 0 });
    let spec = TinySpec { sliding_window: window, ..TinySpec::new(Architecture::Mistral) };
    let config = edited(spec, |_| {}).unwrap().config().clone();
    assert_eq!(config.sliding_window, window);
    assert_eq!(config.layer_window(3), Some(32));
    // Old folders carry a buffer that is no weight.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), "{}").unwrap();
    assert!(ModelFile::open(dir.path()).is_err());
}

#[test]
fn gemma_with_images_is_read_for_its_text() {
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
    let dir = tempfile::tempdir().unwrap();
    let model = TinyModel::random(TinySpec::new(Architecture::Gemma3));
    let text = model.hf_config();
    let config = json!({ "model_type": "gemma3", "text_config": text, "eos_token_id": [0, 1] });
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let stored: Vec<_> = model
        .tensors()
        .map(|(name, shape, values)| {
            (format!("language_model.model.{}", name.hf(Architecture::Gemma3)), shape.to_vec(), bytes(values))
        })
        .chain([("vision_tower.embedding.weight".to_owned(), vec![1], bytes(&[1.0]))])
        .collect();
    let views = stored
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &dir.path().join("model.safetensors")).unwrap();
    let file = ModelFile::open(dir.path()).unwrap();
    assert_eq!(file.config().end_tokens, [0, 1]);
    assert_eq!(names(&file).len(), model.tensors().count());
}

#[test]
fn settings_that_cannot_run_are_named_with_what_to_do() {
    let refusals: [(Architecture, &str, Value); 12] = [
        (Architecture::Llama, "model_type", json!("mamba")),
        (Architecture::Llama, "quantization_config", json!({ "quant_method": "gptq" })),
        (Architecture::Llama, "hidden_act", json!("relu")),
        (Architecture::Llama, "rope_scaling", json!({ "rope_type": "longrope", "factor": 4.0 })),
        (Architecture::Llama, "rope_scaling", json!({ "type": "dynamic", "factor": 4.0 })),
        (Architecture::Qwen2, "use_sliding_window", json!(true)),
        (Architecture::Gemma3, "attn_logit_softcapping", json!(50.0)),
        (Architecture::Gemma3, "use_bidirectional_attention", json!(true)),
        (Architecture::Gemma3, "hidden_activation", json!("gelu")),
        (
            Architecture::Gemma3,
            "layer_types",
            json!(["full_attention", "full_attention", "sliding_attention", "full_attention"]),
        ),
        (
            Architecture::Gemma3,
            "layer_types",
            json!(["linear_attention", "full_attention", "full_attention", "full_attention"]),
        ),
        (Architecture::Llama, "model_type", json!("gemma2")),
    ];
    for (architecture, key, value) in refusals {
        let result = edited(TinySpec::new(architecture), |config| {
            config[key] = value.clone();
            config["max_window_layers"] = json!(2);
            if key == "use_sliding_window" {
                config["sliding_window"] = json!(64);
            }
        });
        let fault = Fault::from(result.expect_err("this cannot run"));
        assert_eq!(fault.code, FaultCode::UnsupportedModel, "{key} {value}: {fault}");
        assert!(fault.hint.is_some(), "{key} {value}");
    }
    for (key, value) in [
        ("hidden_size", json!(null)),
        ("hidden_size", json!(-1)),
        ("hidden_size", json!("64")),
        ("hidden_size", json!(1u64 << 40)),
        ("num_hidden_layers", json!(0)),
        ("num_hidden_layers", json!(5)),
        ("vocab_size", json!(321)),
        ("num_key_value_heads", json!(3)),
        ("rms_norm_eps", json!(0.0)),
        ("eos_token_id", json!(320)),
        ("eos_token_id", json!([[1]])),
        ("rope_scaling", json!({ "rope_type": "llama3", "factor": 8.0 })),
        ("partial_rotary_factor", json!(1.5)),
    ] {
        let result = edited(TinySpec::new(Architecture::Llama), |config| config[key] = value.clone());
        let fault = Fault::from(result.expect_err("this is impossible"));
        assert_eq!(fault.code, FaultCode::BadModelFile, "{key} {value}: {fault}");
        assert!(fault.message.contains("config.json") || fault.message.contains("tensor"), "{fault}");
    }
}

#[test]
fn a_tensor_that_a_family_has_no_place_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    TinyModel::random(TinySpec::new(Architecture::Qwen3)).write_hf(dir.path(), 1, &as_f32).unwrap();
    // The weights of one family under the settings of another: its norms on queries and keys would be left out.
    let other = TinyModel::random(TinySpec::new(Architecture::Llama)).hf_config();
    fs::write(dir.path().join("config.json"), other.to_string()).unwrap();
    let error = ModelFile::open(dir.path()).unwrap_err();
    assert!(
        matches!(error.cause(), ModelError::UnexpectedTensor { tensor, .. } if tensor.contains("_norm")),
        "{error}"
    );
}

fn sharded(dir: &Path) -> Value {
    TinyModel::random(TinySpec::new(Architecture::Llama)).write_hf(dir, 3, &as_f32).unwrap();
    serde_json::from_slice(&fs::read(dir.join("model.safetensors.index.json")).unwrap()).unwrap()
}

#[test]
fn an_index_cannot_reach_outside_or_point_at_nothing() {
    let norm = "model.norm.weight";
    let lies: [Value; 7] = [
        json!("../model-00001-of-00003.safetensors"),
        json!("/etc/passwd"),
        json!("sub/model.safetensors"),
        json!("..\\model.safetensors"),
        json!("model-00009-of-00003.safetensors"),
        json!("model-00003-of-00003.safetensors"),
        json!(7),
    ];
    for lie in lies {
        let dir = tempfile::tempdir().unwrap();
        let mut index = sharded(dir.path());
        ModelFile::open(dir.path()).unwrap();
        index["weight_map"][norm] = lie.clone();
        fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
        let error = ModelFile::open(dir.path()).expect_err("a lying index");
        assert!(matches!(error.cause(), ModelError::BadIndex { .. }), "{lie}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    sharded(dir.path());
    fs::remove_file(dir.path().join("model-00002-of-00003.safetensors")).unwrap();
    let error = ModelFile::open(dir.path()).unwrap_err();
    assert!(matches!(error.cause(), ModelError::BadIndex { reason } if reason.contains("00002")), "{error}");
}

#[test]
fn damaged_safetensors_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    TinyModel::random(TinySpec::new(Architecture::Llama)).write_hf(dir.path(), 1, &as_f32).unwrap();
    let path = dir.path().join("model.safetensors");
    let sound = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = ModelFile::open(dir.path()).expect_err("a damaged file");
        assert!(matches!(error.cause(), ModelError::Safetensors { .. }), "{error}");
        assert_eq!(Fault::from(error).code, FaultCode::BadModelFile);
    };
    for len in [0, 7, 8, 100, sound.len() - 1] {
        refused(&sound[..len]);
    }
    refused(&[&sound[..], &[0]].concat());
    for length in [u64::MAX, 17 << 20, sound.len() as u64, 0] {
        refused(&[&length.to_le_bytes(), &sound[8..]].concat());
    }
    let huge = fs::OpenOptions::new().write(true).open(dir.path().join("config.json")).unwrap();
    huge.set_len(5 << 20).unwrap();
    let error = ModelFile::open(dir.path()).unwrap_err();
    assert!(matches!(error.cause(), ModelError::TooLarge { .. }), "{error}");
}

#[test]
fn what_is_no_model_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = ModelFile::open(dir.path()).unwrap_err();
    assert!(matches!(error.cause(), ModelError::NotAModel), "{error}");
    for bytes in [&b""[..], b"GG", b"PK\x03\x04 a zip file"] {
        let path = dir.path().join("file.gguf");
        fs::write(&path, bytes).unwrap();
        let fault = Fault::from(ModelFile::open(&path).unwrap_err());
        assert_eq!(fault.code, FaultCode::ModelNotFound);
    }
    let fault = Fault::from(ModelFile::open(&dir.path().join("absent")).unwrap_err());
    assert_eq!(fault.code, FaultCode::Io);
    assert!(fault.message.contains("absent"));
}
