//! SentencePiece with scores: GGUF's `llama` kind (Llama 2, Mistral, Gemma).

use std::collections::HashMap;

use super::merging::{Chain, Joins, NONE, Symbol};
use super::vocabulary::{TokenKind, Vocabulary};
use crate::error::ModelError;

/// The character that stands for a space in SentencePiece vocabularies (U+2581).
pub(super) const SPACE: char = '\u{2581}';

/// Encodes text without control tokens: the pair whose joined token scores highest is joined first; characters that are
/// no token fall back to byte tokens.
pub(super) struct SentencePiece {
    ids: HashMap<Box<[u8]>, u32>,
    /// Sort keys of the scores, by id.
    scores: Vec<i32>,
    /// The token of each byte, or [`NONE`].
    bytes: Box<[u32; 256]>,
    longest: u32,
    space_prefix: bool,
}

impl SentencePiece {
    pub(super) fn new(vocabulary: Vocabulary) -> Result<Self, ModelError> {
        let mut scores = Vec::with_capacity(vocabulary.scores.len());
        for (id, score) in vocabulary.scores.iter().enumerate() {
            scores.push(sort_key(*score).ok_or_else(|| ModelError::BadSetting {
                key: "tokenizer.ggml.scores".into(),
                reason: format!("the score of token {id} is not a number"),
            })?);
        }
        let space_prefix = vocabulary.adds_space_prefix();
        // Control tokens and bytes are never what merging text ends in, whatever the text spells.
        let (mut ids, mut named_bytes) = (HashMap::new(), HashMap::new());
        for (id, (token, kind)) in (0..).zip(vocabulary.tokens.into_iter().zip(&vocabulary.kinds)) {
            match kind {
                TokenKind::Control | TokenKind::Unknown => {}
                TokenKind::Byte => drop(named_bytes.insert(token, id)),
                _ => drop(ids.insert(token.into_bytes().into_boxed_slice(), id)),
            }
        }
        let mut bytes = Box::new([NONE; 256]);
        for byte in 0..=255_u8 {
            let id = named_bytes.get(&format!("<0x{byte:02X}>")).or_else(|| ids.get([byte].as_slice()));
            bytes[usize::from(byte)] = id.copied().or(vocabulary.unknown).unwrap_or(NONE);
        }
        let longest = ids.keys().map(|token| token.len()).max().unwrap_or(0) as u32;
        Ok(Self { ids, scores, bytes, longest, space_prefix })
    }

    /// Appends the ids of `text`. `opens`: the text begins a sequence or follows a control token.
    pub(super) fn encode(&self, text: &str, opens: bool, ids: &mut Vec<u32>) {
        let mut escaped = String::with_capacity(text.len() + 3);
        if opens && self.space_prefix {
            escaped.push(SPACE);
        }
        escaped.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        let mut chain = Chain::default();
        for (start, c) in escaped.char_indices() {
            let bytes = &escaped.as_bytes()[start..start + c.len_utf8()];
            chain.push(start, bytes.len(), self.ids.get(bytes).copied().unwrap_or(NONE));
        }
        for symbol in chain.merged(self, escaped.as_bytes()) {
            if symbol.id != NONE {
                ids.push(symbol.id);
            } else {
                let bytes = &escaped.as_bytes()[symbol.start as usize..][..symbol.len as usize];
                ids.extend(bytes.iter().map(|byte| self.bytes[usize::from(*byte)]).filter(|id| *id != NONE));
            }
        }
    }
}

impl Joins for SentencePiece {
    type Rank = i32;

    fn join(&self, text: &[u8], left: &Symbol, right: &Symbol) -> Option<(i32, u32)> {
        let len = left.len + right.len;
        if len > self.longest {
            return None;
        }
        let id = *self.ids.get(&text[left.start as usize..][..len as usize])?;
        Some((self.scores.get(id as usize).copied().unwrap_or(0), id))
    }
}

/// A number that sorts as the score does; `None` for one that is not a number. The two zeros are equal.
fn sort_key(score: f32) -> Option<i32> {
    let bits = (score + 0.0).to_bits() as i32;
    (!score.is_nan()).then_some(bits ^ (((bits >> 31) as u32) >> 1) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_sort_as_numbers() {
        let ordered = [f32::NEG_INFINITY, -1e9, -259.0, -1.5, -1e-30, 0.0, 1e-30, 2.0, f32::INFINITY];
        assert!(ordered.windows(2).all(|pair| sort_key(pair[0]) < sort_key(pair[1])));
        assert_eq!(sort_key(-0.0), sort_key(0.0));
        assert_eq!(sort_key(f32::NAN), None);
    }
}
