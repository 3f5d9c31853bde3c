//! A tokenizer as GGUF metadata states it.

use super::splits::{Scheme, scheme};
use crate::error::{ModelError, shown};

/// More tokens than any known model has; more are refused.
pub const MAX_TOKENS: usize = 1 << 21;
/// The same for merges.
pub const MAX_MERGES: usize = 1 << 22;

/// Names of tokens that end a text even where the file gives them no role. Those in angle brackets and bars are control
/// tokens even where the file forgets to say so.
pub(super) const END_NAMES: [&str; 17] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "</s>",
    "<eos>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
];
/// Tokens between the files of a repository: a model that writes one is done with its text.
const FILE_NAMES: [&str; 10] = [
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabularyKind {
    /// Byte-pair encoding over bytes, after cutting into words (`gpt2`).
    ByteLevel,
    /// SentencePiece with scores (`llama`).
    SentencePiece,
}

/// What a token is for; GGUF's `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text.
    Normal,
    /// Stands for what has no token.
    Unknown,
    /// Frames sequences and turns; shows nothing.
    Control,
    /// Text that its makers wanted kept whole.
    UserDefined,
    /// A place held free.
    Unused,
    /// One byte, by its hexadecimal name.
    Byte,
    /// None of these.
    Undefined,
}

impl TokenKind {
    /// From GGUF's numbers.
    pub fn from_gguf(number: i64) -> Self {
        match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Undefined,
        }
    }
}

/// Everything that GGUF metadata says about a tokenizer.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// How text becomes tokens.
    pub kind: VocabularyKind,
    /// Which pre-tokenizer cuts words (byte-level only); `None` where the file does not say.
    pub pre: Option<String>,
    /// The model's name; some of llama.cpp's rules hang on it.
    pub model_name: String,
    /// The tokens by id.
    pub tokens: Vec<String>,
    /// Scores by id (SentencePiece only); may be empty.
    pub scores: Vec<f32>,
    /// Kinds by id; empty means that all are normal.
    pub kinds: Vec<TokenKind>,
    /// Merges, best first, as two parts with a space between (byte-level only).
    pub merges: Vec<String>,
    /// Begins a sequence.
    pub bos: Option<u32>,
    /// Ends a sequence.
    pub eos: Option<u32>,
    /// Stands for what has no token.
    pub unknown: Option<u32>,
    /// Further tokens that the file says end something: a turn, a message, a file.
    pub other_ends: Vec<u32>,
    /// Whether `bos` opens every sequence; `None` where the file does not say.
    pub add_bos: Option<bool>,
    /// Whether a space is put in front of text; `None` where the file does not say.
    pub add_space_prefix: Option<bool>,
}

impl Vocabulary {
    /// The same with defaults filled in and checked: as many kinds and scores as tokens, ids in range; tokens that end a text
    /// or mark a gap to be filled known as control tokens.
    pub(super) fn settled(mut self) -> Result<Self, ModelError> {
        let bad = |key: &str, reason: String| ModelError::BadSetting { key: format!("tokenizer.ggml.{key}"), reason };
        let count = self.tokens.len();
        if count == 0 || count > MAX_TOKENS {
            return Err(bad("tokens", format!("{count} tokens; 1 to {MAX_TOKENS} can be")));
        }
        if self.merges.len() > MAX_MERGES {
            return Err(bad("merges", format!("{} merges; at most {MAX_MERGES} can be", self.merges.len())));
        }
        if self.kinds.is_empty() {
            self.kinds = vec![TokenKind::Normal; count];
        }
        if self.scores.is_empty() {
            self.scores = vec![0.0; count];
        }
        if self.kinds.len() < count || self.scores.len() < count {
            let got = self.kinds.len().min(self.scores.len());
            return Err(bad("token_type", format!("{got} token types or scores for {count} tokens")));
        }
        if self.kind == VocabularyKind::ByteLevel && self.merges.is_empty() {
            return Err(ModelError::MissingSetting { key: "tokenizer.ggml.merges".into() });
        }
        if self.kind == VocabularyKind::SentencePiece {
            self.bos.get_or_insert(1);
            self.eos.get_or_insert(2);
            self.unknown.get_or_insert(0);
        }
        // An id out of range is a file's way to say that there is no such token.
        let known = |id: Option<u32>| id.filter(|id| (*id as usize) < count);
        (self.bos, self.eos, self.unknown) = (known(self.bos), known(self.eos), known(self.unknown));
        self.other_ends.retain(|id| (*id as usize) < count);
        for (name, kind) in self.tokens.iter().zip(&mut self.kinds) {
            let framed = name.starts_with("<|") || name.starts_with("<｜") || name.starts_with("<end_of");
            let fill = name.starts_with("<|fim_") || name.starts_with("<｜fim▁");
            if fill || (framed && END_NAMES.contains(&name.as_str())) {
                *kind = TokenKind::Control;
            }
        }
        Ok(self)
    }

    /// All tokens that end a text, ascending.
    pub(super) fn ends(&self) -> Vec<u32> {
        let mut ends: Vec<u32> = self.eos.into_iter().chain(self.other_ends.iter().copied()).collect();
        for (id, (name, kind)) in (0..).zip(self.tokens.iter().zip(&self.kinds)) {
            let named = END_NAMES.contains(&name.as_str()) || FILE_NAMES.contains(&name.as_str());
            if named && *kind == TokenKind::Control {
                ends.push(id);
            }
        }
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    /// The scheme that its pre-tokenizer's name stands for.
    pub(super) fn scheme(&self) -> Result<Scheme, ModelError> {
        let name = self.pre.as_deref().unwrap_or_else(|| {
            tracing::warn!("the file does not name its pre-tokenizer; words are cut by the default scheme");
            "default"
        });
        scheme(name).ok_or_else(|| ModelError::Unsupported {
            what: format!("the pre-tokenizer `{}`", shown(name)),
            hint: "use a Hugging Face folder of the same model, whose tokenizer.json says how words are cut",
        })
    }

    /// Whether `bos` opens every sequence.
    pub(super) fn adds_bos(&self) -> Result<bool, ModelError> {
        Ok(match (self.add_bos, self.kind) {
            (Some(says), _) => says,
            (None, VocabularyKind::SentencePiece) => true,
            (None, VocabularyKind::ByteLevel) => self.scheme()?.adds_bos,
        })
    }

    /// Whether a space is put in front of text.
    pub(super) fn adds_space_prefix(&self) -> bool {
        self.kind == VocabularyKind::SentencePiece && self.add_space_prefix.unwrap_or(true)
    }

    /// Whether a special token swallows the white space behind it: those of Phi 3 do.
    pub(super) fn strips_right(&self, name: &str) -> bool {
        let model = self.model_name.to_ascii_lowercase();
        (model.contains("phi-3") || model.contains("phi3")) && !matches!(name, "<unk>" | "<s>" | "<|endoftext|>")
    }
}
