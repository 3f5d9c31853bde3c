//! A vocabulary of bytes.

use computepool_core::Fault;
use computepool_core::ports::{ChatPrompt, Text, TextDecoder, ToolDialect};

const BEGIN: u32 = 256;
const END: u32 = 257;
const TURN: u32 = 258;
/// The control token that stands for Mistral's `[TOOL_CALLS]`.
pub const TOOL_CALLS_TOKEN: u32 = 259;
/// Tokens in the vocabulary.
pub(super) const VOCABULARY: u32 = 260;

const CONTROL: [(&str, u32); 4] =
    [("<|begin|>", BEGIN), ("<|end|>", END), ("<|turn|>", TURN), ("[TOOL_CALLS]", TOOL_CALLS_TOKEN)];

/// Every byte is a token; above them stand a few control tokens.
#[derive(Clone, Copy, Debug)]
pub struct FakeText {
    /// How it is said to write tool calls.
    pub dialect: ToolDialect,
}

impl FakeText {
    /// The token that ends a text.
    pub const END: u32 = END;
}

impl Text for FakeText {
    fn render(&self, chat: &ChatPrompt<'_>) -> Result<String, Fault> {
        let mut text = String::new();
        for tool in chat.tools {
            text.push_str(&format!("<|turn|>tools\n{tool}\n"));
        }
        for message in chat.messages {
            let field = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("<|turn|>{}\n{}", field("role"), field("content")));
            if let Some(calls) = message.get("tool_calls") {
                text.push_str(&calls.to_string());
            }
            text.push('\n');
        }
        for (name, value) in chat.variables {
            text.push_str(&format!("<|turn|>{name}={value}\n"));
        }
        if chat.add_generation_prompt {
            text.push_str("<|turn|>assistant\n");
        }
        Ok(text)
    }

    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, Fault> {
        if !special {
            return Ok(text.bytes().map(u32::from).collect());
        }
        let mut ids = vec![BEGIN];
        let mut rest = text.strip_prefix("<|begin|>").unwrap_or(text);
        while let Some(byte) = rest.bytes().next() {
            let control = CONTROL.iter().find_map(|(name, id)| rest.strip_prefix(name).map(|rest| (*id, rest)));
            match control {
                Some((id, behind)) => {
                    ids.push(id);
                    rest = behind;
                }
                None => {
                    let width = rest.chars().next().map_or(1, char::len_utf8);
                    ids.push(u32::from(byte));
                    ids.extend(rest.bytes().take(width).skip(1).map(u32::from));
                    rest = &rest[width..];
                }
            }
        }
        Ok(ids)
    }

    fn token_bytes(&self, id: u32) -> Vec<u8> {
        u8::try_from(id).map(|byte| vec![byte]).unwrap_or_default()
    }

    fn is_end(&self, id: u32) -> bool {
        id == END
    }

    fn decoder(&self) -> Box<dyn TextDecoder> {
        Box::new(Bytes(Vec::new()))
    }

    fn tool_dialect(&self) -> ToolDialect {
        self.dialect
    }
}

struct Bytes(Vec<u8>);

impl TextDecoder for Bytes {
    fn push(&mut self, id: u32) -> String {
        self.0.extend(u8::try_from(id));
        let complete = match std::str::from_utf8(&self.0) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => self.0.len(),
        };
        let rest = self.0.split_off(complete);
        String::from_utf8_lossy(&std::mem::replace(&mut self.0, rest)).into_owned()
    }

    fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}
