use alloy_primitives::address;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;

/// Some of BIP-39's own vectors: entropy, words.
const VECTORS: &[(&str, &str)] = &[
    (
        "00000000000000000000000000000000",
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
    ),
    ("7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f", "legal winner thank year wave sausage worth useful legal winner thank yellow"),
    (
        "80808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
    ),
    ("ffffffffffffffffffffffffffffffff", "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"),
    (
        "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
        "hamster diagram private dutch cause delay private meat slide toddler razor book \
         happy fancy gospel tennis maple dilemma loan word shrug inflict delay length",
    ),
];

#[test]
fn bip_39s_vectors_go_both_ways() {
    for (entropy, words) in VECTORS {
        let phrase = Phrase::from_entropy(&hex::decode(entropy).unwrap()).unwrap();
        assert_eq!(phrase.words().expose(), words);
        assert_eq!(hex::encode(Phrase::parse(words).unwrap().entropy()), *entropy);
    }
}

#[test]
fn accounts_are_where_every_other_wallet_finds_them() {
    // The phrase that development chains of all makes start with.
    let phrase = Phrase::parse("test test test test test test test test test test test junk").unwrap();
    let accounts = [
        address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    ];
    for (index, account) in (0..).zip(accounts) {
        assert_eq!(phrase.key(index).unwrap().address(), account);
    }
    let all_zero = Phrase::from_entropy(&[0; 16]).unwrap();
    assert_eq!(all_zero.key(0).unwrap().address(), address!("9858EfFD232B4033E47d90003D41EC34EcaEda94"));
    assert_eq!(phrase.key(1 << 31).unwrap_err(), PhraseError::Account(1 << 31));
}

#[test]
fn typed_words_may_be_untidy_and_wrong_ones_are_named_by_their_place() {
    let tidy = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let untidy = format!("  {}\n", tidy.to_uppercase().replace(' ', " \t "));
    assert_eq!(Phrase::parse(&untidy).unwrap().words().expose(), tidy);

    let refused = |words: &str| Phrase::parse(words).unwrap_err();
    assert_eq!(refused(""), PhraseError::Length(0));
    assert_eq!(refused("legal winner thank"), PhraseError::Length(3));
    assert_eq!(refused(&tidy.replace("year", "jahr")), PhraseError::UnknownWord(4));
    assert_eq!(refused(&tidy.replace("yellow", "year")), PhraseError::Checksum);
    for words in ["secretword ".repeat(12), "secretword".into()] {
        assert!(!refused(&words).to_string().contains("secretword"), "an error repeats what was typed");
    }
}

#[test]
fn new_phrases_have_the_length_asked_for_and_are_different() {
    let mut random = StdRng::seed_from_u64(1);
    let twelve = Phrase::generate(PhraseLength::Twelve, &mut random).unwrap();
    let next = Phrase::generate(PhraseLength::Twelve, &mut random).unwrap();
    assert_eq!(twelve.length(), 12);
    assert_ne!(twelve.words().expose(), next.words().expose());
    assert_eq!(Phrase::generate(PhraseLength::TwentyFour, &mut random).unwrap().length(), 24);
    assert_eq!(format!("{twelve:?}"), "Phrase(12 words)");
}

proptest! {
    #[test]
    fn a_phrase_comes_back_from_its_words(entropy in prop::collection::vec(any::<u8>(), 4..=8), quarter in 4usize..=8) {
        let bytes: Vec<u8> = entropy.iter().copied().cycle().take(quarter * 4).collect();
        let phrase = Phrase::from_entropy(&bytes).unwrap();
        prop_assert_eq!(phrase.length(), quarter * 3);
        let again = Phrase::parse(phrase.words().expose()).unwrap();
        prop_assert_eq!(again.entropy().to_vec(), bytes);
        let words = phrase.words();
        prop_assert_eq!(again.word(quarter), words.expose().split(' ').nth(quarter));
    }
}

proptest! {
    #![proptest_config(crate::fuzz_cases::fuzz_cases())]

    #[test]
    fn garbage_is_no_phrase_and_no_panic(words in "\\PC{0,200}") {
        let _ = Phrase::parse(&words);
    }
}
