//! The merge loop that byte-pair encoding and SentencePiece share: join the best neighbours until none can be joined.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No symbol, or no token.
pub(super) const NONE: u32 = u32::MAX;

/// A stretch of the text that is one token so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Symbol {
    /// Byte offset in the text.
    pub(super) start: u32,
    /// Bytes; 0 once it was joined to its left neighbour.
    pub(super) len: u32,
    /// Its token, or [`NONE`].
    pub(super) id: u32,
    prev: u32,
    next: u32,
}

/// Which neighbours may be joined, and in what order.
pub(super) trait Joins {
    /// How good a join is; the greatest goes first, ties from the left.
    type Rank: Ord + Copy;

    /// The rank of joining two neighbours, and the token they become.
    fn join(&self, text: &[u8], left: &Symbol, right: &Symbol) -> Option<(Self::Rank, u32)>;
}

/// Two neighbours that may be joined; ordered by what goes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Offer<R> {
    rank: R,
    left: Reverse<u32>,
    right: u32,
    /// Bytes of both at the time of the offer.
    len: u32,
    /// What they become.
    id: u32,
}

/// Symbols of one text, in a chain.
#[derive(Debug, Default)]
pub(super) struct Chain {
    symbols: Vec<Symbol>,
}

impl Chain {
    /// Adds a symbol at the end.
    pub(super) fn push(&mut self, start: usize, len: usize, id: u32) {
        let at = self.symbols.len() as u32;
        if let Some(last) = self.symbols.last_mut() {
            last.next = at;
        }
        let prev = at.checked_sub(1).unwrap_or(NONE);
        self.symbols.push(Symbol { start: start as u32, len: len as u32, id, prev, next: NONE });
    }

    /// Joins what can be joined, in O(n log n), and returns what is left in order.
    pub(super) fn merged<J: Joins>(mut self, joins: &J, text: &[u8]) -> impl Iterator<Item = Symbol> {
        let mut queue = BinaryHeap::with_capacity(self.symbols.len());
        for right in 1..self.symbols.len() as u32 {
            self.offer(joins, text, right - 1, right, &mut queue);
        }
        while let Some(Offer { left: Reverse(left), right, len, id, .. }) = queue.pop() {
            let (l, r) = (self.symbols[left as usize], self.symbols[right as usize]);
            // An offer is stale once either side was joined to something else.
            if l.len == 0 || r.len == 0 || l.len + r.len != len {
                continue;
            }
            self.symbols[right as usize].len = 0;
            self.symbols[left as usize] = Symbol { len, id, next: r.next, ..l };
            if r.next != NONE {
                self.symbols[r.next as usize].prev = left;
                self.offer(joins, text, left, r.next, &mut queue);
            }
            if l.prev != NONE {
                self.offer(joins, text, l.prev, left, &mut queue);
            }
        }
        self.symbols.into_iter().filter(|symbol| symbol.len > 0)
    }

    fn offer<J: Joins>(&self, joins: &J, text: &[u8], left: u32, right: u32, queue: &mut BinaryHeap<Offer<J::Rank>>) {
        let (l, r) = (&self.symbols[left as usize], &self.symbols[right as usize]);
        if let Some((rank, id)) = joins.join(text, l, r) {
            queue.push(Offer { rank, left: Reverse(left), right, len: l.len + r.len, id });
        }
    }
}
