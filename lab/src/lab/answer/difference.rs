//! How an answer differs from the one it should have been.

use super::{Answer, Token};

/// What is wrong with an answer, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Tokens that should have come and did not.
    pub(crate) lost: usize,
    /// Tokens that came besides those that should have.
    pub(crate) duplicated: usize,
    /// Tokens in the place of others; another reason to end, or another text from the same tokens, counts as one more.
    pub(crate) changed: usize,
    /// Right tokens with another log-probability: the sums behind them were not the same to the last bit.
    pub(crate) drifted: usize,
}

impl Difference {
    /// Compares an answer with the one it should have been.
    pub(crate) fn between(wanted: &Answer, got: &Answer) -> Self {
        let mut difference = Self::of_tokens(&wanted.tokens, &got.tokens);
        let same_tokens = difference.lost + difference.duplicated + difference.changed == 0;
        difference.changed += usize::from(wanted.finish != got.finish);
        difference.changed += usize::from(same_tokens && wanted.text != got.text);
        difference
    }

    /// Aligns two sequences by a longest common subsequence. What stands between two matches was changed as far as
    /// both sides have something there; the rest is lost, or too much.
    fn of_tokens(wanted: &[Token], got: &[Token]) -> Self {
        let same = |w: usize, g: usize| wanted[w].bytes == got[g].bytes;
        // common[w][g] is the length of the longest common subsequence of wanted[w..] and got[g..].
        let mut common = vec![vec![0_usize; got.len() + 1]; wanted.len() + 1];
        for w in (0..wanted.len()).rev() {
            for g in (0..got.len()).rev() {
                common[w][g] =
                    if same(w, g) { common[w + 1][g + 1] + 1 } else { common[w + 1][g].max(common[w][g + 1]) };
            }
        }
        let mut difference = Self::default();
        let (mut w, mut g, mut missing, mut extra) = (0, 0, 0, 0);
        while w < wanted.len() || g < got.len() {
            if w < wanted.len() && g < got.len() && same(w, g) && common[w][g] == common[w + 1][g + 1] + 1 {
                difference.settle(&mut missing, &mut extra);
                difference.drifted += usize::from(wanted[w].logprob.to_bits() != got[g].logprob.to_bits());
                (w, g) = (w + 1, g + 1);
            } else if g == got.len() || (w < wanted.len() && common[w + 1][g] >= common[w][g + 1]) {
                (w, missing) = (w + 1, missing + 1);
            } else {
                (g, extra) = (g + 1, extra + 1);
            }
        }
        difference.settle(&mut missing, &mut extra);
        difference
    }

    fn settle(&mut self, missing: &mut usize, extra: &mut usize) {
        let changed = (*missing).min(*extra);
        self.changed += changed;
        self.lost += *missing - changed;
        self.duplicated += *extra - changed;
        (*missing, *extra) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn answer(text: &str) -> Answer {
        let mut answer = Answer::new(Instant::now());
        let token = |c: char| Token { bytes: c.to_string().into_bytes(), logprob: -1.0, at: Duration::ZERO };
        answer.tokens = text.chars().map(token).collect();
        answer.text = text.to_owned();
        answer.finish = Some("stop".to_owned());
        answer
    }

    fn found(wanted: &str, got: &str) -> (usize, usize, usize) {
        let difference = Difference::between(&answer(wanted), &answer(got));
        assert_eq!(difference.drifted, 0);
        (difference.lost, difference.duplicated, difference.changed)
    }

    #[test]
    fn the_same_is_the_same() {
        assert_eq!(found("the same", "the same"), (0, 0, 0));
        assert_eq!(found("", ""), (0, 0, 0));
    }

    #[test]
    fn what_is_missing_was_lost_wherever_it_was() {
        assert_eq!(found("abcdef", "abc"), (3, 0, 0));
        assert_eq!(found("abcdef", "adef"), (2, 0, 0));
        assert_eq!(found("abcdef", ""), (6, 0, 0));
    }

    #[test]
    fn what_comes_twice_was_duplicated() {
        assert_eq!(found("abcdef", "abcbcdef"), (0, 2, 0));
        assert_eq!(found("aaa", "aaaa"), (0, 1, 0));
    }

    #[test]
    fn another_token_was_changed() {
        assert_eq!(found("abcdef", "abXdef"), (0, 0, 1));
        assert_eq!(found("abcdef", "abXYdef"), (0, 1, 1));
        assert_eq!(found("abc", "XYZ"), (0, 0, 3));
    }

    #[test]
    fn another_end_or_text_or_number_is_seen() {
        let (wanted, mut got) = (answer("abc"), answer("abc"));
        got.finish = None;
        assert_eq!(Difference::between(&wanted, &got).changed, 1);
        let mut got = answer("abc");
        got.text.push('d');
        assert_eq!(Difference::between(&wanted, &got).changed, 1);
        let mut got = answer("abc");
        got.tokens[1].logprob = -1.000_000_1;
        assert_eq!(Difference::between(&wanted, &got), Difference { drifted: 1, ..Difference::default() });
    }
}
