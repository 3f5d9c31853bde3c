//! From text to token ids and from ids to bytes, as the model's own tokenizer does it.
//!
//! GGUF files carry a [`Vocabulary`]; from it either the byte-level or the SentencePiece encoder is built, with the ids
//! that llama.cpp gives. Hugging Face folders carry a `tokenizer.json`, which the `tokenizers` crate reads.

mod byte_level;
mod hugging_face;
mod merging;
mod metadata;
mod pieces;
mod sentence_piece;
mod special;
mod splits;
pub mod vocabulary;

use crate::error::ModelError;
pub use hugging_face::HuggingFaceTokenizer;
pub use pieces::Pieces;
pub use vocabulary::{TokenKind, Vocabulary, VocabularyKind};

use byte_level::ByteLevel;
use sentence_piece::SentencePiece;
use special::{Fragment, SpecialTokens};

/// No longer text is encoded at once; in bytes.
pub const MAX_TEXT_BYTES: usize = 8 * 1024 * 1024;

/// A model's tokenizer: both ways between text and ids, and what the model says about single tokens.
pub struct Tokenizer {
    encoder: Encoder,
    pieces: Pieces,
    opening: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    ends: Vec<u32>,
}

enum Encoder {
    ByteLevel(SpecialTokens, ByteLevel),
    SentencePiece(SpecialTokens, SentencePiece),
    HuggingFace(Box<HuggingFaceTokenizer>),
}

impl Tokenizer {
    /// Builds the tokenizer of a GGUF vocabulary. Names a kind or pre-tokenizer that this version cannot reproduce,
    /// rather than guessing at its ids.
    pub fn from_vocabulary(vocabulary: Vocabulary) -> Result<Self, ModelError> {
        let vocabulary = vocabulary.settled()?;
        let pieces = Pieces::of_vocabulary(&vocabulary);
        let special = SpecialTokens::of_vocabulary(&vocabulary)?;
        let (bos, eos, ends) = (vocabulary.bos, vocabulary.eos, vocabulary.ends());
        let opening = if vocabulary.adds_bos()? { bos.into_iter().collect() } else { Vec::new() };
        let encoder = match vocabulary.kind {
            VocabularyKind::ByteLevel => Encoder::ByteLevel(special, ByteLevel::new(vocabulary)?),
            VocabularyKind::SentencePiece => Encoder::SentencePiece(special, SentencePiece::new(vocabulary)?),
        };
        Ok(Self { encoder, pieces, opening, bos, eos, ends })
    }

    /// Takes over a tokenizer read from a Hugging Face folder.
    pub fn from_hugging_face(tokenizer: HuggingFaceTokenizer) -> Self {
        Self {
            pieces: tokenizer.pieces(),
            opening: tokenizer.opening().to_vec(),
            bos: tokenizer.bos(),
            eos: tokenizer.eos(),
            ends: tokenizer.ends().to_vec(),
            encoder: Encoder::HuggingFace(Box::new(tokenizer)),
        }
    }

    /// Token ids of `text` alone: nothing is added in front or behind. `special`: text that looks like a control token
    /// becomes one.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, EncodeError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(EncodeError::TooLong { got: text.len(), limit: MAX_TEXT_BYTES });
        }
        let mut ids = Vec::with_capacity(text.len() / 3 + 1);
        match &self.encoder {
            Encoder::ByteLevel(tokens, encoder) => {
                for fragment in tokens.split(text, special) {
                    match fragment {
                        Fragment::Token(id) => ids.push(id),
                        Fragment::Text(part) => encoder.encode(part, &mut ids),
                    }
                }
            }
            Encoder::SentencePiece(tokens, encoder) => {
                let mut opens = true;
                for fragment in tokens.split(text, special) {
                    match fragment {
                        Fragment::Token(id) => ids.push(id),
                        Fragment::Text(part) => encoder.encode(part, opens, &mut ids),
                    }
                    opens = matches!(fragment, Fragment::Token(_));
                }
            }
            Encoder::HuggingFace(tokenizer) => tokenizer.encode(text, special, &mut ids)?,
        }
        Ok(ids)
    }

    /// Ids of a whole sequence: control tokens parsed, and the tokens that open a sequence put in front unless the text
    /// brings them along.
    pub fn encode_sequence(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let mut ids = self.encode(text, true)?;
        if !ids.starts_with(&self.opening) {
            ids.splice(0..0, self.opening.iter().copied());
        }
        Ok(ids)
    }

    /// What every token stands for.
    pub fn pieces(&self) -> &Pieces {
        &self.pieces
    }

    /// Tokens that the model wants in front of every sequence: none, or the one that begins it.
    pub fn opening(&self) -> &[u32] {
        &self.opening
    }

    /// The token that begins a sequence, where the model has one (whether or not it is added).
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a sequence.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Every token that ends a text, in ascending order: end of sequence, of turn, of message.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The name of a token as the vocabulary spells it.
    pub fn name(&self, id: u32) -> Option<&str> {
        self.pieces.name(id)
    }
}

/// Why a text has no ids.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It is too long.
    #[error("the text has {got} bytes, at most {limit} are encoded at once")]
    TooLong {
        /// Bytes it has.
        got: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// The tokenizer's own rules fail on it.
    #[error("the tokenizer cannot encode this text: {reason}")]
    Rules {
        /// In the tokenizer's words.
        reason: String,
    },
}

impl From<EncodeError> for computepool_core::Fault {
    fn from(error: EncodeError) -> Self {
        use computepool_core::{Fault, FaultCode};
        let code = match &error {
            EncodeError::TooLong { .. } => FaultCode::ContextLength,
            EncodeError::Rules { .. } => FaultCode::InvalidRequest,
        };
        Fault::new(code, error.to_string())
    }
}
