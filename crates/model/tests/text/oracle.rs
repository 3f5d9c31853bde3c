//! Whole vocabularies against llama.cpp, for `make conformance`.

use std::path::Path;

use computepool_model::gguf;
use computepool_model::tokenizer::{Tokenizer, Vocabulary};
use serde_json::{Value, json};

use crate::corpus::{corpus, digest, pieces_digest};

/// `COMPUTEPOOL_TOKENIZER_ORACLE` names a folder of `NAME.gguf` and `NAME.json` pairs, the latter made from the former
/// by `conformance/llama/tokenizer.py`; `NAME--PRE.json` was made with another pre-tokenizer forced upon `NAME.gguf`.
#[test]
#[ignore = "needs vocabularies and llama.cpp's ids for them: see conformance/llama"]
fn ids_are_those_of_llama_cpp_for_whole_vocabularies() {
    let folder = std::env::var_os("COMPUTEPOOL_TOKENIZER_ORACLE").expect("COMPUTEPOOL_TOKENIZER_ORACLE");
    let mut checked = 0;
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            checked += 1;
            check(&path, &mut failures);
        }
    }
    assert!(checked > 0, "the folder holds no .json");
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

fn check(path: &Path, failures: &mut Vec<String>) {
    let expected: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let name = path.file_stem().unwrap().to_str().unwrap();
    let model = path.with_file_name(format!("{}.gguf", name.split("--").next().unwrap()));
    let metadata = gguf::parse(&std::fs::read(&model).unwrap()).unwrap();
    let mut vocabulary = Vocabulary::from_gguf(&metadata).unwrap();
    if let Some(pre) = expected["pre"].as_str() {
        vocabulary.pre = Some(pre.to_owned());
    }
    let tokenizer = match Tokenizer::from_vocabulary(vocabulary) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return failures.push(format!("{name}: {error}")),
    };
    let mut compare = |what: &str, got: Value, wanted: &Value| {
        if got != *wanted {
            let (got, wanted) = (got.to_string(), wanted.to_string());
            let cut = |text: &str| text.chars().take(300).collect::<String>();
            failures.push(format!("{name}: {what}\n  got    {}\n  wanted {}", cut(&got), cut(&wanted)));
        }
    };
    // llama.cpp makes an end token of any `</s>`, even where a vocabulary has it as a piece of HTML; and it does without
    // cases and marks beyond ASCII in the patterns of these two. Here the model's own tokenizer is followed.
    let wanted_ends = expected["ends"].as_array().unwrap();
    let html_end = wanted_ends
        .iter()
        .filter_map(Value::as_u64)
        .map(|id| id as u32)
        .find(|id| tokenizer.name(*id) == Some("</s>") && !tokenizer.ends().contains(id));
    let ascii_only = matches!(expected["pre"].as_str(), Some("tekken" | "gpt-4o"));
    if html_end.is_none() {
        compare("ends", json!(tokenizer.ends()), &expected["ends"]);
        compare("pieces", json!(pieces_digest(tokenizer.pieces())), &expected["pieces"]);
    }
    compare("add_bos", json!(!tokenizer.opening().is_empty()), &expected["add_bos"]);
    for (text, case) in corpus().iter().zip(expected["cases"].as_array().unwrap()) {
        if (html_end.is_some() && text.contains("</s>")) || (ascii_only && !text.is_ascii()) {
            continue;
        }
        for (mode, special) in [("special", true), ("literal", false)] {
            let ids = tokenizer.encode(text, special).unwrap();
            let got = if case[mode].is_string() { json!(digest(&ids)) } else { json!(ids) };
            compare(&format!("{mode} {:?}", text.chars().take(120).collect::<String>()), got, &case[mode]);
        }
    }
}
