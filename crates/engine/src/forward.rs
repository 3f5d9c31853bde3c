//! The forward pass of one layer range, the same for every device and for llama, mistral, qwen2, qwen3 and gemma 3.

use std::sync::Arc;

use computepool_core::{Fault, FaultCode, LayerRange};
use computepool_model::config::{FfnActivation, ModelConfig, Rope, RopeStyle};
use computepool_model::tensor::Tensor;
use computepool_model::weights::{LayerTensor, ModelFile, TensorName};

use crate::backend::{Attention, Backend, Segment};
use crate::kernels::math::softcap;
use crate::kernels::rows::RopeTable;

/// The weights of one layer range on a device.
pub(crate) struct Weights<B: Backend> {
    embedding: Option<Arc<B::Matrix>>,
    layers: Vec<Layer<B>>,
    head: Option<Head<B>>,
    epsilon: f32,
    embedding_scale: f32,
    activation: FfnActivation,
    softcap: Option<f32>,
    hidden: usize,
}

struct Layer<B: Backend> {
    attention_norm: B::Vector,
    query: B::Matrix,
    key: B::Matrix,
    value: B::Matrix,
    output: B::Matrix,
    biases: [Option<B::Vector>; 3],
    query_norm: Option<B::Vector>,
    key_norm: Option<B::Vector>,
    post_attention_norm: Option<B::Vector>,
    ffn_norm: B::Vector,
    gate: B::Matrix,
    up: B::Matrix,
    down: B::Matrix,
    post_ffn_norm: Option<B::Vector>,
    attention: Attention,
    rope: Arc<RopeTable>,
}

struct Head<B: Backend> {
    norm: B::Vector,
    output: Arc<B::Matrix>,
}

fn table(rope: &Rope, dim: usize) -> Arc<RopeTable> {
    Arc::new(RopeTable {
        inverse_frequencies: rope.inverse_frequencies(dim),
        magnitude: rope.magnitude(),
        interleaved: rope.style == RopeStyle::Interleaved,
    })
}

/// Reads tensors by name onto a device.
struct Reader<'a, B> {
    file: &'a ModelFile,
    backend: &'a B,
    offset: f32,
}

impl<B: Backend> Reader<'_, B> {
    fn matrix(&self, name: TensorName) -> Result<B::Matrix, Fault> {
        self.backend.matrix(self.file.require(name)?)
    }

    fn norm(&self, name: TensorName) -> Result<B::Vector, Fault> {
        self.backend.vector(self.file.require(name)?, self.offset)
    }

    fn optional(&self, name: TensorName, offset: f32) -> Result<Option<B::Vector>, Fault> {
        let tensor: Option<Tensor> = self.file.tensor(name)?;
        tensor.map(|tensor| self.backend.vector(tensor, offset)).transpose()
    }

    fn layer(&self, config: &ModelConfig, index: u32, ropes: &[Arc<RopeTable>; 2]) -> Result<Layer<B>, Fault> {
        let name = |part| TensorName::Layer(index, part);
        let window = config.layer_window(index);
        Ok(Layer {
            attention_norm: self.norm(name(LayerTensor::AttentionNorm))?,
            query: self.matrix(name(LayerTensor::Query))?,
            key: self.matrix(name(LayerTensor::Key))?,
            value: self.matrix(name(LayerTensor::Value))?,
            output: self.matrix(name(LayerTensor::AttentionOutput))?,
            biases: [
                self.optional(name(LayerTensor::QueryBias), 0.0)?,
                self.optional(name(LayerTensor::KeyBias), 0.0)?,
                self.optional(name(LayerTensor::ValueBias), 0.0)?,
            ],
            query_norm: self.optional(name(LayerTensor::QueryNorm), self.offset)?,
            key_norm: self.optional(name(LayerTensor::KeyNorm), self.offset)?,
            post_attention_norm: self.optional(name(LayerTensor::PostAttentionNorm), self.offset)?,
            ffn_norm: self.norm(name(LayerTensor::FfnNorm))?,
            gate: self.matrix(name(LayerTensor::Gate))?,
            up: self.matrix(name(LayerTensor::Up))?,
            down: self.matrix(name(LayerTensor::Down))?,
            post_ffn_norm: self.optional(name(LayerTensor::PostFfnNorm), self.offset)?,
            attention: Attention { window: window.map(|size| size as usize), ..attention(config) },
            rope: ropes[usize::from(window.is_some())].clone(),
        })
    }
}

fn attention(config: &ModelConfig) -> Attention {
    Attention {
        heads: config.heads,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
        scale: config.attention_scale,
        window: None,
    }
}

