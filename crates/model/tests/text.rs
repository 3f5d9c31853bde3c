//! Text in, ids out, and back: tokenizers, chat templates and the streaming detokenizer.
#![expect(clippy::unwrap_used, reason = "what tests are made of is unwrapped outside of test functions too")]

#[path = "text/corpus.rs"]
mod corpus;
#[path = "text/decoding.rs"]
mod decoding;
#[path = "text/folder.rs"]
mod folder;
#[path = "text/oracle.rs"]
mod oracle;
#[path = "text/sample.rs"]
mod sample;
#[path = "text/small.rs"]
mod small;
#[path = "text/templates.rs"]
mod templates;
