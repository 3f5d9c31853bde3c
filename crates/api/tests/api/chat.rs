//! Chats answered in one piece.

use computepool_api::testkit::{FakeInference, Script};
use computepool_core::Constraint;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

#[tokio::test]
async fn a_chat_is_answered_in_openai_s_shape() {
    let endpoint = Endpoint::new(FakeInference::saying("Grüße!"));
    let body = endpoint.chat(json!({})).await.ok();
    let choice = &body["choices"][0];
    assert_eq!(body["object"], "chat.completion");
    assert!(body["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(body["system_fingerprint"].as_str().unwrap().starts_with("fp_"));
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": "Grüße!", "refusal": null, "annotations": []})
    );
    assert_eq!(
        (&choice["finish_reason"], &choice["logprobs"], &choice["index"]),
        (&"stop".into(), &Value::Null, &0.into())
    );
    let prompt = endpoint.fake.asked()[0].prompt.len();
    let said = "Grüße!".len() + 1;
    let usage = json!({"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said});
    assert_eq!(body["usage"], usage);
}

#[tokio::test]
async fn every_role_reaches_the_template_and_parts_become_text() {
    let endpoint = Endpoint::new(FakeInference::saying("ok"));
    let messages = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "name": "ann"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]);
    let more = json!({"messages": messages, "chat_template_kwargs": {"thinking": false}, "user": "u", "metadata": {}});
    endpoint.chat(more).await.ok();
    let prompt: Vec<u8> = endpoint.fake.asked()[0].prompt.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
    let prompt = String::from_utf8(prompt).unwrap();
    assert!(prompt.starts_with("system\nBe brief.\nuser\none\ntwo\nassistant\n"), "{prompt}");
    // Arguments are an object for the template, not a string to be quoted again.
    assert!(prompt.contains(r#""arguments":{"x":1}"#), "{prompt}");
    assert!(prompt.ends_with("tool\n42\nthinking=false\nassistant\n"), "{prompt}");
}

#[tokio::test]
async fn several_answers_are_generations_with_seeds_of_their_own() {
    let endpoint =
        Endpoint::new(FakeInference::new("fake", |request, _| Script::say(&format!("{}", request.sampling.seed % 97))));
    let body = endpoint.chat(json!({"n": 3, "seed": -5})).await.ok();
    let asked = endpoint.fake.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].sampling.seed, (-5i64).cast_unsigned());
    for (index, request) in asked.iter().enumerate() {
        let choice = &body["choices"][index];
        assert_eq!(choice["index"], index);
        assert_eq!(choice["message"]["content"], (request.sampling.seed % 97).to_string());
        assert!(asked[..index].iter().all(|other| other.sampling.seed != request.sampling.seed));
    }
    assert_eq!(endpoint.fake.open(), 0);
    let first = endpoint.chat(json!({})).await.ok();
    let second = endpoint.chat(json!({})).await.ok();
    let seeds: Vec<u64> = endpoint.fake.asked()[3..].iter().map(|request| request.sampling.seed).collect();
    assert_ne!(seeds[0], seeds[1]);
    assert_eq!(first["system_fingerprint"], second["system_fingerprint"]);
}

#[tokio::test]
async fn sampling_fields_arrive_as_asked() {
    let endpoint = Endpoint::new(FakeInference::saying("ok"));
    let fields = json!({
        "temperature": 0, "top_p": 0.5, "top_k": 40, "min_p": 0.1, "presence_penalty": -1, "frequency_penalty": 1.5,
        "repetition_penalty": 1.1, "logit_bias": {"65": -100, "66": 2.5}, "seed": 18446744073709551615u64,
    });
    endpoint.chat(fields).await.ok();
    let sampling = endpoint.fake.asked()[0].sampling.clone();
    assert_eq!((sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p), (0.0, 0.5, 40, 0.1));
    assert_eq!((sampling.presence_penalty, sampling.frequency_penalty, sampling.repetition_penalty), (-1.0, 1.5, 1.1));
    assert_eq!(sampling.logit_bias, [(65, -100.0), (66, 2.5)]);
    assert_eq!(sampling.seed, u64::MAX);
}

#[tokio::test]
async fn the_answer_is_cut_where_it_was_asked_to_be() {
    let endpoint = Endpoint::new(FakeInference::saying("one two three END four"));
    let choice = endpoint.chat(json!({"stop": "END"})).await.ok()["choices"][0].clone();
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&"one two three ".into(), &"stop".into()));
    let choice = endpoint.chat(json!({"stop": ["xx", " th"]})).await.ok()["choices"][0].clone();
    assert_eq!(choice["message"]["content"], "one two");
    let choice = endpoint.chat(json!({"max_tokens": 7, "stop": null})).await.ok()["choices"][0].clone();
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&"one two".into(), &"length".into()));
    let choice = endpoint.chat(json!({"max_tokens": 7, "max_completion_tokens": 3})).await.ok()["choices"][0].clone();
    assert_eq!(choice["message"]["content"], "one");
    assert_eq!(endpoint.fake.open(), 0);
}

