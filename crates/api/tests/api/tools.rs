//! Tool calls, in every dialect.

use computepool_api::testkit::{FakeInference, Script, TOOL_CALLS_TOKEN};
use computepool_core::ports::ToolDialect;
use computepool_core::{Constraint, FaultCode};
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

fn weather(strict: bool) -> Value {
    json!({"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a place", "strict": strict,
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    }})
}

fn call(name: &str, arguments: &str, key: &str) -> String {
    format!("{{\"name\": \"{name}\", \"{key}\": {arguments}}}")
}

fn lark(endpoint: &Endpoint, index: usize) -> String {
    match &endpoint.fake.asked()[index].constraint {
        Some(Constraint::Lark(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_required_call_comes_back_as_one() {
    let endpoint = Endpoint::new(FakeInference::answering_questions("fake"));
    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    for choice in [json!("required"), named] {
        let body = endpoint.chat(json!({"tools": [weather(true)], "tool_choice": choice})).await.ok();
        let choice = &body["choices"][0];
        assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&"tool_calls".into(), &Value::Null));
        let call = &choice["message"]["tool_calls"][0];
        assert!(call["id"].as_str().unwrap().starts_with("call_"));
        assert_eq!((&call["type"], &call["function"]["name"]), (&"function".into(), &"get_weather".into()));
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"location": "Paris"}));
    }
}

#[tokio::test]
async fn the_model_may_choose() {
    let endpoint = Endpoint::new(FakeInference::answering_questions("fake"));
    let body = endpoint.chat(json!({"tools": [weather(false)]})).await.ok();
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["choices"][0]["message"]["content"], "No tool is needed for that.");
    assert!(body["choices"][0]["message"].get("tool_calls").is_none());
    let ask = json!([{"role": "user", "content": "What is the weather in Paris?"}]);
    let body = endpoint.chat(json!({"tools": [weather(false)], "messages": ask})).await.ok();
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    endpoint.chat(json!({"tools": [weather(false)], "tool_choice": "none"})).await.ok();
    assert_eq!(endpoint.fake.asked()[2].constraint, None);
}

#[tokio::test]
async fn calls_are_streamed_name_first_and_markers_never_show() {
    let text = format!(
        "I will look.\n<tool_call>\n{}\n</tool_call>\n<tool_call>\n{}\n</tool_call>",
        call("get_weather", "{\"location\": \"Zürich </tool_call>\"}", "arguments"),
        call("get_weather", "{\"location\": \"Bern\"}", "arguments"),
    );
    let endpoint = Endpoint::new(FakeInference::saying(&text));
    let events = endpoint.chat(json!({"stream": true, "tools": [weather(false)]})).await.events();
    let mut content = String::new();
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for event in &events {
        let delta = &event["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = piece["index"].as_u64().unwrap() as usize;
            if index == calls.len() {
                assert_eq!((&piece["type"], &piece["function"]["arguments"]), (&"function".into(), &"".into()));
                let id = piece["id"].as_str().unwrap().to_owned();
                calls.push((id, piece["function"]["name"].as_str().unwrap().to_owned(), String::new()));
                continue;
            }
            assert!(piece.get("id").is_none() && piece["function"].get("name").is_none(), "{piece}");
            calls[index].2.push_str(piece["function"]["arguments"].as_str().unwrap());
        }
    }
    assert_eq!(content, "I will look.\n");
    let arguments: Vec<Value> =
        calls.iter().map(|(_, _, arguments)| serde_json::from_str(arguments).unwrap()).collect();
    assert_eq!(arguments, [json!({"location": "Zürich </tool_call>"}), json!({"location": "Bern"})]);
    assert!(
        calls[0].0 != calls[1].0 && calls.iter().all(|(id, name, _)| id.starts_with("call_") && name == "get_weather")
    );
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn other_dialects_are_read_too() {
    let parameters = call("get_weather", "{\"location\": \"Bern\"}", "parameters");
    let arguments = call("get_weather", "{\"location\": \"Bern\"}", "arguments");
    for (dialect, text) in [
        (ToolDialect::Llama3, parameters),
        (ToolDialect::Mistral, format!("[TOOL_CALLS][{arguments}]")),
        (ToolDialect::Described, format!("<tool_call>\n{arguments}\n</tool_call>")),
    ] {
        let endpoint = Endpoint::new(FakeInference::saying(&text).dialect(dialect));
        let body = endpoint.chat(json!({"tools": [weather(true)], "tool_choice": "required"})).await.ok();
        let message = &body["choices"][0]["message"];
        assert_eq!(message["content"], Value::Null, "{dialect:?}");
        assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"location\": \"Bern\"}", "{dialect:?}");
    }
}

