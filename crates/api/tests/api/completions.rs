//! The older endpoint.

use computepool_api::testkit::{FakeInference, Script};
use serde_json::{Value, json};

use crate::endpoint::{COMPLETIONS, Endpoint};

fn request(more: Value) -> Value {
    let mut request = json!({"model": "fake", "prompt": "Once"});
    for (key, value) in more.as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    request
}

#[tokio::test]
async fn a_text_is_continued() {
    let endpoint = Endpoint::new(FakeInference::saying(" upon a time"));
    let body = endpoint.post(COMPLETIONS, request(json!({"echo": true}))).await.ok();
    assert_eq!(body["object"], "text_completion");
    let expected = json!([{"index": 0, "text": "Once upon a time", "logprobs": null, "finish_reason": "stop"}]);
    assert_eq!(body["choices"], expected);
    assert_eq!(body["usage"], json!({"prompt_tokens": 5, "completion_tokens": 13, "total_tokens": 18}));
    let asked = &endpoint.fake.asked()[0];
    assert_eq!((asked.max_tokens, asked.prompt.len()), (16, 5));
}

#[tokio::test]
async fn prompts_come_as_text_as_tokens_and_as_lists_of_either() {
    let endpoint = Endpoint::new(FakeInference::new("fake", |_, prompt| Script::say(&format!("<{prompt}>"))));
    for (prompt, expected) in [
        (json!("ab"), vec!["<ab>"]),
        (json!(["ab", "c"]), vec!["<ab>", "<c>"]),
        (json!([97, 98]), vec!["<ab>"]),
        (json!([[97], [98, 99]]), vec!["<a>", "<bc>"]),
    ] {
        let body = endpoint.post(COMPLETIONS, request(json!({"prompt": prompt, "n": 2}))).await.ok();
        let texts: Vec<&str> =
            body["choices"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
        let doubled: Vec<&str> = expected.iter().flat_map(|text| [*text, *text]).collect();
        assert_eq!(texts, doubled);
    }
    for wrong in [json!([]), json!([[]]), json!([260]), json!(["a", 1]), json!(3), json!(vec!["a"; 33])] {
        let (status, _, param) = endpoint.post(COMPLETIONS, request(json!({"prompt": wrong}))).await.error();
        assert_eq!((status, param), (400, "prompt".into()));
    }
    assert_eq!(endpoint.post(COMPLETIONS, json!({"model": "fake"})).await.error(), (400, Value::Null, "prompt".into()));
}

#[tokio::test]
async fn logprobs_have_the_older_shape() {
    let endpoint = Endpoint::new(FakeInference::saying("hé!"));
    let body = endpoint.post(COMPLETIONS, request(json!({"logprobs": 2}))).await.ok();
    let logprobs = &body["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"], json!(["h", "bytes:\\xc3", "bytes:\\xa9", "!"]));
    assert_eq!(logprobs["token_logprobs"], json!([-0.125, -0.125, -0.125, -0.125]));
    assert_eq!(logprobs["top_logprobs"][0], json!({"h": -0.125, "i": -0.25}));
    assert_eq!(logprobs["text_offset"], json!([0, 1, 1, 2]));
}

#[tokio::test]
async fn it_streams_too() {
    let endpoint = Endpoint::new(FakeInference::saying(" upon STOP"));
    let more =
        json!({"stream": true, "echo": true, "n": 2, "stop": " STOP", "stream_options": {"include_usage": true}});
    let events = endpoint.post(COMPLETIONS, request(more)).await.events();
    for index in 0..2 {
        let of_index = |event: &&Value| event["choices"][0]["index"] == index;
        let text: String = events.iter().filter(of_index).map(|e| e["choices"][0]["text"].as_str().unwrap()).collect();
        assert_eq!(text, "Once upon");
        let last = events.iter().rfind(of_index).unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
    }
    assert_eq!(events.last().unwrap(), "[DONE]");
    assert_eq!(events[events.len() - 2]["usage"]["prompt_tokens"], 5);
}

#[tokio::test]
async fn what_is_not_offered_is_refused_by_name() {
    let endpoint = Endpoint::new(FakeInference::saying("x"));
    for (more, param) in [
        (json!({"suffix": "the end"}), "suffix"),
        (json!({"echo": true, "logprobs": 1}), "echo"),
        (json!({"best_of": 2}), "best_of"),
        (json!({"logprobs": 6}), "logprobs"),
        (json!({"n": 0}), "n"),
        (json!({"max_tokens": 0}), "max_tokens"),
    ] {
        assert_eq!(endpoint.post(COMPLETIONS, request(more)).await.error(), (400, Value::Null, param.into()));
    }
}
