//! A model's text, both ways: core's [`Text`] port over the tokenizer and the chat template of a model file.

mod decoder;

use std::path::Path;
use std::sync::Arc;

use computepool_core::Fault;
use computepool_core::ports::{ChatPrompt, Clock, SystemClock, Text, TextDecoder, ToolDialect};

pub use decoder::Decoder;

use crate::error::{ModelError, shown};
use crate::gguf::Metadata;
use crate::template::{ChatTemplate, TemplateError, TemplateSource};
use crate::tokenizer::{HuggingFaceTokenizer, Tokenizer, Vocabulary};
use crate::weights::ModelFile;

/// What the trie of a grammar engine expects in front of the name of a token that is no text (toktrie's
/// `SPECIAL_TOKEN_MARKER`). The byte occurs in no UTF-8.
pub const CONTROL_MARKER: u8 = 0xff;

/// Tokenizer and chat template of one model. Cheap to share behind an [`Arc`]; every method can be called from many
/// threads.
pub struct ModelText {
    tokenizer: Arc<Tokenizer>,
    template: Result<ChatTemplate, TemplateError>,
}

impl ModelText {
    /// Reads both from a model file. Dates in prompts are those of the machine's clock.
    pub fn open(file: &ModelFile) -> Result<Self, ModelError> {
        let clock = Arc::new(SystemClock);
        match (file.gguf(), file.folder()) {
            (Some(metadata), _) => Self::from_gguf(metadata, clock),
            (None, Some(folder)) => Self::from_folder(folder, clock),
            (None, None) => Err(ModelError::NotAModel),
        }
    }

    /// Reads both from GGUF metadata.
    pub fn from_gguf(metadata: &Metadata, clock: Arc<dyn Clock>) -> Result<Self, ModelError> {
        let tokenizer = Tokenizer::from_vocabulary(Vocabulary::from_gguf(metadata)?)?;
        let chat = metadata.get_str("tokenizer.chat_template")?;
        let tools = metadata.get_str("tokenizer.chat_template.tool_use")?;
        Ok(Self::new(tokenizer, chat, tools, clock))
    }

    /// Reads both from a Hugging Face folder.
    pub fn from_folder(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, ModelError> {
        let read = HuggingFaceTokenizer::open(folder)?;
        let (chat, tools) = read.templates();
        let (chat, tools) = (chat.map(str::to_owned), tools.map(str::to_owned));
        let tokenizer = Tokenizer::from_hugging_face(read);
        Ok(Self::new(tokenizer, chat.as_deref(), tools.as_deref(), clock))
    }

    fn new(tokenizer: Tokenizer, chat: Option<&str>, tools: Option<&str>, clock: Arc<dyn Clock>) -> Self {
        let spelled = |id: Option<u32>| id.and_then(|id| tokenizer.name(id)).unwrap_or_default();
        let pieces = tokenizer.pieces();
        let chatml = |name| (0..pieces.len() as u32).any(|id| pieces.name(id) == Some(name) && pieces.is_control(id));
        let no_template = chat.is_none() && tools.is_none();
        let source = TemplateSource {
            chat,
            tools,
            bos_token: spelled(tokenizer.bos()),
            eos_token: spelled(tokenizer.eos()),
            knows_chatml: no_template && chatml("<|im_start|>") && chatml("<|im_end|>"),
        };
        let template = ChatTemplate::new(&source, clock);
        if let Err(error) = &template {
            // The model is still good for plain prompts.
            tracing::warn!(error = shown(&error.to_string()), "chats with this model will be refused");
        }
        Self { tokenizer: Arc::new(tokenizer), template }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// What each token stands for, by id, for the trie of a grammar engine: its bytes; for tokens that show nothing
    /// [`CONTROL_MARKER`] and the token's name; nothing for ids that are no token.
    pub fn vocabulary_bytes(&self) -> Vec<Vec<u8>> {
        let pieces = self.tokenizer.pieces();
        let ids = 0..pieces.len() as u32;
        ids.map(|id| match pieces.bytes(id) {
            [] => match pieces.name(id) {
                None | Some("") => Vec::new(),
                Some(name) => [&[CONTROL_MARKER], name.as_bytes()].concat(),
            },
            bytes => bytes.to_vec(),
        })
        .collect()
    }

    /// Whether a token frames sequences or turns and shows nothing.
    pub fn is_control(&self, id: u32) -> bool {
        self.tokenizer.pieces().is_control(id)
    }

    /// Every token that ends a text, ascending: end of sequence, of turn, of message.
    pub fn end_tokens(&self) -> &[u32] {
        self.tokenizer.ends()
    }

    /// The token that begins a sequence, where the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.tokenizer.bos()
    }

    /// All ids as text at once; what a [`Decoder`] gives piece by piece.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = Decoder::new(self.tokenizer.clone());
        let mut text: String = ids.iter().map(|id| decoder.push(*id)).collect();
        text.push_str(&decoder.finish());
        text
    }
}

impl Text for ModelText {
    fn render(&self, chat: &ChatPrompt<'_>) -> Result<String, Fault> {
        let template = self.template.as_ref().map_err(|error| Fault::from(error.clone()))?;
        Ok(template.render(chat)?)
    }

    fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>, Fault> {
        Ok(if special { self.tokenizer.encode_sequence(text)? } else { self.tokenizer.encode(text, false)? })
    }

    fn token_bytes(&self, id: u32) -> Vec<u8> {
        self.tokenizer.pieces().bytes(id).to_vec()
    }

    fn is_end(&self, id: u32) -> bool {
        self.tokenizer.ends().binary_search(&id).is_ok()
    }

    fn decoder(&self) -> Box<dyn TextDecoder> {
        Box::new(Decoder::new(self.tokenizer.clone()))
    }

    fn tool_dialect(&self) -> ToolDialect {
        self.template.as_ref().map_or(ToolDialect::Described, ChatTemplate::tool_dialect)
    }
}
