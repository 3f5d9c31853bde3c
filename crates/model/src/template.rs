//! Chat templates: from messages to the text that a model was trained to continue.
//!
//! Templates are Jinja as Hugging Face's `apply_chat_template` runs it. They come out of a stranger's file, so what one
//! render may do is bounded: fuel for work and memory (minijinja charges about one unit per instruction or 64 bytes),
//! and the size of its source.

mod environment;
mod history;
mod json;
mod moment;
mod traits;

use std::sync::Arc;

use computepool_core::ports::{ChatPrompt, Clock, ToolDialect};
use computepool_core::{Fault, FaultCode};
use minijinja::Environment;
use serde_json::{Map, Value};

use self::traits::{Contents, Traits};
use crate::error::shown;

/// No longer template is compiled; known ones have at most 40 KB.
pub const MAX_TEMPLATE_BYTES: usize = 1 << 20;

/// What one render may spend: some millions of instructions, or 256 MB of data.
const FUEL: u64 = 4_000_000;

/// The template of a model without one that has ChatML's tokens.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + \
    '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Template variables that a request cannot set.
const RESERVED: [&str; 7] =
    ["messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "strftime_now"];

/// Where a model's template comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct TemplateSource<'a> {
    /// The model's template.
    pub chat: Option<&'a str>,
    /// Its template for chats with tools, where that is another.
    pub tools: Option<&'a str>,
    /// How the model spells the token that begins a sequence; empty where it has none.
    pub bos_token: &'a str,
    /// How it spells the token that ends one.
    pub eos_token: &'a str,
    /// Whether the model has the tokens of ChatML, to fall back on.
    pub knows_chatml: bool,
}

/// A compiled chat template, and what was found out about it.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// The name of the template for chats with tools.
    with_tools: &'static str,
    bos_token: String,
    eos_token: String,
    traits: Traits,
}

impl ChatTemplate {
    /// Compiles a model's template and tries out what it can show. The clock is for templates that write the date.
    pub fn new(source: &TemplateSource<'_>, clock: Arc<dyn Clock>) -> Result<Self, TemplateError> {
        let chat = match source.chat.or(source.tools) {
            Some(chat) => chat,
            None if source.knows_chatml => CHATML,
            None => return Err(TemplateError::Missing),
        };
        let mut environment = environment::new(clock);
        environment.set_fuel(Some(FUEL));
        let mut with_tools = "chat";
        add(&mut environment, "chat", chat)?;
        if let Some(tools) = source.tools {
            with_tools = "tools";
            add(&mut environment, "tools", tools)?;
        }
        let mut template = Self {
            environment,
            with_tools,
            bos_token: source.bos_token.to_owned(),
            eos_token: source.eos_token.to_owned(),
            traits: Traits::default(),
        };
        template.traits = Traits::of(&template, source.tools.unwrap_or(chat));
        Ok(template)
    }

    /// How the template writes tool calls.
    pub fn tool_dialect(&self) -> ToolDialect {
        self.traits.dialect
    }

    /// Renders a chat. What the template cannot show itself is put in words that it can: tools and their history, and
    /// contents in several parts.
    pub fn render(&self, chat: &ChatPrompt<'_>) -> Result<String, TemplateError> {
        if let Some(name) = RESERVED.iter().find(|name| chat.variables.contains_key(**name)) {
            return Err(TemplateError::Reserved { name });
        }
        let mut messages = history::checked(chat.messages)?;
        let described = self.traits.dialect == ToolDialect::Described;
        if described {
            history::put_in_words(&mut messages);
            if !chat.tools.is_empty() {
                history::describe_tools(&mut messages, chat.tools, self.traits.system);
            }
        } else if self.traits.dialect == ToolDialect::Mistral {
            history::shorten_call_ids(&mut messages);
        }
        match self.traits.contents {
            Contents::Texts => history::flatten(&mut messages),
            Contents::Parts => history::wrap(&mut messages),
            Contents::Both => {}
        }
        let tools = if described { &[] } else { chat.tools };
        self.run(messages, tools, chat.add_generation_prompt, chat.variables)
    }

