//! Which tokens a generation has seen, as far as its penalties need to know.

use std::collections::HashMap;

use computepool_core::Sampling;

/// The tokens of prompt and output. Empty, and kept empty, where no penalty is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    active: bool,
    /// How often each stands in the output; 0 for those of the prompt alone.
    seen: HashMap<u32, u32>,
}

impl History {
    /// The history before the first token.
    pub fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let repetition = sampling.repetition_penalty != 1.0;
        let active = repetition || sampling.presence_penalty != 0.0 || sampling.frequency_penalty != 0.0;
        let prompt = if repetition { prompt } else { &[] };
        Self { active, seen: prompt.iter().map(|id| (*id, 0)).collect() }
    }

    /// Adds a token of the output.
    pub fn push(&mut self, id: u32) {
        if self.active {
            let times = self.seen.entry(id).or_default();
            *times = times.saturating_add(1);
        }
    }

    /// Applies the penalties as [`Sampling`] defines them. Each token's logit is changed by itself, so the order in which
    /// they are visited does not matter.
    pub fn penalise(&self, logits: &mut [f32], sampling: &Sampling) {
        for (id, times) in &self.seen {
            let Some(logit) = logits.get_mut(*id as usize) else { continue };
            if sampling.repetition_penalty != 1.0 {
                if *logit > 0.0 {
                    *logit /= sampling.repetition_penalty;
                } else {
                    *logit *= sampling.repetition_penalty;
                }
            }
            if *times > 0 {
                *logit -= sampling.frequency_penalty * *times as f32;
                *logit -= sampling.presence_penalty;
            }
            *logit = logit.clamp(f32::MIN, f32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_match_a_calculation_by_hand() {
        let sampling =
            Sampling { repetition_penalty: 2.0, presence_penalty: 0.5, frequency_penalty: 0.25, ..Sampling::default() };
        let mut history = History::new(&sampling, &[0, 1, 0]);
        history.push(1);
        history.push(3);
        history.push(3);
        let mut logits = [4.0, -1.0, 8.0, 2.0, -3.0];
        history.penalise(&mut logits, &sampling);
        // Token 0 stands in the prompt only: halved once. 1: doubled away, then once in the output. 3: halved, twice in it.
        assert_eq!(logits, [2.0, -2.0 - 0.25 - 0.5, 8.0, 1.0 - 0.5 - 0.5, -3.0]);
    }

    #[test]
    fn presence_and_frequency_look_at_the_output_alone() {
        let sampling = Sampling { presence_penalty: 1.0, frequency_penalty: 1.0, ..Sampling::default() };
        let history = History::new(&sampling, &[0, 1]);
        let mut logits = [1.0, 2.0];
        history.penalise(&mut logits, &sampling);
        assert_eq!(logits, [1.0, 2.0]);
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_penalised() {
        let mut history = History::new(&Sampling::default(), &[1, 2, 3]);
        history.push(4);
        assert!(history.seen.is_empty());
    }
}
