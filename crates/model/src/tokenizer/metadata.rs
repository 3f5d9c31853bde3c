//! Reads a [`Vocabulary`] out of GGUF metadata.

use super::vocabulary::{MAX_MERGES, MAX_TOKENS, TokenKind, Vocabulary, VocabularyKind};
use crate::error::{ModelError, shown};
use crate::gguf::{Metadata, Value, ValueType};

/// Keys whose tokens end a turn, a message or a file.
const OTHER_ENDS: [&str; 5] =
    ["eot_token_id", "eom_token_id", "fim_pad_token_id", "fim_rep_token_id", "fim_sep_token_id"];

impl Vocabulary {
    /// What the file says about its tokenizer. Other kinds than `gpt2` and `llama` are refused by name.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self, ModelError> {
        let keys = Keys(metadata);
        let kind = match metadata.get_str(&Keys::name("model"))? {
            None => return Err(ModelError::MissingSetting { key: Keys::name("model") }),
            Some("gpt2") => VocabularyKind::ByteLevel,
            Some("llama") => VocabularyKind::SentencePiece,
            Some(other) => {
                return Err(ModelError::Unsupported {
                    what: format!("the tokenizer kind `{}`", shown(other)),
                    hint: "use a model with a byte-level (gpt2) or SentencePiece (llama) tokenizer, \
                           or its Hugging Face folder with a tokenizer.json",
                });
            }
        };
        keys.check_count("tokens", MAX_TOKENS)?;
        keys.check_count("merges", MAX_MERGES)?;
        let owned = |strings: Vec<&str>| strings.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let tokens = metadata.get_strings(&Keys::name("tokens"))?.map(owned);
        let kinds = metadata.get_i64s(&Keys::name("token_type"))?.unwrap_or_default();
        let mut other_ends = Vec::new();
        for key in OTHER_ENDS {
            other_ends.extend(metadata.get_u32(&Keys::name(key))?);
        }
        let byte_level = kind == VocabularyKind::ByteLevel;
        Ok(Self {
            kind,
            pre: metadata.get_str(&Keys::name("pre"))?.map(str::to_owned),
            model_name: metadata.get_str("general.name")?.unwrap_or_default().to_owned(),
            tokens: tokens.ok_or_else(|| ModelError::MissingSetting { key: Keys::name("tokens") })?,
            scores: if byte_level { Vec::new() } else { keys.scores()? },
            kinds: kinds.into_iter().map(TokenKind::from_gguf).collect(),
            merges: metadata.get_strings(&Keys::name("merges"))?.filter(|_| byte_level).map(owned).unwrap_or_default(),
            bos: metadata.get_u32(&Keys::name("bos_token_id"))?,
            eos: metadata.get_u32(&Keys::name("eos_token_id"))?,
            unknown: metadata.get_u32(&Keys::name("unknown_token_id"))?,
            other_ends,
            add_bos: metadata.get_bool(&Keys::name("add_bos_token"))?,
            add_space_prefix: metadata.get_bool(&Keys::name("add_space_prefix"))?,
        })
    }
}

struct Keys<'a>(&'a Metadata);

impl Keys<'_> {
    fn name(key: &str) -> String {
        format!("tokenizer.ggml.{key}")
    }

    /// Refuses an array that is too long before it is copied out of the file.
    fn check_count(&self, key: &str, limit: usize) -> Result<(), ModelError> {
        match self.0.get(&Self::name(key))? {
            Some(Value::Array(_, got)) if got > limit => Err(ModelError::BadSetting {
                key: Self::name(key),
                reason: format!("{got} entries; at most {limit} can be"),
            }),
            _ => Ok(()),
        }
    }

    /// Scores, which some files write as integers.
    fn scores(&self) -> Result<Vec<f32>, ModelError> {
        let key = Self::name("scores");
        let floats = matches!(self.0.get(&key)?, None | Some(Value::Array(ValueType::F32 | ValueType::F64, _)));
        if floats {
            return Ok(self.0.get_f32s(&key)?.unwrap_or_default());
        }
        Ok(self.0.get_i64s(&key)?.unwrap_or_default().into_iter().map(|score| score as f32).collect())
    }
}