impl<B: Backend> Weights<B> {
    /// Loads the tensors of `layers`, and of the ends of the model where the range reaches them.
    pub(crate) fn load(backend: &B, file: &ModelFile, layers: LayerRange) -> Result<Self, Fault> {
        let config = file.config();
        if layers.end() > config.layer_count {
            return Err(Fault::new(
                FaultCode::InvalidRequest,
                format!("layers {layers} were asked for, the model has {}", config.layer_count),
            ));
        }
        let reader = Reader { file, backend, offset: config.norm_offset };
        let (entry, exit) = (layers.is_entry(), layers.is_exit(config.layer_count));
        let embedding =
            (entry || (exit && config.tied)).then(|| reader.matrix(TensorName::TokenEmbedding).map(Arc::new));
        let embedding = embedding.transpose()?;
        let head = exit.then(|| {
            let output = match &embedding {
                Some(embedding) if config.tied => embedding.clone(),
                _ => Arc::new(reader.matrix(TensorName::Output)?),
            };
            Ok::<_, Fault>(Head { norm: reader.norm(TensorName::OutputNorm)?, output })
        });
        let global = table(&config.rope, config.rope_dim);
        let local = config.local_rope.as_ref().map_or_else(|| global.clone(), |rope| table(rope, config.rope_dim));
        let ropes = [global, local];
        Ok(Self {
            head: head.transpose()?,
            embedding: embedding.filter(|_| entry),
            layers: layers.iter().map(|index| reader.layer(config, index, &ropes)).collect::<Result<_, _>>()?,
            epsilon: config.norm_epsilon,
            embedding_scale: config.embedding_scale,
            activation: config.activation,
            softcap: config.final_softcap,
            hidden: config.hidden,
        })
    }

    /// Room for the keys and values of a sequence.
    pub(crate) fn kv(&self, backend: &B, tokens: usize) -> Result<B::Kv, Fault> {
        backend.kv(self.layers.len(), tokens, self.layers[0].attention)
    }

    /// Runs every layer over a batch whose rows the segments describe.
    pub(crate) fn run(
        &self,
        backend: &B,
        input: BatchInput,
        segments: &mut [Segment<'_, B::Kv>],
    ) -> Result<B::Rows, Fault> {
        let x = match (input, &self.embedding) {
            (BatchInput::Tokens(ids), Some(table)) => backend.embed(table, &ids, self.embedding_scale)?,
            (BatchInput::Hidden(values), None) => backend.upload(values, self.hidden)?,
            (BatchInput::Tokens(_), None) => {
                return Err(wrong_input("token ids reached a shard that is not the entry"));
            }
            (BatchInput::Hidden(_), Some(_)) => return Err(wrong_input("hidden states reached the entry shard")),
        };
        self.blocks(backend, x, segments)
    }

    /// Runs the transformer blocks alone.
    pub(crate) fn blocks(
        &self,
        backend: &B,
        mut x: B::Rows,
        segments: &mut [Segment<'_, B::Kv>],
    ) -> Result<B::Rows, Fault> {
        let positions: Vec<u32> = segments.iter().flat_map(|s| s.position..s.position + s.rows as u32).collect();
        for (index, layer) in self.layers.iter().enumerate() {
            x = self.layer(backend, index, layer, x, &positions, segments)?;
        }
        Ok(x)
    }

    fn layer(
        &self,
        backend: &B,
        index: usize,
        layer: &Layer<B>,
        x: B::Rows,
        positions: &[u32],
        segments: &mut [Segment<'_, B::Kv>],
    ) -> Result<B::Rows, Fault> {
        let normed = backend.norm(&x, &layer.attention_norm, self.epsilon)?;
        let [q, k, v] = backend.project(&normed, [&layer.query, &layer.key, &layer.value])?;
        let biased = |rows, bias: &Option<B::Vector>| match bias {
            Some(bias) => backend.bias(rows, bias),
            None => Ok(rows),
        };
        let [q_bias, k_bias, v_bias] = &layer.biases;
        let (q, k, v) = (biased(q, q_bias)?, biased(k, k_bias)?, biased(v, v_bias)?);
        let normed = |rows: B::Rows, norm: &Option<B::Vector>| match norm {
            Some(norm) => backend.norm(&rows, norm, self.epsilon),
            None => Ok(rows),
        };
        let head_dim = layer.attention.head_dim;
        let q = backend.rotate(normed(q, &layer.query_norm)?, &layer.rope, head_dim, positions)?;
        let k = backend.rotate(normed(k, &layer.key_norm)?, &layer.rope, head_dim, positions)?;
        let mixed = backend.attend(index, layer.attention, [q, k, v], segments)?;
        let [out] = backend.project(&mixed, [&layer.output])?;
        let x = backend.add(x, &normed(out, &layer.post_attention_norm)?)?;

        let hidden = backend.norm(&x, &layer.ffn_norm, self.epsilon)?;
        let [gate, up] = backend.project(&hidden, [&layer.gate, &layer.up])?;
        let gated = backend.gate(gate, &up, self.activation)?;
        let [out] = backend.project(&gated, [&layer.down])?;
        backend.add(x, &normed(out, &layer.post_ffn_norm)?)
    }

    /// Logits of single rows: one vector of vocabulary size each. Only the exit shard has them.
    pub(crate) fn logits(&self, backend: &B, x: &B::Rows, rows: &[usize]) -> Result<Vec<f32>, Fault> {
        let head =
            self.head.as_ref().ok_or_else(|| wrong_input("logits were asked of a shard that is not the exit"))?;
        let normed = backend.norm(&backend.select(x, rows)?, &head.norm, self.epsilon)?;
        let [logits] = backend.project(&normed, [&head.output])?;
        let mut logits = backend.download(logits)?;
        if let Some(cap) = self.softcap {
            logits.iter_mut().for_each(|x| *x = softcap(*x, cap));
        }
        Ok(logits)
    }
}

/// What a batch starts from.
pub(crate) enum BatchInput {
    /// On the entry shard.
    Tokens(Vec<u32>),
    /// On the others: rows of hidden states.
    Hidden(Vec<f32>),
}

fn wrong_input(what: &str) -> Fault {
    Fault::new(FaultCode::WrongShape, what)
}
