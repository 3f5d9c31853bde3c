//! The sample model: a real file, against what is known of it.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use computepool_core::{ContentHash, LayerRange, ModelId};
use computepool_model::catalogue::{SAMPLE_MODEL_SHA256, sample_model_path, verify};
use computepool_model::config::{Architecture, FfnActivation, Rope, RopeScaling, RopeStyle};
use computepool_model::fit::even_split;
use computepool_model::{LayerTensor, ModelFile, TensorName, TensorType};
use std::ops::ControlFlow;

fn sample() -> ModelFile {
    ModelFile::open(&sample_model_path().unwrap()).unwrap()
}

#[test]
fn the_sample_model_says_what_is_known_of_it() {
    let file = sample();
    let config = file.config();
    assert_eq!(
        (config.architecture, config.layer_count, config.hidden, config.ffn),
        (Architecture::Llama, 30, 576, 1536)
    );
    assert_eq!((config.heads, config.kv_heads, config.head_dim, config.rope_dim), (9, 3, 64, 64));
    assert_eq!((config.vocabulary, config.context, config.tied), (49_152, 8192, true));
    assert_eq!(config.rope, Rope { base: 100_000.0, style: RopeStyle::Interleaved, scaling: RopeScaling::None });
    assert_eq!((config.norm_epsilon, config.norm_offset, config.activation), (1e-5, 0.0, FfnActivation::Silu));
    assert_eq!((config.attention_scale, config.embedding_scale), (0.125, 1.0));
    assert_eq!((config.end_tokens.as_slice(), config.sliding_window), (&[2][..], None));

    let metadata = file.gguf().unwrap();
    assert_eq!((metadata.version(), metadata.tensors().len()), (3, 272));
    assert_eq!(metadata.tensors()[0].range.start, 1_785_664);
    assert_eq!(metadata.get_strings("tokenizer.ggml.tokens").unwrap().unwrap()[1], "<|im_start|>");
    assert_eq!(metadata.get_strings("tokenizer.ggml.merges").unwrap().unwrap().len(), 48_900);
    assert_eq!(metadata.get_str("tokenizer.ggml.pre").unwrap(), Some("smollm"));

    let embedding = file.require(TensorName::TokenEmbedding).unwrap();
    assert_eq!((embedding.kind(), embedding.bytes().len()), (TensorType::Q8_0, 30_081_024));
    assert_eq!(file.require(TensorName::Layer(29, LayerTensor::Down)).unwrap().kind(), TensorType::Q4_1);
    let norm = file.require(TensorName::OutputNorm).unwrap().to_f32().unwrap();
    assert!(norm.len() == 576 && norm.iter().all(|weight| weight.is_finite()));
    let parameters: usize = metadata.tensors().iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
    assert_eq!(parameters, 134_515_008);
}

#[test]
fn the_sample_model_is_cut_by_bytes() {
    let file = sample();
    let summary = file.summary(ModelId::new("sample").unwrap(), ContentHash([0; 32]));
    assert_eq!(summary.layer_bytes, [2_216_448; 30]);
    assert_eq!((summary.embedding_bytes, summary.head_bytes), (30_081_024, 30_081_024 + 2304));
    assert_eq!(summary.kv_bytes_per_token_layer * 30, 46_080);
    // Both ends hold the embedding, which weighs as much as 13.6 layers; 5, 20, 5 would give the middle more than 6 gives the entry.
    let cut = even_split(&summary, 3).unwrap();
    assert_eq!(cut.iter().map(ToString::to_string).collect::<Vec<_>>(), ["0..6", "6..25", "25..30"]);
    let whole: u64 = file.shard_bytes(LayerRange::new(0, 30).unwrap());
    let parts: u64 = cut.iter().map(|layers| file.shard_bytes(*layers)).sum();
    assert_eq!(parts, whole + summary.embedding_bytes);
}

#[test]
fn the_sample_model_is_the_one_that_was_published() {
    let expected = SAMPLE_MODEL_SHA256.parse().unwrap();
    verify(&sample_model_path().unwrap(), &expected, &mut |_| ControlFlow::Continue(())).unwrap();
}
