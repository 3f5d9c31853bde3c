//! Which tensors a model has, and of what shape.

use super::names::{LayerTensor, TensorName};
use crate::config::{Architecture, ModelConfig};

/// Whether a model has a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
    Absent,
}

/// Every name that a model of these settings could have, in order: embedding, blocks, final norm, head.
pub(crate) fn names(config: &ModelConfig) -> impl Iterator<Item = TensorName> + use<> {
    let layers = (0..config.layer_count)
        .flat_map(|layer| LayerTensor::ALL.iter().map(move |tensor| TensorName::Layer(layer, *tensor)));
    [TensorName::TokenEmbedding, TensorName::RopeFactors]
        .into_iter()
        .chain(layers)
        .chain([TensorName::OutputNorm, TensorName::Output])
}

/// Whether a model of these settings has this tensor.
pub(crate) fn need(config: &ModelConfig, name: TensorName) -> Need {
    use Architecture::{Gemma3, Llama, Mistral, Qwen2, Qwen3};
    let family = config.architecture;
    let layer = match name {
        TensorName::TokenEmbedding | TensorName::OutputNorm => return Need::Required,
        TensorName::Output => return if config.tied { Need::Absent } else { Need::Required },
        TensorName::RopeFactors if family == Llama => return Need::Optional,
        TensorName::RopeFactors => return Need::Absent,
        TensorName::Layer(_, layer) => layer,
    };
    match layer {
        LayerTensor::AttentionNorm
        | LayerTensor::Query
        | LayerTensor::Key
        | LayerTensor::Value
        | LayerTensor::AttentionOutput
        | LayerTensor::FfnNorm
        | LayerTensor::Gate
        | LayerTensor::Up
        | LayerTensor::Down => Need::Required,
        LayerTensor::QueryBias | LayerTensor::KeyBias | LayerTensor::ValueBias => match family {
            Qwen2 => Need::Required,
            Llama | Mistral | Qwen3 => Need::Optional,
            Gemma3 => Need::Absent,
        },
        LayerTensor::QueryNorm | LayerTensor::KeyNorm => match family {
            Qwen3 | Gemma3 => Need::Required,
            Llama | Mistral | Qwen2 => Need::Absent,
        },
        LayerTensor::PostAttentionNorm | LayerTensor::PostFfnNorm => match family {
            Gemma3 => Need::Required,
            Llama | Mistral | Qwen2 | Qwen3 => Need::Absent,
        },
    }
}

/// The shape that a tensor must have, outermost first. The products cannot overflow: settings are bounded.
pub(crate) fn shape(config: &ModelConfig, name: TensorName) -> Vec<usize> {
    let queries = config.heads * config.head_dim;
    let keys = config.kv_heads * config.head_dim;
    let layer = match name {
        TensorName::TokenEmbedding | TensorName::Output => return vec![config.vocabulary, config.hidden],
        TensorName::OutputNorm => return vec![config.hidden],
        TensorName::RopeFactors => return vec![config.rope_dim / 2],
        TensorName::Layer(_, layer) => layer,
    };
    match layer {
        LayerTensor::AttentionNorm
        | LayerTensor::PostAttentionNorm
        | LayerTensor::FfnNorm
        | LayerTensor::PostFfnNorm => vec![config.hidden],
        LayerTensor::Query => vec![queries, config.hidden],
        LayerTensor::Key | LayerTensor::Value => vec![keys, config.hidden],
        LayerTensor::AttentionOutput => vec![config.hidden, queries],
        LayerTensor::QueryBias => vec![queries],
        LayerTensor::KeyBias | LayerTensor::ValueBias => vec![keys],
        LayerTensor::QueryNorm | LayerTensor::KeyNorm => vec![config.head_dim],
        LayerTensor::Gate | LayerTensor::Up => vec![config.ffn, config.hidden],
        LayerTensor::Down => vec![config.hidden, config.ffn],
    }
}