#[tokio::test]
async fn without_a_limit_the_context_is_one() {
    let endpoint = Endpoint::new(FakeInference::new("fake", |_, _| Script::say("ab").endless()).context(64));
    let body = endpoint.chat(json!({})).await.ok();
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["total_tokens"], 64);
    let (status, code, param) = endpoint.chat(json!({"max_tokens": 64})).await.error();
    assert_eq!((status, code, param), (400, "context_length_exceeded".into(), "max_tokens".into()));
    let long = "x".repeat(100);
    let (status, code, _) = endpoint.chat(json!({"messages": [{"role": "user", "content": long}]})).await.error();
    assert_eq!((status, code), (400, "context_length_exceeded".into()));
}

#[tokio::test]
async fn logprobs_are_told_for_the_tokens_that_are_shown() {
    let endpoint = Endpoint::new(FakeInference::saying("hé END x"));
    let body = endpoint.chat(json!({"logprobs": true, "top_logprobs": 2, "stop": " END"})).await.ok();
    assert_eq!(body["choices"][0]["message"]["content"], "hé");
    let content = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(content.len(), 3);
    assert_eq!(content[0]["token"], "h");
    assert_eq!(content[0]["bytes"], json!([104]));
    assert_eq!(content[1]["bytes"], json!([0xc3]));
    assert_eq!(content[0]["logprob"], -0.125);
    assert_eq!(content[0]["top_logprobs"].as_array().unwrap().len(), 2);
    assert_eq!(content[0]["top_logprobs"][1], json!({"token": "i", "logprob": -0.25, "bytes": [105]}));
    let body = endpoint.chat(json!({"logprobs": true})).await.ok();
    let content = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!((content.len(), content[0]["top_logprobs"].as_array().unwrap().len()), ("hé END x".len(), 0));
    for wrong in [json!({"top_logprobs": 2}), json!({"logprobs": true, "top_logprobs": 21})] {
        assert_eq!(endpoint.chat(wrong).await.error(), (400, Value::Null, "top_logprobs".into()));
    }
}

#[tokio::test]
async fn response_formats_become_constraints() {
    let endpoint = Endpoint::new(FakeInference::answering_questions("fake"));
    let body = endpoint.chat(json!({"response_format": {"type": "json_object"}})).await.ok();
    serde_json::from_str::<Value>(body["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "place", "strict": true, "schema": schema}});
    let body = endpoint.chat(json!({"response_format": format})).await.ok();
    assert_eq!(body["choices"][0]["message"]["content"], "{\"city\":\"Paris\"}");
    endpoint.chat(json!({"response_format": {"type": "text"}})).await.ok();
    let asked = endpoint.fake.asked();
    assert_eq!(asked[0].constraint, Some(Constraint::JsonObject));
    let Some(Constraint::JsonSchema(text)) = &asked[1].constraint else { panic!("{:?}", asked[1].constraint) };
    let sent: Value = serde_json::from_str(text).unwrap();
    assert_eq!(sent["properties"], schema["properties"]);
    assert_eq!(asked[2].constraint, None);

    let bad = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}});
    let (status, code, _) = endpoint.chat(json!({"response_format": bad})).await.error();
    assert_eq!((status, code), (400, "bad_grammar".into()));
    for wrong in [
        json!({"type": "xml"}),
        json!({"type": "json_schema"}),
        json!("json"),
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": 3}}),
    ] {
        let (status, _, param) = endpoint.chat(json!({"response_format": wrong})).await.error();
        assert_eq!(status, 400);
        assert!(param.as_str().unwrap().starts_with("response_format"), "{param}");
    }
}
