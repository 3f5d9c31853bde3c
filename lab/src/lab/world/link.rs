//! A home's link to the internet: how long it takes, how much it carries, and whether it is there at all.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a link is like. The same delay and loss hold in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    /// Time a packet takes one way.
    pub(crate) delay: Duration,
    /// Bits a second from the home; unlimited when absent.
    pub(crate) up: Option<u64>,
    /// Bits a second to the home; unlimited when absent.
    pub(crate) down: Option<u64>,
    /// The share of packets that get lost, from 0 to 1.
    pub(crate) loss: f64,
}

impl Link {
    /// A link without a limit, whose packets take `delay` one way.
    pub(crate) fn of(delay: Duration) -> Self {
        Self { delay, up: None, down: None, loss: 0.0 }
    }

    /// A link that makes two homes with such links `rtt` apart: a round trip crosses it twice, and the other's twice.
    pub(crate) fn between_homes(rtt: Duration) -> Self {
        Self::of(rtt / 4)
    }

    /// The same with rates in megabits a second.
    pub(crate) fn rates(self, up: u64, down: u64) -> Self {
        Self { up: Some(up * 1_000_000), down: Some(down * 1_000_000), ..self }
    }
}

/// The settings of a running link, which may change at any time.
#[derive(Debug)]
pub(crate) struct Dial(Mutex<(Link, bool)>);

impl Dial {
    pub(super) fn new(link: Link) -> Self {
        Self(Mutex::new((link, false)))
    }

    /// The settings, and whether the link is cut.
    pub(super) fn read(&self) -> (Link, bool) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut (Link, bool))) {
        change(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// Cuts the link: what is under way is lost and nothing gets through, without a word to either end.
    pub(crate) fn cut(&self) {
        self.change(|(_, cut)| *cut = true);
    }

    /// Restores the link as it was.
    pub(crate) fn restore(&self) {
        self.change(|(_, cut)| *cut = false);
    }
}

/// How long packets may queue for a slow link before more are dropped, as in a home router's buffer.
const BUFFER: Duration = Duration::from_millis(200);

/// The most packets that one direction holds.
const MOST: usize = 8192;

/// Packets on their way in one direction, in order.
#[derive(Debug)]
pub(super) struct Flight<P> {
    held: VecDeque<(Instant, P)>,
    /// When the link has sent all it was given.
    free: Instant,
}

impl<P> Flight<P> {
    pub(super) fn new(now: Instant) -> Self {
        Self { held: VecDeque::new(), free: now }
    }

    /// Sends a packet of `bytes`, at `rate` bits a second; it arrives `delay` after its last bit was sent, and never
    /// before those ahead of it. `false` if there is no room for it.
    pub(super) fn send(&mut self, now: Instant, packet: P, bytes: usize, delay: Duration, rate: Option<u64>) -> bool {
        let start = self.free.max(now);
        if start - now > BUFFER || self.held.len() >= MOST {
            return false;
        }
        self.free = match rate {
            Some(rate) => start + Duration::from_secs_f64(bytes as f64 * 8.0 / rate.max(1) as f64),
            None => now,
        };
        let last = self.held.back().map_or(now, |(due, _)| *due);
        self.held.push_back(((self.free + delay).max(last), packet));
        true
    }

    /// When the next packet arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.held.front().map(|(due, _)| *due)
    }

    /// A packet that has arrived by `now`.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<P> {
        (self.next()? <= now).then(|| self.held.pop_front()).flatten().map(|(_, packet)| packet)
    }

    /// Loses everything under way.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_packet_takes_its_delay_and_no_more() {
        let start = Instant::now();
        let mut flight = Flight::new(start);
        assert!(flight.send(start, 'a', 1500, 6 * MS, None));
        assert_eq!(flight.arrived(start + 5 * MS), None);
        assert_eq!(flight.next(), Some(start + 6 * MS));
        assert_eq!(flight.arrived(start + 6 * MS), Some('a'));
        assert_eq!(flight.next(), None);
    }

    #[test]
    fn a_rate_spaces_packets_and_a_full_buffer_drops_them() {
        let start = Instant::now();
        let mut flight = Flight::new(start);
        let sent = (0..100).filter(|n| flight.send(start, *n, 12_500, MS, Some(10_000_000))).count();
        // 12,500 bytes take 10 ms at 10 Mbit/s: those that would start later than the buffer allows are dropped.
        assert_eq!(sent, 21);
        assert_eq!(flight.arrived(start + 10 * MS), None);
        assert_eq!(flight.arrived(start + 11 * MS), Some(0));
        assert_eq!(flight.arrived(start + 20 * MS), None);
        assert_eq!(flight.arrived(start + 21 * MS), Some(1));
    }

    #[test]
    fn a_shorter_delay_does_not_let_packets_overtake() {
        let start = Instant::now();
        let mut flight = Flight::new(start);
        assert!(flight.send(start, 'a', 100, 50 * MS, None));
        assert!(flight.send(start + MS, 'b', 100, 5 * MS, None));
        assert_eq!(flight.arrived(start + 49 * MS), None);
        assert_eq!(flight.arrived(start + 50 * MS), Some('a'));
        assert_eq!(flight.arrived(start + 50 * MS), Some('b'));
    }

    #[test]
    fn homes_are_as_far_apart_as_asked() {
        assert_eq!(Link::between_homes(25 * MS).delay, Duration::from_micros(6250));
        assert_eq!(Link::of(MS).rates(20, 100).up, Some(20_000_000));
    }
}
