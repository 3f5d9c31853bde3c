//! The whole matrix of splits: 20 prompts of 128 tokens, 1 to 30 shards, prompts whole and in chunks.

use std::time::Instant;

use crate::outcome::{Failure, Figures, Outcome};
use crate::process::cargo;
use crate::suite::libtest;

const TEST: &str = "tokens_and_hidden_states_are_the_same_whatever_the_split_the_mates_and_the_chunks";

/// Takes a good quarter of an hour on two free cores.
pub(crate) fn run() -> Outcome {
    eprintln!("20 prompts of 128 tokens on 1, 2, 3, 5 and 30 shards: a quarter of an hour or more");
    let began = Instant::now();
    let mut command = cargo();
    command.args(["test", "--quiet", "--workspace", "--test", "splits", "--", TEST]).env("COMPUTEPOOL_MATRIX", "full");
    let (tally, well) = libtest(&mut command)?;
    let figures = Figures::default().with("matrix_seconds", began.elapsed().as_secs());
    if well && tally.passed == 1 { Ok(figures) } else { Err(Failure::new("a split shows").with(figures)) }
}