    /// Runs the template as it is.
    fn run(
        &self,
        messages: Vec<Value>,
        tools: &[Value],
        add_generation_prompt: bool,
        variables: &Map<String, Value>,
    ) -> Result<String, TemplateError> {
        let mut context = variables.clone();
        context.insert("messages".into(), Value::Array(messages));
        // Hugging Face passes None, not an empty list, where there are no tools or documents.
        let listed = if tools.is_empty() { Value::Null } else { Value::Array(tools.to_vec()) };
        context.insert("tools".into(), listed);
        context.insert("documents".into(), Value::Null);
        context.insert("add_generation_prompt".into(), add_generation_prompt.into());
        context.insert("bos_token".into(), self.bos_token.clone().into());
        context.insert("eos_token".into(), self.eos_token.clone().into());
        let name = if tools.is_empty() { "chat" } else { self.with_tools };
        let template = self.environment.get_template(name).map_err(TemplateError::of)?;
        template.render(minijinja::Value::from(minijinja::value::Serde(&context))).map_err(TemplateError::of)
    }
}

fn add(environment: &mut Environment<'static>, name: &'static str, source: &str) -> Result<(), TemplateError> {
    if source.len() > MAX_TEMPLATE_BYTES {
        return Err(TemplateError::TooLarge { got: source.len(), limit: MAX_TEMPLATE_BYTES });
    }
    let source = environment::without_generation_tags(source);
    environment.add_template_owned(name, source).map_err(|error| TemplateError::Syntax {
        reason: shown(error.detail().unwrap_or("it is not Jinja")),
        line: error.line().unwrap_or(0),
    })
}

/// Why a chat cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The model has none.
    #[error("this model has no chat template")]
    Missing,
    /// Its source is too long.
    #[error("the chat template has {got} bytes, at most {limit} are compiled")]
    TooLarge {
        /// Bytes it has.
        got: usize,
        /// Bytes it may have.
        limit: usize,
    },
    /// It is not Jinja.
    #[error("the chat template does not compile: {reason} (line {line})")]
    Syntax {
        /// In words.
        reason: String,
        /// Counted from 1.
        line: usize,
    },
    /// The template refuses the chat, in its own words.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// The template fails on the chat.
    #[error("the chat template fails on these messages: {reason} (line {line})")]
    Failed {
        /// In words.
        reason: String,
        /// Counted from 1.
        line: usize,
    },
    /// The template does too much.
    #[error("the chat template does too much work on these messages")]
    Exhausted,
    /// A message that is no chat message.
    #[error("messages[{index}]: {reason}")]
    BadMessage {
        /// Which, from 0.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A template variable of the request has a name that is taken.
    #[error("`{name}` cannot be set as a template variable")]
    Reserved {
        /// The name.
        name: &'static str,
    },
}

impl TemplateError {
    fn of(error: minijinja::Error) -> Self {
        if error.kind() == minijinja::ErrorKind::OutOfFuel {
            return Self::Exhausted;
        }
        if let Some(message) = environment::raised(&error) {
            return Self::Refused { message };
        }
        let reason = match error.detail() {
            Some(detail) => format!("{}: {}", error.kind(), shown(detail)),
            None => error.kind().to_string(),
        };
        Self::Failed { reason, line: error.line().unwrap_or(0) }
    }
}

impl From<TemplateError> for Fault {
    fn from(error: TemplateError) -> Self {
        let unusable = matches!(error, TemplateError::TooLarge { .. } | TemplateError::Syntax { .. });
        let code = if unusable { FaultCode::UnsupportedModel } else { FaultCode::InvalidRequest };
        let fault = Fault::new(code, error.to_string());
        match error {
            TemplateError::Missing | TemplateError::TooLarge { .. } | TemplateError::Syntax { .. } => {
                fault.hint("use the completions endpoint, which takes a prompt as it is")
            }
            TemplateError::Refused { .. } => fault.hint("these are the words of the model's own chat template"),
            _ => fault,
        }
    }
}
