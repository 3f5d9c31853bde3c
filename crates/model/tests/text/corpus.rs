//! The texts that tokenizers are compared on, and short names for what comes out.

use computepool_model::tokenizer::Pieces;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// `conformance/llama/corpus.json`: each entry is a text, or a text and how often it is repeated.
pub(crate) fn corpus() -> Vec<String> {
    let entries: Vec<Value> = serde_json::from_str(include_str!("../../../../conformance/llama/corpus.json")).unwrap();
    let text = |entry: &Value| match entry.as_str() {
        Some(text) => text.to_owned(),
        None => entry["text"].as_str().unwrap().repeat(entry["times"].as_u64().unwrap() as usize),
    };
    entries.iter().map(text).collect()
}

/// SHA-256 of ids as little-endian u32s, in hex.
pub(crate) fn digest(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of every token's bytes, each preceded by its length.
pub(crate) fn pieces_digest(pieces: &Pieces) -> String {
    let mut hash = Sha256::new();
    for id in 0..pieces.len() as u32 {
        let bytes = pieces.bytes(id);
        hash.update((bytes.len() as u32).to_le_bytes());
        hash.update(bytes);
    }
    hex::encode(hash.finalize())
}
