//! Small vocabularies of every kind and pre-tokenizer, against llama.cpp's ids for them.

use computepool_model::ModelError;
use computepool_model::tokenizer::{TokenKind, Tokenizer, Vocabulary, VocabularyKind};
use serde_json::Value;

use crate::corpus::{corpus, digest};

/// `tests/fixtures/small-vocabularies.json` is the output of `conformance/llama/small_vocabularies.py`.
pub(crate) fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/small-vocabularies.json")).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn vocabulary(kind: VocabularyKind, value: &Value) -> Vocabulary {
    let numbers = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    Vocabulary {
        kind,
        pre: None,
        model_name: String::new(),
        tokens: texts(&value["tokens"]),
        scores: numbers("scores").iter().map(|score| score.as_f64().unwrap() as f32).collect(),
        kinds: numbers("kinds").iter().map(|kind| TokenKind::from_gguf(kind.as_i64().unwrap())).collect(),
        merges: texts(&value["merges"]),
        bos: None,
        eos: None,
        unknown: None,
        other_ends: Vec::new(),
        add_bos: None,
        add_space_prefix: None,
    }
}

pub(crate) fn sentence_piece(space_prefix: bool) -> Vocabulary {
    let small = vocabulary(VocabularyKind::SentencePiece, &fixture()["sentence_piece"]);
    Vocabulary { add_space_prefix: Some(space_prefix), ..small }
}

pub(crate) fn byte_level(pre: &str) -> Vocabulary {
    let small = vocabulary(VocabularyKind::ByteLevel, &fixture()["byte_level"]);
    Vocabulary { pre: Some(pre.to_owned()), ..small }
}

/// Compares with the first 16 digits of each hash.
fn check(name: &str, tokenizer: &Tokenizer, expected: &Value) {
    let corpus = corpus();
    for (mode, special) in [("special", true), ("literal", false)] {
        let hashes = texts(&expected[mode]);
        assert_eq!(hashes.len(), corpus.len(), "the fixture belongs to another corpus");
        for (text, hash) in corpus.iter().zip(hashes) {
            let ids = tokenizer.encode(text, special).unwrap();
            let names: Vec<_> = ids.iter().take(60).filter_map(|id| tokenizer.name(*id)).collect();
            assert_eq!(digest(&ids)[..16], hash, "{name}, {mode}: {text:?} became {names:?}");
        }
    }
}

#[test]
fn sentence_piece_ids_are_those_of_llama_cpp() {
    let fixture = fixture();
    for (name, space_prefix) in [("with_space", true), ("without_space", false)] {
        let tokenizer = Tokenizer::from_vocabulary(sentence_piece(space_prefix)).unwrap();
        check(name, &tokenizer, &fixture[name]);
    }
}

#[test]
fn every_pre_tokenizer_cuts_as_in_llama_cpp() {
    let fixture = fixture();
    let pres = fixture["pre"].as_object().unwrap();
    assert!(pres.len() > 20);
    for (pre, expected) in pres {
        let tokenizer = Tokenizer::from_vocabulary(byte_level(pre)).unwrap();
        check(pre, &tokenizer, expected);
    }
}

#[test]
fn sequences_are_opened_once() {
    let tokenizer = Tokenizer::from_vocabulary(sentence_piece(true)).unwrap();
    let (bos, eos) = (tokenizer.bos().unwrap(), tokenizer.eos().unwrap());
    assert_eq!((tokenizer.name(bos), tokenizer.name(eos)), (Some("<s>"), Some("</s>")));
    let plain = tokenizer.encode_sequence("hello").unwrap();
    assert_eq!(plain[0], bos);
    assert_eq!(tokenizer.encode_sequence("<s>hello").unwrap(), plain, "a template wrote the token itself");
    assert_eq!(tokenizer.encode_sequence("").unwrap(), [bos]);
    assert!(!tokenizer.encode("<s>hello", false).unwrap().contains(&bos), "literal text makes no control token");
    let silent = Vocabulary { add_bos: Some(false), ..sentence_piece(true) };
    assert_eq!(Tokenizer::from_vocabulary(silent).unwrap().encode_sequence("hello").unwrap(), plain[1..]);
    // Llama 3 files may leave the flag out; their tokenizer adds it all the same.
    let llama3 = Vocabulary { bos: Some(7), ..byte_level("llama-bpe") };
    assert_eq!(Tokenizer::from_vocabulary(llama3).unwrap().opening(), [7]);
    let qwen = Vocabulary { bos: Some(7), ..byte_level("qwen2") };
    assert!(Tokenizer::from_vocabulary(qwen).unwrap().opening().is_empty());
}

