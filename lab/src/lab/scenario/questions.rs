//! What is asked.

use crate::lab::network::Question;

const TEXTS: [&str; 6] = [
    "Explain in a few sentences why the sky is blue.",
    "Write a short story about a lighthouse keeper.",
    "List ten animals and say one thing about each.",
    "How is bread made, step by step?",
    "Describe a walk through a forest in autumn.",
    "What should one know before buying a bicycle?",
];

/// Every text twice, once greedy and once with a temperature and a seed of its own.
pub(super) fn all(tokens: u32) -> Vec<Question> {
    let both = |(number, text): (u64, &&str)| {
        [None, Some((0.8, 1000 + number))].map(|chance| Question { text: (*text).to_owned(), chance, tokens })
    };
    (0..).zip(&TEXTS).flat_map(both).collect()
}

/// One greedy question.
pub(super) fn one(tokens: u32) -> Question {
    Question { text: TEXTS[0].to_owned(), chance: None, tokens }
}
