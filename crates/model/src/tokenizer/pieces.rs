//! What each token stands for, as bytes.

use super::byte_level::bytes_of;
use super::sentence_piece::SPACE;
use super::vocabulary::{TokenKind, Vocabulary, VocabularyKind};

/// Control tokens that a client has to see, because they are part of what the model says and not of how a turn is framed.
const VISIBLE_MARKERS: [&str; 11] = [
    "[TOOL_CALLS]",
    "[CALL_ID]",
    "[ARGS]",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "[THINK]",
    "[/THINK]",
    "<tool_response>",
    "</tool_response>",
];

/// The bytes and names of all tokens, packed.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    bytes: Packed<Vec<u8>>,
    names: Packed<String>,
    control: Vec<bool>,
    strips_first_space: bool,
}

/// Strings in one allocation.
#[derive(Clone, Debug, Default)]
struct Packed<S> {
    all: S,
    ends: Vec<usize>,
}

impl<S> Packed<S> {
    fn range(&self, at: usize) -> Option<std::ops::Range<usize>> {
        let end = *self.ends.get(at)?;
        Some(at.checked_sub(1).map_or(0, |before| self.ends[before])..end)
    }
}

impl Pieces {
    pub(super) fn of_vocabulary(vocabulary: &Vocabulary) -> Self {
        let mut pieces = Self { strips_first_space: vocabulary.adds_space_prefix(), ..Self::default() };
        for (token, kind) in vocabulary.tokens.iter().zip(&vocabulary.kinds) {
            match kind {
                TokenKind::Control | TokenKind::Unknown => pieces.push_control(token),
                TokenKind::UserDefined => pieces.push(token, token.as_bytes()),
                TokenKind::Byte => pieces.push(token, byte_named(token).as_slice()),
                TokenKind::Unused | TokenKind::Undefined => pieces.push(token, &[]),
                TokenKind::Normal => match vocabulary.kind {
                    VocabularyKind::ByteLevel => pieces.push_byte_level(token),
                    VocabularyKind::SentencePiece => pieces.push_escaped(token),
                },
            }
        }
        pieces
    }

    /// No tokens yet.
    pub(super) fn new(strips_first_space: bool) -> Self {
        Self { strips_first_space, ..Self::default() }
    }

    /// Adds a token that stands for `bytes`.
    pub(super) fn push(&mut self, name: &str, bytes: &[u8]) {
        self.bytes.all.extend_from_slice(bytes);
        self.bytes.ends.push(self.bytes.all.len());
        self.names.all.push_str(name);
        self.names.ends.push(self.names.all.len());
        self.control.push(false);
    }

    /// Adds a token whose characters each stand for one byte.
    pub(super) fn push_byte_level(&mut self, name: &str) {
        // Makers add plain words to byte-level vocabularies too; those stand for themselves.
        match bytes_of(name) {
            Some(bytes) => self.push(name, &bytes),
            None => self.push(name, name.as_bytes()),
        }
    }

    /// Adds a token whose spaces are written as U+2581.
    pub(super) fn push_escaped(&mut self, name: &str) {
        self.push(name, name.replace(SPACE, " ").as_bytes());
    }

    /// Adds a control token: it shows nothing, save the few that are part of the answer.
    pub(super) fn push_control(&mut self, name: &str) {
        if VISIBLE_MARKERS.contains(&name) {
            return self.push(name, name.as_bytes());
        }
        self.push(name, &[]);
        if let Some(last) = self.control.last_mut() {
            *last = true;
        }
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.control.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.control.is_empty()
    }

    /// The bytes a token stands for: empty for control tokens and ids out of range. Not always whole characters.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.range(id as usize).map_or(&[], |range| &self.bytes.all[range])
    }

    /// The token as the vocabulary spells it.
    pub fn name(&self, id: u32) -> Option<&str> {
        self.names.range(id as usize).map(|range| &self.names.all[range])
    }

    /// Whether the token is a control token, which shows nothing.
    pub fn is_control(&self, id: u32) -> bool {
        self.control.get(id as usize).copied().unwrap_or(false)
    }

    /// Whether a text's first space was put there by the encoder, so that decoding takes it away.
    pub fn strips_first_space(&self) -> bool {
        self.strips_first_space
    }
}

/// The byte in a name such as `<0x0A>`; empty if it is not one.
pub(super) fn byte_named(name: &str) -> Vec<u8> {
    let digits = name.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>')).filter(|digits| digits.len() == 2);
    digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).into_iter().collect()
}
