//! The endpoint, asked as clients ask it, with a scripted model behind it.

mod chat;
mod completions;
mod disconnect;
mod document;
mod endpoint;
mod errors;
mod grammar;
mod keys;
mod mutation;
mod operations;
mod streaming;
mod tools;
