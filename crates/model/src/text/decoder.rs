//! The streaming detokenizer.

use std::sync::Arc;

use computepool_core::ports::TextDecoder;

use crate::tokenizer::Tokenizer;

/// Turns ids into text as they come. Bytes of unfinished characters wait for the next token; bytes that no token can
/// make a character of become U+FFFD at once. Each byte is looked at a bounded number of times.
pub struct Decoder {
    tokenizer: Arc<Tokenizer>,
    /// At most three bytes that may still become a character.
    waiting: Vec<u8>,
    /// The next byte shown is the text's first, and a space there was the encoder's.
    at_start: bool,
}

impl Decoder {
    /// At the beginning of a text.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Self {
        let at_start = tokenizer.pieces().strips_first_space();
        Self { tokenizer, waiting: Vec::new(), at_start }
    }
}

impl TextDecoder for Decoder {
    fn push(&mut self, id: u32) -> String {
        let mut bytes = self.tokenizer.pieces().bytes(id);
        if self.at_start && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.at_start = false;
        }
        self.waiting.extend_from_slice(bytes);
        let mut shown = String::with_capacity(self.waiting.len());
        let mut rest = self.waiting.as_slice();
        let kept = loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    shown.push_str(text);
                    break 0;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    shown.push_str(&String::from_utf8_lossy(valid));
                    match error.error_len() {
                        None => break after.len(),
                        Some(len) => {
                            shown.push(char::REPLACEMENT_CHARACTER);
                            rest = &after[len..];
                        }
                    }
                }
            }
        };
        self.waiting.drain(..self.waiting.len() - kept);
        shown
    }

    fn finish(&mut self) -> String {
        let left = std::mem::take(&mut self.waiting);
        self.at_start = self.tokenizer.pieces().strips_first_space();
        String::from_utf8_lossy(&left).into_owned()
    }
}
