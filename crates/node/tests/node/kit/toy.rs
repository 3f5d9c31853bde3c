//! A "model" in integers: what it says depends on every token before, in order, and on every layer; not on how the
//! layers or the prompt are cut.

use bytes::Bytes;
use computepool_core::{Activation, ActivationType, ContentHash, LayerRange};

pub const LAYERS: u32 = 6;
pub const HIDDEN: u32 = 4;
pub const MODEL: ContentHash = ContentHash([7; 32]);

/// What one layer remembers of the past.
#[derive(Clone, Debug, Default)]
pub struct Memory(Vec<u32>);

impl Memory {
    pub fn new(layers: LayerRange) -> Self {
        Self(vec![1; layers.len() as usize])
    }

    pub fn run(&mut self, layers: LayerRange, position: u32, mut x: u32) -> u32 {
        for (memory, layer) in self.0.iter_mut().zip(layers.iter()) {
            *memory = memory.wrapping_mul(31).wrapping_add(x).wrapping_add(position + 1);
            x = x.rotate_left(5) ^ memory.wrapping_mul(0x9E37_79B1).wrapping_add(layer);
        }
        x
    }
}

pub fn embed(token: u32, position: u32) -> u32 {
    token.wrapping_mul(0x85EB_CA6B) ^ position
}

pub fn sample(x: u32) -> u32 {
    (x ^ (x >> 15)) % 1000
}

/// The tokens that must come, whatever the route.
pub fn expected(prompt: &[u32], max_tokens: u32) -> Vec<u32> {
    let layers = LayerRange::new(0, LAYERS).unwrap();
    let mut memory = Memory::new(layers);
    let mut last = 0;
    for (position, token) in prompt.iter().enumerate() {
        last = memory.run(layers, position as u32, embed(*token, position as u32));
    }
    let mut produced = vec![sample(last)];
    while produced.len() < max_tokens as usize {
        let position = (prompt.len() + produced.len() - 1) as u32;
        produced.push(sample(memory.run(layers, position, embed(produced[produced.len() - 1], position))));
    }
    produced
}

/// Hidden states of these values.
pub fn hidden(values: &[u32]) -> Activation {
    let data: Vec<u8> =
        values.iter().flat_map(|x| (0..HIDDEN).flat_map(move |i| x.wrapping_add(i).to_le_bytes())).collect();
    Activation::new(values.len() as u32, HIDDEN, ActivationType::F32, Bytes::from(data)).unwrap()
}

/// The values in hidden states.
pub fn values(hidden: &Activation) -> Vec<u32> {
    let width = HIDDEN as usize * 4;
    hidden.data().chunks(width).map(|row| u32::from_le_bytes(row[..4].try_into().unwrap())).collect()
}

/// Hidden states of `rows` rows of nonsense.
pub fn rows(rows: u32) -> Activation {
    hidden(&(0..rows).collect::<Vec<_>>())
}
