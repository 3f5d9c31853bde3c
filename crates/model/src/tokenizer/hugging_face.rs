//! Tokenizers of Hugging Face folders: `tokenizer.json` and what stands beside it.

mod folder;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use self::folder::Folder;
use super::EncodeError;
use super::pieces::{Pieces, byte_named};
use super::vocabulary::{END_NAMES, MAX_TOKENS};
use crate::error::ModelError;

/// A tokenizer as `tokenizer.json` describes it, run by the `tokenizers` crate.
pub struct HuggingFaceTokenizer {
    tokenizer: tokenizers::Tokenizer,
    /// The same, taking control tokens for plain text; made when first needed.
    literal: OnceLock<tokenizers::Tokenizer>,
    opening: Vec<u32>,
    bos: Option<u32>,
    eos: Option<u32>,
    ends: Vec<u32>,
    template: Option<String>,
    tool_template: Option<String>,
}

impl HuggingFaceTokenizer {
    /// Reads `tokenizer.json`, and where they are there `tokenizer_config.json`, `special_tokens_map.json`,
    /// `generation_config.json`, `chat_template.jinja` and `chat_template.json`. Each file's size is bounded.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let folder = Folder::open(folder)?;
        let tokenizer = folder.tokenizer()?;
        let id = |name: &Option<String>| name.as_deref().and_then(|name| tokenizer.token_to_id(name));
        let (bos, eos) = (id(&folder.bos), id(&folder.eos));
        let mut opening = probe_opening(&tokenizer);
        match folder.add_bos {
            Some(true) if opening.is_empty() => opening.extend(bos),
            Some(false) => opening.clear(),
            _ => {}
        }
        let special = tokenizer.get_added_tokens_decoder();
        let named = special.iter().filter(|(_, token)| token.special && END_NAMES.contains(&token.content.as_str()));
        let mut ends: Vec<u32> = eos.into_iter().chain(folder.ends.iter().copied()).collect();
        ends.extend(named.map(|(id, _)| *id));
        ends.sort_unstable();
        ends.dedup();
        let (template, tool_template) = (folder.template, folder.tool_template);
        Ok(Self { tokenizer, literal: OnceLock::new(), opening, bos, eos, ends, template, tool_template })
    }

    /// The chat template, and the one for chats with tools where that is another.
    pub fn templates(&self) -> (Option<&str>, Option<&str>) {
        (self.template.as_deref(), self.tool_template.as_deref())
    }

    pub(super) fn opening(&self) -> &[u32] {
        &self.opening
    }

    pub(super) fn bos(&self) -> Option<u32> {
        self.bos
    }

    pub(super) fn eos(&self) -> Option<u32> {
        self.eos
    }

    pub(super) fn ends(&self) -> &[u32] {
        &self.ends
    }

    pub(super) fn encode(&self, text: &str, special: bool, ids: &mut Vec<u32>) -> Result<(), EncodeError> {
        let tokenizer = if special {
            &self.tokenizer
        } else {
            self.literal.get_or_init(|| {
                let mut literal = self.tokenizer.clone();
                literal.set_encode_special_tokens(true);
                literal
            })
        };
        let encoding = tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|error| EncodeError::Rules { reason: error.to_string() })?;
        ids.extend_from_slice(encoding.get_ids());
        Ok(())
    }

    pub(super) fn pieces(&self) -> Pieces {
        let rules = DecodingRules::of(&self.tokenizer);
        let added = self.tokenizer.get_added_tokens_decoder();
        let vocabulary = self.tokenizer.get_vocab(true);
        // Ids may have gaps; `Folder::tokenizer` has checked the highest.
        let count = vocabulary.values().max().map_or(0, |highest| *highest as usize + 1);
        let mut names = vec![""; count];
        for (name, id) in &vocabulary {
            names[*id as usize] = name;
        }
        let mut pieces = Pieces::new(rules.strips_first_space);
        for (id, name) in (0..).zip(names) {
            match added.get(&id) {
                Some(token) if token.special => pieces.push_control(name),
                Some(_) => pieces.push(name, name.as_bytes()),
                None if rules.byte_level => pieces.push_byte_level(name),
                None => match byte_named(name) {
                    byte if rules.byte_fallback && !byte.is_empty() => pieces.push(name, &byte),
                    _ => pieces.push_escaped(name),
                },
            }
        }
        pieces
    }
}

/// Parses and checks a `tokenizer.json`.
fn parse(bytes: &[u8]) -> Result<tokenizers::Tokenizer, ModelError> {
    let bad = |reason: String| ModelError::BadSetting { key: "tokenizer.json".into(), reason };
    // The crate indexes slices by what merges claim, so a damaged file can make it panic; nothing of it is kept then.
    let parsed = catch_unwind(AssertUnwindSafe(|| tokenizers::Tokenizer::from_bytes(bytes)));
    let mut tokenizer = match parsed {
        Ok(Ok(tokenizer)) => tokenizer,
        Ok(Err(error)) => return Err(bad(error.to_string())),
        Err(_) => return Err(bad("its merges contradict its vocabulary".into())),
    };
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|error| bad(error.to_string()))?;
    let highest = tokenizer.get_vocab(true).into_values().max();
    match highest {
        None => Err(bad("it has no tokens".into())),
        Some(id) if id as usize >= MAX_TOKENS => {
            Err(bad(format!("it has a token id {id}; at most {MAX_TOKENS} can be")))
        }
        Some(_) => Ok(tokenizer),
    }
}

/// The tokens that the post-processor puts in front of a sequence.
fn probe_opening(tokenizer: &tokenizers::Tokenizer) -> Vec<u32> {
    let ids = |special| tokenizer.encode_fast("a", special).map(|encoding| encoding.get_ids().to_vec());
    let (Ok(mut with), Ok(without)) = (ids(true), ids(false)) else { return Vec::new() };
    let start = with.windows(without.len().max(1)).position(|window| window == without);
    with.truncate(start.unwrap_or(0));
    with
}

/// How token names become bytes, read off the decoder's description.
struct DecodingRules {
    byte_level: bool,
    byte_fallback: bool,
    strips_first_space: bool,
}

impl DecodingRules {
    fn of(tokenizer: &tokenizers::Tokenizer) -> Self {
        let mut rules = Self { byte_level: false, byte_fallback: false, strips_first_space: false };
        let decoder = tokenizer.get_decoder().and_then(|decoder| serde_json::to_value(decoder).ok());
        if let Some(decoder) = decoder {
            rules.read(&decoder);
        }
        rules
    }

    fn read(&mut self, decoder: &Value) {
        match decoder["type"].as_str() {
            Some("Sequence") => decoder["decoders"].as_array().into_iter().flatten().for_each(|part| self.read(part)),
            Some("ByteLevel") => self.byte_level = true,
            Some("ByteFallback") => self.byte_fallback = true,
            Some("Metaspace") => self.strips_first_space |= decoder["prepend_scheme"] != "never",
            Some("Strip") => self.strips_first_space |= decoder["content"] == " " && decoder["start"] == 1,
            _ => {}
        }
    }
}
