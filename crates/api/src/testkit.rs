//! A scripted model behind the inference port: for tests of this crate and its users, and for trying clients and
//! conformance suites without weights.

mod inference;
mod script;
mod text;
mod toll;

pub use inference::FakeInference;
pub use script::{Script, example};
pub use text::{FakeText, TOOL_CALLS_TOKEN};
pub use toll::{FakeToll, Metered};
