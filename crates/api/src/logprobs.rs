//! Log-probabilities in OpenAI's two shapes.

use computepool_core::ports::Text;
use serde_json::{Map, Value};

use crate::assembler::TokenRecord;
use crate::wire::{ChatLogprobs, CompletionLogprobs, LogprobEntry, TopLogprob};

/// JSON has no infinity; OpenAI writes this for the least likely.
const LEAST: f32 = -9999.0;

fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob.max(LEAST) } else { LEAST }
}

/// For chats; null where there is nothing to tell.
pub(crate) fn chat(text: &dyn Text, records: &[TokenRecord]) -> Option<ChatLogprobs> {
    if records.is_empty() {
        return None;
    }
    let entry = |record: &TokenRecord| {
        let bytes = text.token_bytes(record.id);
        let top = record.logprob.top.iter().map(|top| {
            let bytes = text.token_bytes(top.id);
            TopLogprob { token: String::from_utf8_lossy(&bytes).into_owned(), logprob: finite(top.logprob), bytes }
        });
        LogprobEntry {
            token: String::from_utf8_lossy(&bytes).into_owned(),
            logprob: finite(record.logprob.logprob),
            bytes,
            top_logprobs: top.collect(),
        }
    };
    Some(ChatLogprobs { content: records.iter().map(entry).collect(), refusal: None })
}

/// For completions; null where there is nothing to tell.
pub(crate) fn completion(text: &dyn Text, records: &[TokenRecord]) -> Option<CompletionLogprobs> {
    if records.is_empty() {
        return None;
    }
    let mut lists = CompletionLogprobs::default();
    for record in records {
        let mut top = Map::new();
        for other in &record.logprob.top {
            top.insert(name(text, other.id), Value::from(f64::from(finite(other.logprob))));
        }
        lists.tokens.push(name(text, record.id));
        lists.token_logprobs.push(finite(record.logprob.logprob));
        lists.top_logprobs.push(top);
        lists.text_offset.push(u32::try_from(record.offset).unwrap_or(u32::MAX));
    }
    Some(lists)
}

/// A token as text; bytes that are no text by their values, so that no two tokens look the same.
fn name(text: &dyn Text, id: u32) -> String {
    let bytes = text.token_bytes(id);
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let hex: String = error.as_bytes().iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("bytes:{hex}")
        }
    }
}
