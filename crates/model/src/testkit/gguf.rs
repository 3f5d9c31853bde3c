//! Writing GGUF files, sound ones and broken ones.

use std::io;
use std::path::Path;

use super::{CHAT_TEMPLATE, END_TOKEN, Encode, TinyModel, token_texts};
use crate::config::{Architecture, RopeScaling};
use crate::gguf::ValueType;
use crate::tensor::TensorType;
use crate::weights::{LayerTensor, TensorName};

/// A metadata value to write.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum GgufValue {
    U8(u8),
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    Bool(bool),
    String(String),
    U32s(Vec<u32>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Bools(Vec<bool>),
    Strings(Vec<String>),
}

impl GgufValue {
    fn write(&self, out: &mut Vec<u8>) {
        fn array<T>(out: &mut Vec<u8>, kind: ValueType, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
            out.extend(ValueType::Array.id().to_le_bytes());
            out.extend(kind.id().to_le_bytes());
            out.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| write(out, value));
        }
        let mut scalar = |kind: ValueType, bytes: &[u8]| {
            out.extend(kind.id().to_le_bytes());
            out.extend(bytes);
        };
        match self {
            Self::U8(value) => scalar(ValueType::U8, &value.to_le_bytes()),
            Self::U32(value) => scalar(ValueType::U32, &value.to_le_bytes()),
            Self::I32(value) => scalar(ValueType::I32, &value.to_le_bytes()),
            Self::U64(value) => scalar(ValueType::U64, &value.to_le_bytes()),
            Self::F32(value) => scalar(ValueType::F32, &value.to_le_bytes()),
            Self::Bool(value) => scalar(ValueType::Bool, &[u8::from(*value)]),
            Self::String(value) => {
                scalar(ValueType::String, &[]);
                string(out, value);
            }
            Self::U32s(values) => array(out, ValueType::U32, values, |out, value| out.extend(value.to_le_bytes())),
            Self::I32s(values) => array(out, ValueType::I32, values, |out, value| out.extend(value.to_le_bytes())),
            Self::F32s(values) => array(out, ValueType::F32, values, |out, value| out.extend(value.to_le_bytes())),
            Self::Bools(values) => array(out, ValueType::Bool, values, |out, value| out.push(u8::from(*value))),
            Self::Strings(values) => array(out, ValueType::String, values, |out, value| string(out, value)),
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A tensor to write. Everything is written as it is given, so that a test can lie.
#[derive(Clone, Debug)]
pub struct GgufTensor {
    /// Its name.
    pub name: String,
    /// Its dimensions as the file has them: innermost first.
    pub dims: Vec<u64>,
    /// The number of its type.
    pub kind: u32,
    /// Where it says it lies in the data; nothing for the truth.
    pub offset: Option<u64>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A GGUF file being put together.
#[derive(Clone, Debug)]
pub struct GgufWriter {
    /// The version it claims.
    pub version: u32,
    /// The tensors it claims to have; nothing for the truth.
    pub tensor_count: Option<u64>,
    /// The metadata entries it claims to have; nothing for the truth.
    pub entry_count: Option<u64>,
    /// Alignment of the data.
    pub alignment: u64,
    /// Metadata in order.
    pub entries: Vec<(String, GgufValue)>,
    /// Tensors in order.
    pub tensors: Vec<GgufTensor>,
}

impl Default for GgufWriter {
    /// An empty version 3 file.
    fn default() -> Self {
        let (entries, tensors) = (Vec::new(), Vec::new());
        Self { version: 3, tensor_count: None, entry_count: None, alignment: 32, entries, tensors }
    }
}

impl GgufWriter {
    /// Adds a metadata entry.
    pub fn entry(&mut self, key: impl Into<String>, value: GgufValue) -> &mut Self {
        self.entries.push((key.into(), value));
        self
    }

    /// Adds a tensor; `shape` is outermost first.
    pub fn tensor(&mut self, name: impl Into<String>, shape: &[usize], kind: TensorType, bytes: Vec<u8>) -> &mut Self {
        let dims = shape.iter().rev().map(|dim| *dim as u64).collect();
        self.tensors.push(GgufTensor { name: name.into(), dims, kind: kind.gguf_id(), offset: None, bytes });
        self
    }

    /// Replaces or adds a metadata entry.
    pub fn set(&mut self, key: &str, value: GgufValue) -> &mut Self {
        self.remove(key).entry(key, value)
    }

    /// Removes a metadata entry.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.entries.retain(|(name, _)| name != key);
        self
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.entry_count.unwrap_or(self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            string(&mut out, key);
            value.write(&mut out);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            string(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            pad(&mut data, self.alignment);
            out.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.bytes);
        }
        pad(&mut out, self.alignment);
        out.extend(data);
        out
    }
}

fn pad(out: &mut Vec<u8>, alignment: u64) {
    let padded = (out.len() as u64).next_multiple_of(alignment);
    out.resize(padded as usize, 0);
}

impl TinyModel {
    /// The model as a GGUF file, its tensors stored as `encode` decides.
    pub fn to_gguf(&self, encode: &Encode<'_>) -> Vec<u8> {
        self.gguf_writer(encode).to_bytes()
    }

    /// Writes the model as a GGUF file.
    pub fn write_gguf(&self, path: &Path, encode: &Encode<'_>) -> io::Result<()> {
        std::fs::write(path, self.to_gguf(encode))
    }

    /// The parts of the GGUF file, for a test that changes some of them.
    pub fn gguf_writer(&self, encode: &Encode<'_>) -> GgufWriter {
        let mut writer = GgufWriter::default();
        self.gguf_settings(&mut writer);
        let llama = matches!(self.spec.architecture, Architecture::Llama | Architecture::Mistral);
        for (name, shape, values) in self.tensors() {
            let values = match name {
                TensorName::Layer(_, LayerTensor::Query | LayerTensor::QueryBias) if llama => {
                    interleaved(values, self.spec.heads, shape)
                }
                TensorName::Layer(_, LayerTensor::Key | LayerTensor::KeyBias) if llama => {
                    interleaved(values, self.spec.kv_heads, shape)
                }
                _ if self.spec.architecture == Architecture::Gemma3 && shape.len() == 1 => {
                    values.iter().map(|value| value + 1.0).collect()
                }
                _ => values.to_vec(),
            };
            let (kind, bytes) = encode(name, shape, &values);
            writer.tensor(name.gguf(), shape, kind, bytes);
        }
        if let Some(divisors) = self.rope_divisors() {
            let bytes = divisors.iter().flat_map(|divisor| divisor.to_le_bytes()).collect();
            writer.tensor(TensorName::RopeFactors.gguf(), &[divisors.len()], TensorType::F32, bytes);
        }
        writer
    }

    fn gguf_settings(&self, writer: &mut GgufWriter) {
        let spec = &self.spec;
        let family = spec.architecture.gguf_name();
        let key = |name: &str| format!("{family}.{name}");
        writer
            .entry("general.architecture", GgufValue::String(family.into()))
            .entry("general.name", GgufValue::String(format!("Tiny {family}")))
            .entry(key("block_count"), GgufValue::U32(spec.layers))
            .entry(key("context_length"), GgufValue::U32(spec.context))
            .entry(key("embedding_length"), GgufValue::U32(spec.hidden as u32))
            .entry(key("feed_forward_length"), GgufValue::U32(spec.ffn as u32))
            .entry(key("attention.head_count"), GgufValue::U32(spec.heads as u32))
            .entry(key("attention.head_count_kv"), GgufValue::U32(spec.kv_heads as u32))
            .entry(key("attention.key_length"), GgufValue::U32(spec.head_dim as u32))
            .entry(key("attention.value_length"), GgufValue::U32(spec.head_dim as u32))
            .entry(key("attention.layer_norm_rms_epsilon"), GgufValue::F32(1e-6))
            .entry(key("rope.dimension_count"), GgufValue::U32(spec.head_dim as u32))
            .entry(key("rope.freq_base"), GgufValue::F32(spec.rope_base));
        match spec.rope_scaling {
            RopeScaling::Linear { factor } => {
                writer
                    .entry(key("rope.scaling.type"), GgufValue::String("linear".into()))
                    .entry(key("rope.scaling.factor"), GgufValue::F32(factor));
            }
            RopeScaling::Yarn { factor, original_context, attention_factor, beta_fast, beta_slow } => {
                let own = attention_factor / RopeScaling::yarn_magnitude(factor);
                writer
                    .entry(key("rope.scaling.type"), GgufValue::String("yarn".into()))
                    .entry(key("rope.scaling.factor"), GgufValue::F32(factor))
                    .entry(key("rope.scaling.original_context_length"), GgufValue::U32(original_context))
                    .entry(key("rope.scaling.attn_factor"), GgufValue::F32(own))
                    .entry(key("rope.scaling.yarn_beta_fast"), GgufValue::F32(beta_fast))
                    .entry(key("rope.scaling.yarn_beta_slow"), GgufValue::F32(beta_slow));
            }
            RopeScaling::None | RopeScaling::Llama3 { .. } | RopeScaling::Factors(_) => {}
        }
        if let (Some(window), Architecture::Gemma3) = (spec.sliding_window, spec.architecture) {
            writer
                .entry(key("attention.sliding_window"), GgufValue::U32(window.size))
                .entry(key("attention.sliding_window_pattern"), GgufValue::U32(window.pattern));
        }
        let texts = token_texts(spec.vocabulary);
        // Control, normal and unused tokens, in llama.cpp's numbers.
        let kinds = (0..texts.len()).map(|id| match id {
            0 => 3,
            1..=256 => 1,
            _ => 5,
        });
        writer
            .entry("tokenizer.ggml.model", GgufValue::String("gpt2".into()))
            .entry("tokenizer.ggml.pre", GgufValue::String("gpt-2".into()))
            .entry("tokenizer.ggml.token_type", GgufValue::I32s(kinds.collect()))
            .entry("tokenizer.ggml.tokens", GgufValue::Strings(texts))
            .entry("tokenizer.ggml.merges", GgufValue::Strings(Vec::new()))
            .entry("tokenizer.ggml.bos_token_id", GgufValue::U32(END_TOKEN))
            .entry("tokenizer.ggml.eos_token_id", GgufValue::U32(END_TOKEN))
            .entry("tokenizer.ggml.add_bos_token", GgufValue::Bool(false))
            .entry("tokenizer.chat_template", GgufValue::String(CHAT_TEMPLATE.into()));
    }

    /// `rope_freqs.weight`: what divides each plain frequency.
    fn rope_divisors(&self) -> Option<Vec<f32>> {
        match &self.spec.rope_scaling {
            RopeScaling::Factors(factors) => Some(factors.clone()),
            RopeScaling::Llama3 { .. } => {
                let scaled = self.spec.config().rope;
                let plain = crate::config::Rope { scaling: RopeScaling::None, ..scaled.clone() };
                let (plain, scaled) =
                    (plain.inverse_frequencies(self.spec.head_dim), scaled.inverse_frequencies(self.spec.head_dim));
                Some(plain.iter().zip(&scaled).map(|(plain, scaled)| plain / scaled).collect())
            }
            _ => None,
        }
    }
}

/// Query or key weights with the two halves of each head interleaved, as GGUF files of the Llama family have them.
fn interleaved(values: &[f32], heads: usize, shape: &[usize]) -> Vec<f32> {
    let rows = shape.first().copied().unwrap_or(0);
    let cols = values.len() / rows.max(1);
    let head = rows / heads.max(1);
    let source = |row: usize| {
        let (first, within) = (row / head * head, row % head);
        first + within % 2 * (head / 2) + within / 2
    };
    (0..rows).flat_map(|row| values[source(row) * cols..][..cols].iter().copied()).collect()
}
