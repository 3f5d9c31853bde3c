//! A member's part of what sessions paid, by the units it had while they paid.

use alloy::primitives::U256;

/// The units that a member of a pool had, of how many.
#[derive(Clone, Debug)]
pub(super) struct Units {
    /// From when on (Unix seconds) it had how many; in order.
    changes: Vec<(u64, u128)>,
    /// What it had before the first of them.
    before: u128,
    /// Everybody's together. They never change.
    all: u128,
}

impl Units {
    /// A member with so many units.
    pub(super) fn new(units: u128, all: u128) -> Self {
        Self { changes: Vec::new(), before: units, all: all.max(1) }
    }

    /// Takes in a change. They come in order.
    pub(super) fn change(&mut self, at_s: u64, old: u128, new: u128) {
        if self.changes.is_empty() {
            self.before = old;
        }
        self.changes.push((at_s, new));
    }

    /// The part of an amount that is paid at once.
    pub(super) fn of(&self, amount: U256, at_s: u64) -> U256 {
        let held = self.changes.iter().rev().find(|(from, _)| *from <= at_s).map_or(self.before, |(_, units)| *units);
        amount.saturating_mul(U256::from(held)) / U256::from(self.all)
    }

    /// The part of what streams from `began_s` until `amount` has streamed, at `rate` a second.
    pub(super) fn of_stream(&self, amount: U256, rate: U256, began_s: u64) -> U256 {
        let (mut part, mut rest, mut from) = (U256::ZERO, amount, began_s);
        for (until, _) in self.changes.iter().filter(|(at, _)| *at > began_s) {
            let piece = rate.saturating_mul(U256::from(until - from)).min(rest);
            part += self.of(piece, from);
            rest -= piece;
            from = *until;
        }
        part + self.of(rest, from)
    }
}

/// What a session has paid, as its events come in.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    rate: U256,
    began_s: u64,
    /// What had streamed when the stream that runs began.
    streamed: U256,
    /// The member's part of all that is booked.
    pub(super) part: U256,
}

impl Flow {
    pub(super) fn started(&mut self, rate: U256, at_s: u64) {
        (self.rate, self.began_s) = (rate, at_s);
    }

    /// The session says how much has streamed, all in all.
    pub(super) fn streamed(&mut self, total: U256, units: &Units) {
        self.part += units.of_stream(total.saturating_sub(self.streamed), self.rate, self.began_s);
        self.streamed = total.max(self.streamed);
    }

    pub(super) fn topped_up(&mut self, amount: U256, at_s: u64, units: &Units) {
        self.part += units.of(amount, at_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wei(amount: u64) -> U256 {
        U256::from(amount)
    }

    #[test]
    fn a_member_has_its_part_of_what_streams_and_what_is_topped_up() {
        let units = Units::new(3, 10);
        let mut flow = Flow::default();
        flow.started(wei(10), 100);
        flow.streamed(wei(50), &units);
        flow.topped_up(wei(20), 110, &units);
        flow.started(wei(10), 200);
        flow.streamed(wei(80), &units);
        assert_eq!(flow.part, wei(15 + 6 + 9));
        // The same figure again is nothing new.
        flow.streamed(wei(80), &units);
        assert_eq!(flow.part, wei(30));
    }

    #[test]
    fn units_that_change_hands_in_the_middle_are_reckoned_by_the_second() {
        let mut units = Units::new(0, 10);
        units.change(103, 3, 0);
        units.change(107, 0, 5);
        // 100 to 103 with 3 units, 103 to 107 with none, 107 to 110 with 5.
        assert_eq!(units.of_stream(wei(100), wei(10), 100), wei(9 + 15));
        // A stream that ended early, or began late, knows nothing of what came before or after.
        assert_eq!(units.of_stream(wei(20), wei(10), 100), wei(6));
        assert_eq!(units.of_stream(wei(20), wei(10), 107), wei(10));
        assert_eq!((units.of(wei(10), 102), units.of(wei(10), 103), units.of(wei(10), 200)), (wei(3), wei(0), wei(5)));
    }

    #[test]
    fn all_members_together_have_all_of_it() {
        let (mut one, mut other) = (Units::new(10, 10), Units::new(0, 10));
        for (at, units) in [(105, 4), (108, 7), (108, 2)] {
            one.change(at, 10, units);
            other.change(at, 0, 10 - units);
        }
        let (amount, rate) = (wei(300), wei(20));
        assert_eq!(one.of_stream(amount, rate, 100) + other.of_stream(amount, rate, 100), amount);
    }
}
