//! Whether the owner really has what brings a wallet back.

use rand::{CryptoRng, Rng as _};
use subtle::ConstantTimeEq as _;

use crate::root::Root;
use crate::secret::Secret;

/// What to write down and keep where nobody finds it. Whoever has it has the money.
#[derive(Debug)]
#[non_exhaustive]
pub enum Backup {
    /// The recovery phrase: words with a space between two.
    Words(Secret<String>),
    /// The private key: `0x` and 64 hexadecimal digits.
    Key(Secret<String>),
}

/// What the owner is asked for, to show that a backup exists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupQuestion {
    /// The words at these places, counted from 1, in this order.
    Words(Vec<usize>),
    /// The last eight digits of the key.
    KeyEnd,
}

/// The answers are wrong. Which of them, nobody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are not the words or digits that were asked for")]
pub struct WrongAnswer;

const DIGITS: usize = 8;

impl Root {
    pub(crate) fn backup(&self) -> Backup {
        match self {
            Root::Phrase(phrase) => Backup::Words(phrase.words()),
            Root::Key(key) => {
                let mut text = Secret::new(String::with_capacity(66));
                text.expose_mut().push_str("0x");
                push_hex(text.expose_mut(), key.to_bytes().as_ref());
                Backup::Key(text)
            }
        }
    }

    /// A quarter of the words, at least three, at places chosen by chance.
    pub(crate) fn question(&self, random: &mut dyn CryptoRng) -> BackupQuestion {
        let Root::Phrase(phrase) = self else { return BackupQuestion::KeyEnd };
        let mut places: Vec<usize> = (1..=phrase.length()).collect();
        let asked = (places.len() / 4).max(3);
        for index in 0..asked {
            let other = random.random_range(index..places.len());
            places.swap(index, other);
        }
        places.truncate(asked);
        BackupQuestion::Words(places)
    }

    pub(crate) fn check(&self, question: &BackupQuestion, answers: &[Secret<String>]) -> Result<(), WrongAnswer> {
        let right = match (self, question) {
            (Root::Phrase(phrase), BackupQuestion::Words(places)) => {
                let enough = places.len() >= 3 && places.len() == answers.len() && all_different(places);
                enough
                    && places.iter().zip(answers).all(|(place, answer)| {
                        let word = place.checked_sub(1).and_then(|place| phrase.word(place));
                        word.is_some_and(|word| word.eq_ignore_ascii_case(answer.expose().trim()))
                    })
            }
            (Root::Key(key), BackupQuestion::KeyEnd) => {
                let mut digits = Secret::new(String::with_capacity(64));
                push_hex(digits.expose_mut(), key.to_bytes().as_ref());
                let end = digits.expose().len() - DIGITS;
                matches!(answers, [answer] if {
                    let given = Secret::new(answer.expose().trim().to_ascii_lowercase());
                    bool::from(given.expose().as_bytes().ct_eq(&digits.expose().as_bytes()[end..]))
                })
            }
            _ => false,
        };
        if right { Ok(()) } else { Err(WrongAnswer) }
    }
}

fn all_different(places: &[usize]) -> bool {
    places.iter().enumerate().all(|(index, place)| !places[..index].contains(place))
}

/// Into room that is there already, so that no copies stay behind.
fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 0x0f] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::key::PrivateKey;
    use crate::phrase::Phrase;

    fn answers(words: &[&str]) -> Vec<Secret<String>> {
        words.iter().map(|word| Secret::new((*word).to_owned())).collect()
    }

    #[test]
    fn who_has_the_words_answers_and_who_has_not_does_not() {
        let text = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        let words: Vec<&str> = text.split(' ').collect();
        let root = Root::Phrase(Phrase::parse(text).unwrap());
        let mut random = StdRng::seed_from_u64(3);
        for _ in 0..20 {
            let question = root.question(&mut random);
            let BackupQuestion::Words(places) = &question else { panic!("{question:?}") };
            assert!(places.len() == 3 && all_different(places) && places.iter().all(|place| (1..=12).contains(place)));
            let right: Vec<&str> = places.iter().map(|place| words[place - 1]).collect();
            root.check(&question, &answers(&right)).unwrap();
            root.check(&question, &answers(&[&format!(" {} ", right[0].to_uppercase()), right[1], right[2]])).unwrap();
            assert!(root.check(&question, &answers(&[right[0], right[1], "zoo"])).is_err());
            assert!(root.check(&question, &answers(&right[..2])).is_err());
        }
        // Questions that were not asked here: none, the same word three times, a place that is none.
        for (places, given) in [(vec![], vec![]), (vec![1, 1, 1], vec!["legal"; 3]), (vec![0, 1, 13], vec!["legal"; 3])]
        {
            assert!(root.check(&BackupQuestion::Words(places), &answers(&given)).is_err());
        }
        assert!(root.check(&BackupQuestion::KeyEnd, &answers(&["00000000"])).is_err());
    }

    #[test]
    fn a_keys_last_digits_are_asked_for() {
        let root = Root::Key(PrivateKey::from_hex(&"0123456789abcdef".repeat(4)).unwrap());
        let question = root.question(&mut StdRng::seed_from_u64(3));
        root.check(&question, &answers(&["89ABCDEF"])).unwrap();
        for wrong in ["89abcdee", "9abcdef", "", "089abcdef"] {
            assert!(root.check(&question, &answers(&[wrong])).is_err(), "{wrong}");
        }
        let Backup::Key(key) = root.backup() else { panic!("no words") };
        assert_eq!(key.expose(), &format!("0x{}", "0123456789abcdef".repeat(4)));
        assert!(!format!("{:?}", root.backup()).contains("0123"));
    }
}
