//! The sample model's tokens, against what llama.cpp makes of the same texts.

use std::sync::Arc;

use computepool_core::ports::{ChatPrompt, SystemClock, Text, ToolDialect};
use computepool_model::catalogue::sample_model_path;
use computepool_model::text::ModelText;
use computepool_model::{ModelFile, gguf};
use serde_json::{Map, Value, json};

use crate::corpus::{corpus, digest, pieces_digest};

fn sample() -> ModelText {
    ModelText::open(&ModelFile::open(&sample_model_path().unwrap()).unwrap()).unwrap()
}

/// `tests/fixtures/sample-tokens.json` is the output of `conformance/llama/tokenizer.py --compact` for the sample model.
fn golden() -> Value {
    serde_json::from_str(include_str!("../fixtures/sample-tokens.json")).unwrap()
}

#[test]
fn ids_are_those_of_llama_cpp() {
    let (text, golden) = (sample(), golden());
    let cases = golden["cases"].as_array().unwrap();
    let corpus = corpus();
    assert_eq!(cases.len(), corpus.len(), "the fixture belongs to another corpus");
    for (part, case) in corpus.iter().zip(cases) {
        for (name, special) in [("special", true), ("literal", false)] {
            let ids = text.tokenizer().encode(part, special).unwrap();
            match &case[name] {
                Value::String(hash) => assert_eq!(&digest(&ids), hash, "{name} {part:?}"),
                list => assert_eq!(&json!(ids), list, "{name} {part:?}"),
            }
        }
    }
    let ids = |text_: &str| text.encode(text_, true).unwrap();
    assert_eq!(ids("Hello world"), [19556, 905]);
    assert_eq!(ids("<|im_start|>user\n"), [1, 4093, 198]);
}

#[test]
fn roles_of_tokens_are_those_of_llama_cpp() {
    let (text, golden) = (sample(), golden());
    assert_eq!(json!(text.end_tokens()), golden["ends"]);
    assert_eq!(json!(text.bos()), golden["bos"]);
    assert_eq!(!text.tokenizer().opening().is_empty(), golden["add_bos"].as_bool().unwrap());
    assert_eq!(json!(pieces_digest(text.tokenizer().pieces())), golden["pieces"]);
    let controls = (0..49_152).filter(|id| text.is_control(*id)).count();
    assert_eq!(json!(controls), golden["controls"]);
    let bytes = text.vocabulary_bytes();
    assert_eq!(bytes.len(), 49_152);
    assert_eq!(bytes[1], b"\xff<|im_start|>");
    assert_eq!(bytes[905], b" world");
    assert!(text.token_bytes(1).is_empty() && text.token_bytes(u32::MAX).is_empty());
    assert!(text.is_end(2) && !text.is_end(1) && !text.is_end(905));
}

#[test]
fn every_text_comes_back() {
    let text = sample();
    for part in corpus() {
        let ids = text.tokenizer().encode(&part, false).unwrap();
        assert_eq!(text.decode(&ids), part);
    }
}

#[test]
fn chats_are_rendered_by_the_files_own_template() {
    let text = sample();
    let variables = Map::new();
    let render = |messages: &[Value], tools: &[Value]| {
        text.render(&ChatPrompt { messages, tools, add_generation_prompt: true, variables: &variables }).unwrap()
    };
    let user = json!({"role": "user", "content": "Hi\n there"});
    assert_eq!(
        render(std::slice::from_ref(&user), &[]),
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
         <|im_start|>user\nHi\n there<|im_end|>\n<|im_start|>assistant\n"
    );
    let system = json!({"role": "system", "content": "Be brief."});
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}});
    let shown = render(&[system, user], &[tool]);
    assert_eq!(text.tool_dialect(), ToolDialect::Described);
    assert!(shown.starts_with("<|im_start|>system\nBe brief.\n\n"), "{shown}");
    assert!(shown.contains("{\"name\": \"weather\", \"parameters\": {\"type\": \"object\"}}\n</tools>"), "{shown}");
    let ids = text.encode(&shown, true).unwrap();
    assert_eq!(ids.iter().filter(|id| **id == 1).count(), 3, "each turn is opened by a control token");
}

#[test]
fn a_pre_tokenizer_that_is_not_known_is_refused_by_name() {
    let path = sample_model_path().unwrap();
    // Enough of the file for its header, with the name of the pre-tokenizer changed in place.
    let mut bytes = std::fs::read(path).unwrap();
    let key = b"tokenizer.ggml.pre";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 12;
    assert_eq!(&bytes[at..at + 6], b"smollm");
    bytes[at..at + 6].copy_from_slice(b"smolLM");
    let metadata = gguf::parse(&bytes).unwrap();
    let error = ModelText::from_gguf(&metadata, Arc::new(SystemClock)).err().unwrap();
    let fault = computepool_core::Fault::from(error);
    assert_eq!(fault.code, computepool_core::FaultCode::UnsupportedModel);
    assert!(fault.message.contains("smolLM"), "{fault}");
}
