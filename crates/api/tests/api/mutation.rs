//! Requests that are nearly right: never a crash, always an answer in JSON.

use computepool_api::testkit::FakeInference;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::endpoint::{CHAT, COMPLETIONS, Endpoint};

/// How many; `make fuzz` sets `COMPUTEPOOL_FUZZ_CASES=10000`.
const USUAL: u64 = 2000;

/// Bytes that mean something to a JSON parser, and one that is no text.
const NOISE: &[u8] = b"{}[]\",:\\0-e\xff";

fn seeds() -> Vec<(&'static str, Value)> {
    let tool = json!({"type": "function", "function": {"name": "f", "description": "d", "strict": true, "parameters":
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/b"}}, "required": ["a"],
         "$defs": {"b": {"enum": [1, 2]}}}}});
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"é\"}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
    ]);
    vec![
        (
            CHAT,
            json!({"model": "fake", "messages": messages, "tools": [tool], "tool_choice": "auto", "parallel_tool_calls": true,
            "stream": true, "stream_options": {"include_usage": true}, "n": 2}),
        ),
        (
            CHAT,
            json!({"model": "fake", "messages": messages, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1,
            "seed": 4, "stop": ["a", "lo"], "max_tokens": 9, "logprobs": true, "top_logprobs": 3, "logit_bias": {"4": 1.5}}),
        ),
        (
            CHAT,
            json!({"model": "fake", "messages": [{"role": "user", "content": "x"}], "chat_template_kwargs": {"a": 1},
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": false, "schema": {"type": "object"}}}}),
        ),
        (
            CHAT,
            json!({"model": "fake", "messages": [{"role": "user", "content": "x"}], "tools": [tool], "tool_choice":
            {"type": "function", "function": {"name": "f"}}, "max_completion_tokens": 30, "presence_penalty": 1}),
        ),
        (
            COMPLETIONS,
            json!({"model": "fake", "prompt": ["a", "b"], "echo": true, "n": 2, "best_of": 2, "suffix": null}),
        ),
        (
            COMPLETIONS,
            json!({"model": "fake", "prompt": [1, 2], "logprobs": 3, "stream": true, "stop": "o", "seed": 1}),
        ),
    ]
}

fn strange(rng: &mut StdRng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1),
        json!(""),
        json!("\u{0}\u{fffd}<tool_call>"),
        json!("x".repeat(5000)),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"type": "object"}),
        json!({"role": "user", "content": "x"}),
        json!(["", null, 3]),
        json!("#/$defs/b"),
        json!("function"),
        json!(99999),
    ];
    values[rng.random_range(0..values.len())].clone()
}

/// Changes one place somewhere in the value.
fn mutate(value: &mut Value, rng: &mut StdRng) {
    let deeper = rng.random_bool(0.8);
    match value {
        Value::Object(object) if deeper && !object.is_empty() => {
            let key = object.keys().nth(rng.random_range(0..object.len())).unwrap().clone();
            match rng.random_range(0..8) {
                0 => drop(object.remove(&key)),
                1 => {
                    let moved = object.remove(&key).unwrap();
                    object.insert(format!("{key}x"), moved);
                }
                2 => {
                    object.insert("type".into(), strange(rng));
                }
                _ => mutate(&mut object[&key], rng),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let index = rng.random_range(0..items.len());
            match rng.random_range(0..6) {
                0 => drop(items.remove(index)),
                1 => items.push(strange(rng)),
                2 => {
                    let copy = items[index].clone();
                    items.extend(std::iter::repeat_n(copy, 3));
                }
                _ => mutate(&mut items[index], rng),
            }
        }
        other => *other = strange(rng),
    }
}

/// Changes bytes of the text, whatever they mean.
fn garble(text: String, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes[at] = rng.random(),
            1 => bytes.truncate(at.max(1)),
            2 => bytes.insert(at, NOISE[rng.random_range(0..NOISE.len())]),
            _ => drop(bytes.remove(at)),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

#[tokio::test]
async fn mutated_requests_are_answered_by_name() {
    let count = std::env::var("COMPUTEPOOL_FUZZ_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(USUAL);
    let endpoint = Endpoint::new(FakeInference::answering_questions("fake").context(600));
    let seeds = seeds();
    let mut by_status = std::collections::BTreeMap::<u16, u64>::new();
    let (mut by_code, mut settled) = (std::collections::BTreeMap::<String, u64>::new(), 0);
    for round in 0..count {
        if round == count / 4 {
            settled = resident_bytes();
        }
        let mut rng = StdRng::seed_from_u64(round);
        let (path, mut body) = seeds[round as usize % seeds.len()].clone();
        for _ in 0..rng.random_range(1..4) {
            mutate(&mut body, &mut rng);
        }
        let text = body.to_string();
        let bytes = if rng.random_bool(0.3) { garble(text, &mut rng) } else { text.into_bytes() };
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let answer = endpoint.post_text(path, bytes).await;
        *by_status.entry(answer.status.as_u16()).or_default() += 1;
        match answer.status.as_u16() {
            200 if answer.text.starts_with("data: ") => assert!(answer.events().len() > 1, "round {round}: {shown}"),
            200 => assert!(answer.json()["choices"].is_array(), "round {round}: {shown}"),
            400..=499 => {
                let code = answer.error().1.as_str().unwrap_or("null").to_owned();
                *by_code.entry(code).or_default() += 1;
            }
            status => panic!("round {round}: {status} {} for {shown}", answer.text),
        }
        assert_eq!(endpoint.fake.open(), 0, "round {round}: {shown}");
    }
    let last = resident_bytes();
    println!("{count} mutated requests, by status {by_status:?}, by error code {by_code:?}");
    println!("memory after the first quarter {} kB, at the end {} kB", settled >> 10, last >> 10);
    assert!(last < settled + (32 << 20), "{count} requests cost memory that stays");
    assert!(by_status.get(&200).is_some_and(|answered| *answered > count / 50), "{by_status:?}");
}

/// Memory this process holds; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
