//! How long a reader had to wait.

use std::time::Duration;

use super::Answer;

/// The value below which a share of the values lie (nearest rank); zero of none.
pub(crate) fn percentile(values: &[Duration], share: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The one in the middle; zero of none.
pub(crate) fn median(values: &[Duration]) -> Duration {
    percentile(values, 0.5)
}

impl Answer {
    /// Times from one token to the next.
    fn gaps(&self) -> Vec<Duration> {
        self.tokens.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at)).collect()
    }

    /// What lies between two tokens as a rule.
    pub(crate) fn token_time(&self) -> Duration {
        median(&self.gaps())
    }

    /// How much longer than usual the reader waited at worst. The wait for the first token counts as far as it was
    /// longer than `first`, what it is when nothing happens.
    pub(crate) fn pause(&self, first: Duration) -> Duration {
        let longest = self.gaps().into_iter().max().unwrap_or_default();
        let late = self.first().unwrap_or(self.took).saturating_sub(first);
        longest.saturating_sub(self.token_time()).max(late)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::lab::answer::Token;

    const MS: Duration = Duration::from_millis(1);

    fn answer(times: &[u32]) -> Answer {
        let mut answer = Answer::new(Instant::now());
        answer.tokens = times.iter().map(|at| Token { bytes: Vec::new(), logprob: 0.0, at: *at * MS }).collect();
        answer.took = 10_000 * MS;
        answer
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<Duration> = (1..=20).map(|n| n * MS).collect();
        assert_eq!([0.5, 0.95, 1.0].map(|share| percentile(&values, share)), [10 * MS, 19 * MS, 20 * MS]);
        assert_eq!(percentile(&[7 * MS], 0.5), 7 * MS);
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn a_pause_is_what_is_unusual() {
        let steady = answer(&[100, 150, 200, 250, 300]);
        assert_eq!((steady.token_time(), steady.pause(100 * MS)), (50 * MS, Duration::ZERO));
        assert_eq!(answer(&[100, 150, 200, 1250, 1300]).pause(100 * MS), 1000 * MS);
    }

    #[test]
    fn a_late_first_token_is_a_pause_and_no_token_at_all_a_long_one() {
        assert_eq!(answer(&[900, 950, 1000]).pause(100 * MS), 800 * MS);
        assert_eq!(answer(&[]).pause(100 * MS), 9900 * MS);
    }
}
