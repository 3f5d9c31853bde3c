//! OpenAI's shapes on the wire. Unknown fields are ignored, as OpenAI ignores them; wrong types are refused.

mod chat;
mod completion;
mod request;
mod shared;

pub(crate) use chat::*;
pub(crate) use completion::*;
pub(crate) use request::*;
pub(crate) use shared::*;
