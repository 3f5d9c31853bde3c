//! Which tokens a grammar allows next.

/// One bit per token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenMask {
    words: Vec<u32>,
}

impl TokenMask {
    /// Takes the bits as words, lowest id in the lowest bit of the first. Tokens past the last word are not allowed.
    pub fn new(words: Vec<u32>) -> Self {
        Self { words }
    }

    /// The mask that allows just these tokens.
    pub fn of(ids: &[u32]) -> Self {
        let last = ids.iter().max().map_or(0, |id| *id as usize / 32 + 1);
        let mut words = vec![0; last];
        for id in ids {
            words[*id as usize / 32] |= 1 << (id % 32);
        }
        Self { words }
    }

    /// Whether a token is allowed.
    pub fn allows(&self, id: u32) -> bool {
        self.words.get(id as usize / 32).is_some_and(|word| word >> (id % 32) & 1 == 1)
    }

    /// How many tokens are allowed.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Sets the logits of all other tokens to minus infinity.
    pub fn apply(&self, logits: &mut [f32]) {
        let known = self.words.iter().copied().chain(std::iter::repeat(0));
        for (chunk, word) in logits.chunks_mut(32).zip(known) {
            if word == u32::MAX {
                continue;
            }
            for (bit, logit) in chunk.iter_mut().enumerate() {
                if word >> bit & 1 == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_tokens_survive_whatever_the_length() {
        let mask = TokenMask::of(&[0, 33, 70]);
        for length in [1, 33, 34, 71, 200] {
            let mut logits = vec![1.0f32; length];
            mask.apply(&mut logits);
            for (id, logit) in logits.iter().enumerate() {
                assert_eq!(logit.is_finite(), [0, 33, 70].contains(&id), "{id} of {length}");
                assert_eq!(mask.allows(id as u32), logit.is_finite());
            }
        }
        assert_eq!(mask.count(), 3);
        assert!(!mask.allows(100_000));
    }
}
