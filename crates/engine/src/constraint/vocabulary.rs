//! The vocabulary as grammars need it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use llguidance::earley::SlicedBiasComputer;
use llguidance::{ParserFactory, panic_utils};
use toktrie::{ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie};

use super::{ConstraintError, limits, screen};

/// Longer tokens are never allowed under a grammar: the trie has a bounded depth.
const MAX_TOKEN_BYTES: usize = 512;

/// The trie counts its nodes in 22 bits.
const MAX_TRIE_BYTES: usize = 1 << 22;

/// What each token stands for.
#[derive(Clone, Debug, Default)]
pub struct GrammarVocabulary {
    /// The bytes of every token, in order of ids.
    pub tokens: Vec<Vec<u8>>,
    /// Which of them are control tokens, whose bytes are not text. May be shorter than `tokens`.
    pub control: Vec<bool>,
    /// The tokens that end a text: allowed when the grammar is complete.
    pub end: Vec<u32>,
}

impl GrammarVocabulary {
    /// How many tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The bytes of a token that may appear in text; empty for all others, which no grammar ever allows.
    fn text(&self, id: usize) -> &[u8] {
        let control = self.control.get(id).copied().unwrap_or(false) || self.end.contains(&(id as u32));
        match self.tokens.get(id) {
            // A leading 0xFF would make it one of llguidance's special tokens; it begins no UTF-8 text.
            Some(bytes) if !control && bytes.len() <= MAX_TOKEN_BYTES && bytes.first() != Some(&0xFF) => bytes,
            _ => &[],
        }
    }

    /// Builds the trie and the compiler around it.
    pub(super) fn factory(&self) -> Result<ParserFactory, ConstraintError> {
        let words: Vec<Vec<u8>> = (0..self.len()).map(|id| self.text(id).to_vec()).collect();
        let bytes: usize = words.iter().map(Vec::len).sum();
        if bytes == 0 || bytes >= MAX_TRIE_BYTES {
            return Err(ConstraintError::Vocabulary(format!("its tokens have {bytes} bytes")));
        }
        let end: Vec<u32> = self.end.iter().copied().filter(|id| (*id as usize) < words.len()).collect();
        let info = TokRxInfo::new(words.len() as u32, end.first().copied().unwrap_or(INVALID_TOKEN));
        // What is not foreseen above ends in a panic there, and must not end the process.
        let built = panic_utils::catch_unwind(AssertUnwindSafe(|| {
            let trie = TokTrie::from(&info, &words);
            let trie = if end.is_empty() { trie } else { trie.with_eos_tokens(&end) };
            // Not canonical: which tokens spell a forced string is left to the model, as everywhere else.
            let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
            ParserFactory::new(&environment, InferenceCapabilities::default(), &SlicedBiasComputer::general_slices())
        }));
        let mut factory = built.map_err(|error| ConstraintError::Vocabulary(screen::first_line(&error)))?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok(factory)
    }
}
