//! Tokens that are found in the text before anything is encoded: control tokens and tokens the model's makers added.

use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::vocabulary::{TokenKind, Vocabulary};
use crate::error::ModelError;

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fragment<'t> {
    /// A token that stood in the text by name.
    Token(u32),
    /// Text between such tokens; never empty.
    Text(&'t str),
}

struct Named {
    id: u32,
    /// Swallows white space behind it.
    strips_right: bool,
}

/// Finds tokens by name, the longest that starts first (overlaps other than one being the beginning of another do not
/// occur among the special tokens of known models, and there llama.cpp's order gives the same).
pub(super) struct SpecialTokens {
    /// With control tokens.
    all: Finder,
    /// Only tokens that count in literal text too.
    literal: Finder,
}

struct Finder {
    tokens: Vec<Named>,
    automaton: Option<AhoCorasick>,
}

impl SpecialTokens {
    pub(super) fn of_vocabulary(vocabulary: &Vocabulary) -> Result<Self, ModelError> {
        let finder = |wanted: &dyn Fn(TokenKind) -> bool| {
            let found = (0..).zip(vocabulary.tokens.iter().zip(&vocabulary.kinds));
            let found: Vec<(u32, &str)> = found
                .filter(|(_, (token, kind))| wanted(**kind) && !token.is_empty())
                .map(|(id, (token, _))| (id, token.as_str()))
                .collect();
            Finder::new(&found, vocabulary)
        };
        use TokenKind::{Control, Unknown, UserDefined};
        Ok(Self {
            all: finder(&|kind| matches!(kind, Control | Unknown | UserDefined))?,
            literal: finder(&|kind| kind == UserDefined)?,
        })
    }

    /// Cuts the text at its special tokens. `control`: also at control tokens.
    pub(super) fn split<'t>(&self, text: &'t str, control: bool) -> Vec<Fragment<'t>> {
        if control { self.all.split(text) } else { self.literal.split(text) }
    }
}

impl Finder {
    fn new(found: &[(u32, &str)], vocabulary: &Vocabulary) -> Result<Self, ModelError> {
        let tokens = found.iter().map(|(id, name)| Named { id: *id, strips_right: vocabulary.strips_right(name) });
        let tokens = tokens.collect();
        if found.is_empty() {
            return Ok(Self { tokens, automaton: None });
        }
        let built =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(found.iter().map(|(_, name)| name));
        let automaton = built.map_err(|error| ModelError::BadSetting {
            key: "tokenizer.ggml.tokens".into(),
            reason: format!("its control tokens cannot be searched for: {error}"),
        })?;
        Ok(Self { tokens, automaton: Some(automaton) })
    }

    fn split<'t>(&self, text: &'t str) -> Vec<Fragment<'t>> {
        let mut fragments = Vec::new();
        let mut from = 0;
        let push_text = |fragments: &mut Vec<Fragment<'t>>, part: &'t str| {
            if !part.is_empty() {
                fragments.push(Fragment::Text(part));
            }
        };
        while let Some(found) =
            self.automaton.as_ref().and_then(|automaton| automaton.find(Input::new(text).range(from..)))
        {
            let token = &self.tokens[found.pattern().as_usize()];
            let before = &text[from..found.start()];
            push_text(&mut fragments, before);
            fragments.push(Fragment::Token(token.id));
            let after = &text[found.end()..];
            from = text.len() - if token.strips_right { after.trim_start_matches(is_space) } else { after }.len();
        }
        push_text(&mut fragments, &text[from..]);
        fragments
    }
}

/// C's `isspace`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}
