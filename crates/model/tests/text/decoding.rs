//! The streaming detokenizer: the same text however it is cut, and never half a character.

use std::sync::{Arc, LazyLock};

use computepool_core::ports::TextDecoder;
use computepool_model::text::Decoder;
use computepool_model::tokenizer::{TokenKind, Tokenizer};
use proptest::prelude::*;

use crate::corpus::corpus;
use crate::small::{byte_level, sentence_piece};

/// SentencePiece with and without a space in front, and byte-level. No tokens of their own: behind those SentencePiece
/// puts another space, which does not come back as it was.
fn tokenizers() -> [Arc<Tokenizer>; 3] {
    static TOKENIZERS: LazyLock<[Arc<Tokenizer>; 3]> = LazyLock::new(|| {
        [sentence_piece(true), sentence_piece(false), byte_level("gpt-2")].map(|mut vocabulary| {
            for kind in vocabulary.kinds.iter_mut().filter(|kind| **kind == TokenKind::UserDefined) {
                *kind = TokenKind::Normal;
            }
            Arc::new(Tokenizer::from_vocabulary(vocabulary).unwrap())
        })
    });
    TOKENIZERS.clone()
}

/// What all tokens stand for together, by the rules and without streaming.
fn at_once(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.pieces().bytes(*id).to_vec()).collect();
    let strips = tokenizer.pieces().strips_first_space();
    let bytes = if strips { bytes.strip_prefix(b" ").unwrap_or(&bytes) } else { &bytes };
    String::from_utf8_lossy(bytes).into_owned()
}

fn streamed(tokenizer: &Arc<Tokenizer>, ids: &[u32]) -> String {
    let mut decoder = Decoder::new(tokenizer.clone());
    let text: String = ids.iter().map(|id| decoder.push(*id)).collect();
    text + &decoder.finish()
}

#[test]
fn characters_wait_until_they_are_whole() {
    let [spaced, _, _] = tokenizers();
    let byte = |byte: u8| (0..).find(|id| spaced.name(*id) == Some(&format!("<0x{byte:02X}>"))).unwrap();
    let mut decoder = Decoder::new(spaced.clone());
    let crab: Vec<String> = "🦀".bytes().map(|b| decoder.push(byte(b))).collect();
    assert_eq!(crab, ["", "", "", "🦀"]);
    // A character that breaks off becomes U+FFFD as soon as that is certain, and what follows is kept.
    assert_eq!(decoder.push(byte(0xf0)) + &decoder.push(byte(0x9f)), "");
    assert_eq!(decoder.push(byte(b'a')), "\u{fffd}a");
    assert_eq!(decoder.push(byte(0xff)), "\u{fffd}", "never begins a character");
    assert_eq!(decoder.push(byte(0xe6)), "");
    assert_eq!(decoder.push(1), "", "control tokens show nothing");
    assert_eq!(decoder.push(u32::MAX), "", "nor do ids that are none");
    assert_eq!(decoder.finish(), "\u{fffd}");
    assert_eq!(decoder.finish(), "");
}

#[test]
fn only_the_encoders_own_space_is_taken_away() {
    let [spaced, bare, level] = tokenizers();
    for (tokenizer, special) in [(&spaced, true), (&bare, false), (&level, false)] {
        for text in ["hello", " hello", "  two", " ", "\n x"] {
            let ids = tokenizer.encode(text, special).unwrap();
            assert_eq!(streamed(tokenizer, &ids), text);
        }
    }
    let ids = spaced.encode("<s>hello", true).unwrap();
    assert_eq!(streamed(&spaced, &ids), "hello", "the space after a control token at the start");
}

#[test]
fn texts_come_back_whole() {
    let [spaced, bare, level] = tokenizers();
    for text in corpus() {
        // U+2581 is how SentencePiece spells a space: it cannot come back as itself.
        let plain = text.replace('\u{2581}', " ");
        assert_eq!(streamed(&spaced, &spaced.encode(&text, false).unwrap()), plain);
        let unspaced = streamed(&bare, &bare.encode(&text, false).unwrap());
        assert_eq!(unspaced, plain);
        assert_eq!(streamed(&level, &level.encode(&text, false).unwrap()), text);
    }
}

proptest! {
    #[test]
    fn streaming_equals_decoding_at_once(which in 0..3_usize, ids in prop::collection::vec(0..1500_u32, 0..80)) {
        let tokenizer = &tokenizers()[which];
        prop_assert_eq!(streamed(tokenizer, &ids), at_once(tokenizer, &ids));
    }

    #[test]
    fn broken_bytes_stream_as_they_decode(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let [_, bare, _] = tokenizers();
        let first = (0..).find(|id| bare.name(*id) == Some("<0x00>")).unwrap();
        let ids: Vec<u32> = bytes.iter().map(|byte| first + u32::from(*byte)).collect();
        prop_assert_eq!(streamed(&bare, &ids), String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_text_comes_back(text in "\\PC{0,60}", which in 0..3_usize) {
        let tokenizer = &tokenizers()[which];
        let plain = if which < 2 { text.replace('\u{2581}', " ") } else { text.clone() };
        prop_assert_eq!(streamed(tokenizer, &tokenizer.encode(&text, false).unwrap()), plain);
    }
}
