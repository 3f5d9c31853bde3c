//! Grammars: which tokens may come next, so that the output is JSON, fits a schema, or follows a Lark grammar.
//!
//! Built on llguidance, which walks a trie of the vocabulary's bytes with an Earley parser. The trie is built when the
//! first constrained generation comes, once per model. Everything is bounded: the text of a grammar, its nesting, the
//! fuel of compiling it and of each step, and the lexer's memory ([`limits`]).
//!
//! JSON may be written compactly or with usual white space: one space, or a line break and an indentation, at each place
//! where JSON allows it, but no more. A small model would otherwise happily fill its answer with blanks.

mod screen;
mod state;
mod vocabulary;

pub use state::{ConstraintState, Progress};
pub use vocabulary::GrammarVocabulary;

use std::sync::OnceLock;

use computepool_core::{Constraint, Fault, FaultCode};
use llguidance::api::{ParserLimits, TopLevelGrammar};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::Value;

/// A grammar or schema is at most this long.
pub const MAX_GRAMMAR_BYTES: usize = 256 * 1024;

/// White space between the tokens of JSON: a space, or a line break with its indentation.
const JSON_SPACE: &str = r"\x20|\x0A[\x20]{0,24}|\x0A\x09{0,8}";

/// What a grammar may cost. Usual ones compile in a few milliseconds and take 0.1 ms a step; the worst that these limits
/// let through were seen to take 0.8 s and 0.3 s, and 30 MB of lexer states.
pub fn limits() -> ParserLimits {
    ParserLimits {
        max_items_in_row: 2_000,
        initial_lexer_fuel: 1_000_000,
        step_lexer_fuel: 100_000,
        step_max_items: 20_000,
        max_lexer_states: 20_000,
        max_grammar_size: 20_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

/// Why a constraint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConstraintError {
    /// Refused unread.
    #[error("the grammar has {got} bytes, {MAX_GRAMMAR_BYTES} are allowed")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// Refused before it is parsed.
    #[error("the grammar nests {got} deep, {allowed} are allowed")]
    TooDeep {
        /// How deep.
        got: usize,
        /// How deep it may.
        allowed: usize,
    },
    /// Not JSON, not a schema, not a grammar, or beyond the limits.
    #[error("the grammar cannot be used: {0}")]
    Refused(String),
    /// The vocabulary cannot be put into a trie.
    #[error("this model's vocabulary cannot be used with grammars: {0}")]
    Vocabulary(String),
    /// The parser gave up in the middle of a generation.
    #[error("the grammar became too complex to follow: {0}")]
    Step(String),
    /// The token that was chosen is not one that the grammar allows.
    #[error("token {0} is not allowed by the grammar here")]
    NotAllowed(u32),
    /// What was produced before does not follow the grammar.
    #[error("token {id}, number {index} of what was produced so far, is not allowed by the grammar there")]
    NotProduced {
        /// Its place among the tokens produced, from 0.
        index: usize,
        /// The token.
        id: u32,
    },
    /// What was produced before is all that the grammar has room for.
    #[error("the output was complete with token number {index} of what was produced so far")]
    Finished {
        /// The place of the token that completed it, from 0.
        index: usize,
    },
}

impl From<ConstraintError> for Fault {
    fn from(error: ConstraintError) -> Self {
        let message = error.to_string();
        match error {
            ConstraintError::Vocabulary(_) => Fault::new(FaultCode::UnsupportedModel, message),
            ConstraintError::NotAllowed(_) => Fault::new(FaultCode::Internal, message),
            ConstraintError::Finished { .. } => Fault::new(FaultCode::InvalidRequest, message),
            ConstraintError::Step(_) => {
                Fault::new(FaultCode::BadGrammar, message).hint("simplify the schema or grammar")
            }
            _ => Fault::new(FaultCode::BadGrammar, message),
        }
    }
}

/// Compiles the grammars of one model.
pub struct Grammar {
    vocabulary: GrammarVocabulary,
    factory: OnceLock<Result<ParserFactory, ConstraintError>>,
}

impl Grammar {
    /// Keeps the vocabulary; the trie over it is built when it is first needed.
    pub fn new(vocabulary: GrammarVocabulary) -> Self {
        Self { vocabulary, factory: OnceLock::new() }
    }

    /// Makes a constraint ready for one generation, or says why it cannot be used: it does not parse, nothing fits it, or
    /// it costs more than [`limits`]. Takes a few milliseconds as a rule, and some hundreds the first time, when the trie
    /// is built.
    pub fn compile(&self, constraint: &Constraint) -> Result<ConstraintState, ConstraintError> {
        let (grammar, json) = top_level(constraint)?;
        let factory = self.factory.get_or_init(|| self.vocabulary.factory()).as_ref().map_err(Clone::clone)?;
        let parser =
            factory.create_parser(grammar).map_err(|error| ConstraintError::Refused(screen::first_line(&error)))?;
        ConstraintState::start(Matcher::new(Ok(parser)), json)
    }
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Grammar({} tokens, {})",
            self.vocabulary.len(),
            if self.factory.get().is_some() { "built" } else { "idle" }
        )
    }
}

/// The constraint in llguidance's terms, and whether it is JSON as a whole.
fn top_level(constraint: &Constraint) -> Result<(TopLevelGrammar, bool), ConstraintError> {
    match constraint {
        Constraint::JsonObject => Ok((json(serde_json::json!({ "type": "object" })), true)),
        Constraint::JsonSchema(text) => Ok((json(screen::schema(text)?), true)),
        Constraint::Lark(text) => {
            screen::lark(text)?;
            Ok((TopLevelGrammar::from_lark(text.clone()), false))
        }
    }
}

/// A schema with our own options in place of any it brings along: only they keep what is promised of JSON output.
fn json(mut schema: Value) -> TopLevelGrammar {
    let options =
        JsonCompileOptions { whitespace_pattern: Some(JSON_SPACE.to_owned()), ..JsonCompileOptions::default() };
    options.apply_to(&mut schema);
    TopLevelGrammar::from_json_schema(schema)
}

#[cfg(test)]
mod tests;