#[tokio::test]
async fn a_marker_that_is_a_control_token_opens_a_call() {
    let mut tokens = vec![TOOL_CALLS_TOKEN];
    tokens.extend(format!("[{}]", call("get_weather", "{}", "arguments")).bytes().map(u32::from));
    let script = Script { tokens, ..Script::default() };
    let fake = FakeInference::new("fake", move |_, _| script.clone()).dialect(ToolDialect::Mistral);
    let endpoint = Endpoint::new(fake);
    let body = endpoint.chat(json!({"tools": [weather(false)]})).await.ok();
    assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
    assert!(lark(&endpoint, 0).contains(&format!("<[{TOOL_CALLS_TOKEN}]>")));
}

#[tokio::test]
async fn a_call_cut_off_by_the_limit_says_so() {
    let text = format!("<tool_call>\n{}\n</tool_call>", call("get_weather", "{\"location\": \"Bern\"}", "arguments"));
    let endpoint = Endpoint::new(FakeInference::saying(&text));
    for limit in 1..text.len() as u32 {
        let body = endpoint.chat(json!({"tools": [weather(false)], "max_tokens": limit})).await.ok();
        assert_eq!(body["choices"][0]["finish_reason"], "length", "{limit}");
        assert!(!body.to_string().contains("tool_call>"), "{limit}: {body}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_as_a_call_is_an_error_and_not_an_answer() {
    for text in ["<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", "<tool_call>\nnonsense"] {
        let endpoint = Endpoint::new(FakeInference::saying(text));
        let (status, code, _) = endpoint.chat(json!({"tools": [weather(false)]})).await.error();
        assert_eq!((status, code), (500, FaultCode::Internal.as_str().into()));
    }
}

#[tokio::test]
async fn a_template_without_tools_is_told_of_them_in_words() {
    let endpoint = Endpoint::new(FakeInference::answering_questions("fake").dialect(ToolDialect::Described));
    let messages = json!([
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Is it warm?"},
        {"role": "assistant", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"location\":\"Bern\"}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12 degrees"},
    ]);
    endpoint.chat(json!({"tools": [weather(false)], "messages": messages})).await.ok();
    let prompt = endpoint.fake.asked()[0].prompt.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
    let prompt = String::from_utf8(prompt).unwrap();
    assert!(prompt.starts_with("system\nBe kind.\n\nYou may call functions"), "{prompt}");
    assert!(prompt.contains("\"name\":\"get_weather\""), "{prompt}");
    assert!(
        prompt.contains(
            "assistant\n<tool_call>\n{\"name\":\"get_weather\",\"arguments\":{\"location\":\"Bern\"}}\n</tool_call>"
        ),
        "{prompt}"
    );
    assert!(prompt.contains("user\n<tool_response>\n12 degrees\n</tool_response>"), "{prompt}");
}

#[tokio::test]
async fn allowed_tools_narrow_the_offer() {
    let endpoint = Endpoint::new(FakeInference::answering_questions("fake"));
    let other = json!({"type": "function", "function": {"name": "other"}});
    let choice = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
        {"type": "function", "function": {"name": "other"}}]}});
    let body = endpoint.chat(json!({"tools": [weather(false), other], "tool_choice": choice})).await.ok();
    assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "other");
    assert!(!lark(&endpoint, 0).contains("get_weather"));
}

#[tokio::test]
async fn wrong_offers_are_refused_by_name() {
    let endpoint = Endpoint::new(FakeInference::saying("x"));
    let function = |function: Value| json!([{"type": "function", "function": function}]);
    let cases = [
        (json!({"tools": [{"type": "custom"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
        (json!({"tools": function(json!({"name": "no spaces"}))}), "tools[0].function.name"),
        (json!({"tools": function(json!({"name": "f", "parameters": 3}))}), "tools[0].function.parameters"),
        (
            json!({"tools": function(json!({"name": "f", "parameters": {"type": "array"}}))}),
            "tools[0].function.parameters",
        ),
        (json!({"tools": [weather(false), weather(false)]}), "tools[1]"),
        (
            json!({"tools": [weather(false)], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice",
        ),
        (json!({"tools": [weather(false)], "tool_choice": "sometimes"}), "tool_choice"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"functions": []}), "functions"),
    ];
    for (request, param) in cases {
        assert_eq!(endpoint.chat(request.clone()).await.error(), (400, Value::Null, param.into()), "{request}");
    }
    let many: Vec<Value> =
        (0..129).map(|i| json!({"type": "function", "function": {"name": format!("f{i}")}})).collect();
    assert_eq!(endpoint.chat(json!({"tools": many})).await.error().0, 400);
    let big = json!({"type": "object", "description": "x".repeat(70_000)});
    let (status, _, param) =
        endpoint.chat(json!({"tools": function(json!({"name": "f", "parameters": big}))})).await.error();
    assert_eq!((status, param), (400, "tools[0].function.parameters".into()));
}
