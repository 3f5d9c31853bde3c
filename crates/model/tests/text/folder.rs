//! Tokenizers and templates of Hugging Face folders.

use std::path::Path;
use std::sync::Arc;

use computepool_core::ports::{ChatPrompt, SystemClock, Text};
use computepool_core::{Fault, FaultCode};
use computepool_model::ModelError;
use computepool_model::text::ModelText;
use computepool_model::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};

use crate::corpus::corpus;
use crate::small::{byte_level, fixture};

/// The small byte-level vocabulary as `tokenizer.json`, cut into words by Qwen 2's pattern.
fn tokenizer_json() -> Value {
    let small = &fixture()["byte_level"];
    let tokens = small["tokens"].as_array().unwrap();
    let vocabulary: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| (token.as_str().unwrap().to_owned(), json!(id))).collect();
    let added: Vec<Value> = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        .iter()
        .map(|name| {
            json!({"id": vocabulary[*name], "content": name, "special": true, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false})
        })
        .collect();
    let pattern = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*\
        |\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    let bos = json!({"id": "<|endoftext|>", "ids": [vocabulary["<|endoftext|>"]], "tokens": ["<|endoftext|>"]});
    json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|endoftext|>": bos}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": small["merges"]}
    })
}

fn write(folder: &Path, name: &str, content: &Value) {
    std::fs::write(folder.join(name), content.to_string()).unwrap();
}

fn open(folder: &Path) -> Result<ModelText, ModelError> {
    ModelText::from_folder(folder, Arc::new(SystemClock))
}

#[test]
fn a_folder_and_a_gguf_file_give_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "tokenizer.json", &tokenizer_json());
    let config = json!({"bos_token": {"content": "<|endoftext|>"}, "eos_token": "<|im_end|>"});
    write(folder.path(), "tokenizer_config.json", &config);
    let text = open(folder.path()).unwrap();
    let gguf = Tokenizer::from_vocabulary(byte_level("qwen2")).unwrap();
    for part in corpus() {
        for special in [true, false] {
            let ids = text.tokenizer().encode(&part, special).unwrap();
            assert_eq!(ids, gguf.encode(&part, special).unwrap(), "{part:?}");
        }
        let ids = text.encode(&part, false).unwrap();
        assert_eq!(text.decode(&ids), part);
    }
    let name = |id: u32| gguf.name(id).unwrap();
    assert_eq!(name(text.bos().unwrap()), "<|endoftext|>");
    let opened = text.encode("hi", true).unwrap();
    assert_eq!(name(opened[0]), "<|endoftext|>", "its post-processor wants it");
    assert_eq!(text.encode("<|endoftext|>hi", true).unwrap(), opened, "once");
    let ends: Vec<_> = text.end_tokens().iter().map(|id| name(*id)).collect();
    assert_eq!(ends, ["<|endoftext|>", "<|im_end|>"]);
    assert!(ends.iter().zip(text.end_tokens()).all(|(_, id)| text.is_control(*id) && text.token_bytes(*id).is_empty()));
}

#[test]
fn settings_beside_the_tokenizer_are_heeded() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "tokenizer.json", &tokenizer_json());
    write(
        folder.path(),
        "special_tokens_map.json",
        &json!({"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}}),
    );
    write(folder.path(), "generation_config.json", &json!({"eos_token_id": [7, 9]}));
    let templates = json!([
        {"name": "default", "template": "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}"},
        {"name": "tool_use", "template": "<tool_call>{% for t in tools %}{{ t.function.name }}{% endfor %}"},
    ]);
    write(folder.path(), "tokenizer_config.json", &json!({"chat_template": templates, "add_bos_token": false}));
    let text = open(folder.path()).unwrap();
    assert!(text.tokenizer().opening().is_empty(), "add_bos_token: false");
    assert!(text.is_end(7) && text.is_end(9));
    let messages = [json!({"role": "user", "content": "hello"})];
    let tools = [json!({"type": "function", "function": {"name": "look"}})];
    let variables = Map::new();
    let prompt = ChatPrompt { messages: &messages, tools: &[], add_generation_prompt: true, variables: &variables };
    assert_eq!(text.render(&prompt).unwrap(), "<|im_start|>hello");
    assert_eq!(text.render(&ChatPrompt { tools: &tools, ..prompt }).unwrap(), "<tool_call>look");

    std::fs::write(folder.path().join("chat_template.jinja"), "{{ messages[0].content }}!").unwrap();
    assert_eq!(open(folder.path()).unwrap().render(&prompt).unwrap(), "hello!", "the file wins");
}

#[test]
fn without_a_template_chatml_is_used_only_where_its_tokens_are() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "tokenizer.json", &tokenizer_json());
    let messages = [json!({"role": "user", "content": "hello"})];
    let variables = Map::new();
    let prompt = ChatPrompt { messages: &messages, tools: &[], add_generation_prompt: true, variables: &variables };
    let shown = open(folder.path()).unwrap().render(&prompt).unwrap();
    assert_eq!(shown, "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");

    let mut plain = tokenizer_json();
    plain["added_tokens"] = json!([]);
    write(folder.path(), "tokenizer.json", &plain);
    let text = open(folder.path()).unwrap();
    let fault = text.render(&prompt).unwrap_err();
    assert_eq!((fault.code, fault.message.as_str()), (FaultCode::InvalidRequest, "this model has no chat template"));
    assert!(!text.encode("still good for plain prompts", true).unwrap().is_empty());
}

#[test]
fn damaged_folders_are_refused_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |what: &str| {
        let fault = Fault::from(open(folder.path()).err().unwrap());
        assert!(fault.message.contains(what), "{fault}");
        fault.code
    };
    assert_eq!(refused("without a tokenizer.json"), FaultCode::UnsupportedModel);
    std::fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert_eq!(refused("tokenizer.json"), FaultCode::BadModelFile);
    let mut lying = tokenizer_json();
    // Two parts that are tokens, whose sum is longer than any.
    let tokens: Map<String, Value> = lying["model"]["vocab"].as_object().unwrap().clone();
    let longest = tokens.keys().max_by_key(|token| token.len()).unwrap();
    lying["model"]["merges"] = json!([format!("{longest} {longest}")]);
    write(folder.path(), "tokenizer.json", &lying);
    assert_eq!(refused("tokenizer.json"), FaultCode::BadModelFile);
    let mut far = tokenizer_json();
    far["model"]["vocab"]["far"] = json!(4_000_000_000_u32);
    write(folder.path(), "tokenizer.json", &far);
    assert_eq!(refused("token id 4000000000"), FaultCode::BadModelFile);
    write(folder.path(), "tokenizer.json", &tokenizer_json());
    std::fs::write(folder.path().join("tokenizer_config.json"), "[1,").unwrap();
    assert_eq!(refused("tokenizer_config.json"), FaultCode::BadModelFile);
}
