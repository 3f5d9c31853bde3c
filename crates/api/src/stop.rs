//! Stop strings, matched in text that arrives in pieces.

/// Lets text through until a stop string is complete. What may still become one is held back.
///
/// The stop string that is complete first wins, so that the result does not depend on how the text was cut.
pub(crate) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

/// What may be shown after a piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) text: String,
    /// A stop string was complete; this stood behind it.
    pub(crate) behind_stop: Option<String>,
}

impl StopMatcher {
    /// `stops` hold no empty string.
    pub(crate) fn new(stops: Vec<String>) -> Self {
        Self { stops, held: String::new() }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &str) -> Passed {
        if self.stops.is_empty() {
            return Passed { text: piece.to_owned(), behind_stop: None };
        }
        self.held.push_str(piece);
        let complete =
            self.stops.iter().filter_map(|stop| self.held.find(stop).map(|start| (start + stop.len(), start)));
        if let Some((end, start)) = complete.min() {
            let behind_stop = Some(self.held.split_off(end));
            self.held.truncate(start);
            return Passed { text: std::mem::take(&mut self.held), behind_stop };
        }
        let keep = self.held.len() - self.partial();
        let rest = self.held.split_off(keep);
        Passed { text: std::mem::replace(&mut self.held, rest), behind_stop: None }
    }

    /// What was held back, now that the text has ended another way.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of the held text that a stop string starts with.
    fn partial(&self) -> usize {
        let longest = self.stops.iter().map(|stop| stop.len() - 1).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        let starts = self.held.char_indices().map(|(at, _)| at).filter(|at| *at >= from);
        let may_become = |end: &str| self.stops.iter().any(|stop| stop.starts_with(end));
        starts.map(|at| &self.held[at..]).find(|end| may_become(end)).map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut matcher = StopMatcher::new(stops.iter().map(|s| (*s).to_owned()).collect());
        let mut seen = String::new();
        for piece in pieces {
            let passed = matcher.push(piece);
            seen.push_str(&passed.text);
            if passed.behind_stop.is_some() {
                return (seen, true);
            }
        }
        (seen + &matcher.finish(), false)
    }

    #[test]
    fn a_stop_string_cut_into_pieces_is_never_shown() {
        assert_eq!(run(&["END"], &["one E", "N", "D two"]), ("one ".into(), true));
        assert_eq!(run(&["END"], &["one E", "N", "C"]), ("one ENC".into(), false));
        assert_eq!(run(&["\n\n"], &["a\n", "b\n", "\nc"]), ("a\nb".into(), true));
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]), ("a".into(), true));
    }

    #[test]
    fn what_is_held_back_comes_out_once_it_cannot_become_a_stop() {
        let mut matcher = StopMatcher::new(vec!["é!".into()]);
        assert_eq!(matcher.push("xé"), Passed { text: "x".into(), behind_stop: None });
        assert_eq!(matcher.push("é"), Passed { text: "é".into(), behind_stop: None });
        assert_eq!(matcher.push("?"), Passed { text: "é?".into(), behind_stop: None });
    }

    #[test]
    fn the_result_does_not_depend_on_the_cuts() {
        let text = "xabcdabcabc";
        let stops = ["abcd", "bc", "ca"];
        let whole = run(&stops, &[text]);
        for cut in 0..text.len() {
            for second in cut..text.len() {
                assert_eq!(run(&stops, &[&text[..cut], &text[cut..second], &text[second..]]), whole);
            }
        }
        assert_eq!(whole, ("xa".into(), true));
    }
}
