//! Which times have been paid for: a set of intervals, of which the settled past is only a sum.

/// Disjoint intervals in ascending order, and the length of all before them.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    settled: u64,
    /// Nothing before it is added any more.
    floor: u64,
    open: Vec<(u64, u64)>,
}

/// No more intervals are kept apart; beyond that the oldest is settled early, for the good of the payer.
const MOST: usize = 256;

impl Coverage {
    pub(super) fn from(settled: u64) -> Self {
        Self { settled, ..Self::default() }
    }

    pub(super) fn total(&self) -> u64 {
        self.settled + self.open.iter().map(|(from, to)| to - from).sum::<u64>()
    }

    /// Adds `from..to`; what was in it already is not counted twice.
    pub(super) fn add(&mut self, from: u64, to: u64) {
        let mut added = (from.max(self.floor), to);
        if added.0 >= added.1 {
            return;
        }
        self.open.retain(|&(from, to)| {
            let apart = to < added.0 || from > added.1;
            if !apart {
                added = (added.0.min(from), added.1.max(to));
            }
            apart
        });
        let place = self.open.partition_point(|interval| interval.0 < added.0);
        self.open.insert(place, added);
        if self.open.len() > MOST {
            let (_, end) = self.open[0];
            self.close(end);
        }
    }

    /// Settles everything before `floor`.
    pub(super) fn close(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        let floor = self.floor;
        let mut settled = 0;
        self.open.retain_mut(|(from, to)| {
            let past = (*to).min(floor).max(*from);
            settled += past - *from;
            *from = past;
            from < to
        });
        self.settled += settled;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_every_moment_once(
            steps in prop::collection::vec((0_u64..300, 0_u64..60, prop::option::of(0_u64..300)), 0..60)
        ) {
            let mut coverage = Coverage::default();
            let (mut moments, mut floor) = ([false; 400], 0);
            for (from, length, close) in steps {
                coverage.add(from, from + length);
                let (from, to) = (from.max(floor), (from + length).max(floor));
                moments[from as usize..to as usize].fill(true);
                if let Some(close) = close {
                    coverage.close(close);
                    floor = floor.max(close);
                }
                prop_assert_eq!(coverage.total(), moments.iter().filter(|paid| **paid).count() as u64);
                prop_assert!(coverage.open.windows(2).all(|pair| pair[0].1 < pair[1].0));
            }
        }
    }
}