#[test]
fn vocabularies_that_contradict_themselves_are_refused() {
    type Spoil = fn(&mut Vocabulary);
    let spoils: [(&str, Spoil); 6] = [
        ("tokens", |v| v.tokens.clear()),
        ("kinds", |v| v.kinds.truncate(3)),
        ("no merges", |v| v.merges.clear()),
        ("merge of one part", |v| v.merges[5] = "abc".into()),
        ("merge of nothing", |v| v.merges[5] = "a ".into()),
        ("merge of strange characters", |v| v.merges[5] = "a \u{4e00}".into()),
    ];
    for (what, spoil) in spoils {
        let mut vocabulary = byte_level("qwen2");
        spoil(&mut vocabulary);
        assert!(Tokenizer::from_vocabulary(vocabulary).is_err(), "{what}");
    }
    let mut scored = sentence_piece(true);
    scored.scores[300] = f32::NAN;
    assert!(matches!(Tokenizer::from_vocabulary(scored), Err(ModelError::BadSetting { .. })));
    // Ids beyond the vocabulary mean that there is no such token.
    let far = Vocabulary { bos: Some(u32::MAX), eos: Some(1 << 30), add_bos: Some(true), ..byte_level("qwen2") };
    let far = Tokenizer::from_vocabulary(far).unwrap();
    assert_eq!((far.bos(), far.eos(), far.opening()), (None, None, [].as_slice()));
}

#[test]
fn merges_whose_result_is_no_token_fall_back_to_bytes() {
    let bytes: Vec<String> = "abc".chars().map(String::from).collect();
    let tokenizer = Tokenizer::from_vocabulary(Vocabulary {
        tokens: [bytes, vec!["abc".into()]].concat(),
        kinds: Vec::new(),
        merges: vec!["a b".into(), "ab c".into()],
        ..byte_level("gpt-2")
    })
    .unwrap();
    assert_eq!(tokenizer.encode("abc", false).unwrap(), [3], "by way of a part that is no token");
    assert_eq!(tokenizer.encode("ab", false).unwrap(), [0, 1], "the part alone");
    assert_eq!(tokenizer.encode("aXb", false).unwrap(), [0, 1], "bytes without a token are left out");
}

#[test]
fn a_long_text_without_a_cut_is_encoded_in_good_time() {
    // Quadratic work over this many symbols would take minutes.
    let long = "ab".repeat(200_000);
    for vocabulary in [sentence_piece(true), byte_level("qwen2")] {
        let tokenizer = Tokenizer::from_vocabulary(vocabulary).unwrap();
        let ids = tokenizer.encode(&long, true).unwrap();
        let bytes: usize = ids.iter().map(|id| tokenizer.pieces().bytes(*id).len()).sum();
        assert!(bytes >= long.len());
    }
    for pre in ["smollm", "llama-bpe", "qwen2", "tekken", "deepseek-llm", "default"] {
        let tokenizer = Tokenizer::from_vocabulary(byte_level(pre)).unwrap();
        for unit in [" ", "\n ", "'", "\u{301}", " a", "1"] {
            let long = unit.repeat(60_000 / unit.len());
            let ids = tokenizer.encode(&long, true).unwrap();
            let bytes: usize = ids.iter().map(|id| tokenizer.pieces().bytes(*id).len()).sum();
            assert_eq!(bytes, long.len(), "{pre}, {unit:?}");
        }
        assert!(tokenizer.encode(&"a".repeat(9 << 20), true).is_err());
    }
}
