//! The text port: from messages to token ids and back.

use serde_json::Value;

use crate::Fault;

/// Turns chats into prompts, text into token ids, and token ids into text, as one model wants it.
pub trait Text: Send + Sync {
    /// Renders a chat with the model's own template.
    fn render(&self, chat: &ChatPrompt<'_>) -> Result<String, Fault>;

    /// Token ids of a text. `special`: text that looks like a control token becomes one, and the tokens that open a
    /// sequence are added as the model wants them, unless the text already starts with them; for rendered chats and
    /// raw prompts. Without it the text is taken literally.
    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, Fault>;

    /// The bytes a token stands for; empty for control tokens and ids out of range.
    fn token_bytes(&self, id: u32) -> Vec<u8>;

    /// Whether this token is a control token that ends a text.
    fn is_end(&self, id: u32) -> bool;

    /// A fresh streaming detokenizer.
    fn decoder(&self) -> Box<dyn TextDecoder>;

    /// How the model's template writes tool calls.
    fn tool_dialect(&self) -> ToolDialect;
}

/// Turns a stream of token ids into text, never emitting half a character.
pub trait TextDecoder: Send {
    /// The text that this token completes; may be empty.
    fn push(&mut self, id: u32) -> String;
    /// What is left at the end; incomplete bytes become U+FFFD.
    fn finish(&mut self) -> String;
}

/// A chat to be rendered, in the JSON shapes of the OpenAI API, as Hugging Face templates expect them.
#[derive(Clone, Copy, Debug)]
pub struct ChatPrompt<'a> {
    /// The messages.
    pub messages: &'a [Value],
    /// The tools; empty when none are offered.
    pub tools: &'a [Value],
    /// End with the opening of an assistant's turn.
    pub add_generation_prompt: bool,
    /// Further template variables (`chat_template_kwargs`).
    pub variables: &'a serde_json::Map<String, Value>,
}

/// How a model's template writes tool calls; the HTTP face constrains and parses accordingly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolDialect {
    /// `<tool_call>\n{"name": …, "arguments": {…}}\n</tool_call>`, repeated (Hermes, Qwen).
    Hermes,
    /// `{"name": …, "parameters": {…}}` (Llama 3.x).
    Llama3,
    /// `[TOOL_CALLS][{"name": …, "arguments": {…}}, …]` (Mistral).
    Mistral,
    /// The template does not know tools: they are described in a system message and called in the Hermes form.
    Described,
}
