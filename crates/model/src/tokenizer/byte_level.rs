//! Byte-level byte-pair encoding: GGUF's `gpt2` kind.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::merging::{Chain, Joins, NONE, Symbol};
use super::splits::Splitter;
use super::vocabulary::{TokenKind, Vocabulary};
use crate::error::ModelError;

/// Encodes text without control tokens.
pub(super) struct ByteLevel {
    splitter: Splitter,
    /// The token of each single byte, or [`NONE`].
    singles: Box<[u32; 256]>,
    /// (left, right) → (rank, joined). Parts that are no token have ids from `tokens` on.
    merges: HashMap<(u32, u32), (u32, u32)>,
    tokens: u32,
    /// Words that are a token are taken whole, whatever the merges say; filled only for models that want it so.
    whole: HashMap<Box<[u8]>, u32>,
}

impl ByteLevel {
    pub(super) fn new(vocabulary: Vocabulary) -> Result<Self, ModelError> {
        let scheme = vocabulary.scheme()?;
        let splitter = Splitter::new(scheme)?;
        let tokens = vocabulary.tokens.len() as u32;
        let mut ids: HashMap<Box<[u8]>, u32> = HashMap::with_capacity(vocabulary.tokens.len());
        for (id, token) in (0..).zip(&vocabulary.tokens) {
            if let Some(bytes) = bytes_of(token).filter(|bytes| !bytes.is_empty()) {
                ids.insert(bytes.into(), id);
            }
        }
        let mut singles = Box::new([NONE; 256]);
        for byte in 0..=255_u8 {
            singles[usize::from(byte)] = ids.get([byte].as_slice()).copied().unwrap_or(NONE);
        }
        let mut merges = HashMap::with_capacity(vocabulary.merges.len());
        let mut next = tokens;
        let mut number = |ids: &mut HashMap<Box<[u8]>, u32>, bytes: &[u8]| {
            *ids.entry(bytes.into()).or_insert_with(|| {
                next += 1;
                next - 1
            })
        };
        // Where a whole word may be a token, only real ones count: parts invented for merges come after.
        let mut whole = if scheme.whole_words { ids.clone() } else { HashMap::new() };
        whole.retain(|_, id| vocabulary.kinds.get(*id as usize) != Some(&TokenKind::Control));
        for (rank, merge) in (0..).zip(&vocabulary.merges) {
            let bad = || ModelError::BadSetting {
                key: "tokenizer.ggml.merges".into(),
                reason: format!("merge {rank}, `{}`, is not two parts", crate::error::shown(merge)),
            };
            // A part may itself be a space only in vocabularies that are not byte-level, so the first one separates.
            let (left, right) = merge.split_once(' ').ok_or_else(bad)?;
            let (left, right) = (bytes_of(left).ok_or_else(bad)?, bytes_of(right).ok_or_else(bad)?);
            if left.is_empty() || right.is_empty() {
                return Err(bad());
            }
            let joined = [left.as_slice(), &right].concat();
            let pair = (number(&mut ids, &left), number(&mut ids, &right));
            let joined = number(&mut ids, &joined);
            merges.entry(pair).or_insert((rank, joined));
        }
        Ok(Self { splitter, singles, merges, tokens, whole })
    }

    /// Appends the ids of `text`.
    pub(super) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        self.splitter.split(text, |word| self.encode_word(word.as_bytes(), ids));
    }

    fn encode_word(&self, word: &[u8], ids: &mut Vec<u32>) {
        if let Some(&id) = self.whole.get(word) {
            ids.push(id);
            return;
        }
        let mut chain = Chain::default();
        for (at, byte) in word.iter().enumerate() {
            chain.push(at, 1, self.singles[usize::from(*byte)]);
        }
        for symbol in chain.merged(self, word) {
            if symbol.id < self.tokens {
                ids.push(symbol.id);
            } else {
                let bytes = &word[symbol.start as usize..][..symbol.len as usize];
                ids.extend(bytes.iter().map(|byte| self.singles[usize::from(*byte)]).filter(|id| *id < self.tokens));
            }
        }
    }
}

impl Joins for ByteLevel {
    type Rank = Reverse<u32>;

    fn join(&self, _: &[u8], left: &Symbol, right: &Symbol) -> Option<(Reverse<u32>, u32)> {
        self.merges.get(&(left.id, right.id)).map(|(rank, joined)| (Reverse(*rank), *joined))
    }
}

/// The bytes that a byte-level token or merge part spells, where every character stands for one byte (GPT-2's table:
/// printable Latin-1 stands for itself, the other 68 bytes for U+0100 onwards in order).
pub(super) fn bytes_of(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_character() {
        let mut seen = [false; 256];
        for c in (0..0x200).filter_map(char::from_u32) {
            if let Some(byte) = byte_of(c) {
                assert!(!std::mem::replace(&mut seen[usize::from(byte)], true), "{c} repeats byte {byte}");
            }
        }
        assert!(seen.iter().all(|seen| *seen));
        assert_eq!(bytes_of("ĠHello").unwrap(), b" Hello");
        assert_eq!(bytes_of("ĊĉÄł").unwrap(), [b'\n', b'\t', 0xc4, 0xa0]);
        assert_eq!(bytes_of("a b"), None, "a bare space stands for no byte");
    }
}
