//! A client of the HTTP face: asks questions, reads answers as they stream, looks at the network.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::programs::KEY;
use super::status::Status;
use crate::lab::answer::{Answer, Token};
use crate::lab::outcome::Failure;

/// No answer takes longer than this.
const PATIENCE: Duration = Duration::from_secs(150);

/// No line of a stream is longer than this.
const LONGEST_LINE: usize = 1 << 20;

/// A question with everything that decides its answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) text: String,
    /// Temperature and seed; greedy when absent.
    pub(crate) chance: Option<(f64, u64)>,
    /// The longest answer, in tokens.
    pub(crate) tokens: u32,
}

/// Somebody who asks at one endpoint.
#[derive(Clone)]
pub(crate) struct Asker {
    base: String,
    client: reqwest::Client,
}

impl Asker {
    /// Asks at `base`, such as `http://44.0.1.1:8642/v1`.
    pub(crate) fn new(base: String) -> Result<Self, Failure> {
        let client = reqwest::Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build();
        Ok(Self { base, client: client.map_err(Failure::of("an HTTP client"))? })
    }

    /// The state of the network.
    pub(crate) async fn status(&self) -> Result<Status, Failure> {
        let request = self.request(Method::GET, "/network").timeout(Duration::from_secs(5));
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        response.map_err(Failure::of("/v1/network"))?.json().await.map_err(Failure::of("/v1/network"))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(KEY)
    }

    async fn model(&self) -> Result<String, Failure> {
        let response = self.request(Method::GET, "/models").send().await.and_then(reqwest::Response::error_for_status);
        let models: Value =
            response.map_err(Failure::of("/v1/models"))?.json().await.map_err(Failure::of("/v1/models"))?;
        let id = models["data"][0]["id"].as_str();
        id.map(str::to_owned).ok_or_else(|| Failure::new("no model is offered"))
    }

    /// Asks, and reads to the end, whatever that is.
    pub(crate) async fn ask(&self, question: &Question) -> Answer {
        let mut answer = Answer::new(Instant::now());
        match tokio::time::timeout(PATIENCE, self.read(question, &mut answer)).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => answer.error = Some(failure.0),
            Err(_) => answer.error = Some(format!("no end after {} s", PATIENCE.as_secs())),
        }
        answer.took = answer.began.elapsed();
        answer
    }

    async fn read(&self, question: &Question, answer: &mut Answer) -> Result<(), Failure> {
        let mut body = json!({
            "model": self.model().await?,
            "messages": [{"role": "user", "content": question.text}],
            "max_tokens": question.tokens,
            "temperature": 0,
            "logprobs": true,
            "stream": true,
            "stream_options": {"include_usage": true},
            "include_receipts": true,
        });
        if let Some((temperature, seed)) = question.chance {
            (body["temperature"], body["seed"]) = (temperature.into(), seed.into());
        }
        answer.began = Instant::now();
        let request = self.request(Method::POST, "/chat/completions").json(&body);
        let mut response = request.send().await.map_err(Failure::of("the request"))?;
        if !response.status().is_success() {
            let status = response.status();
            let body: Value = response.json().await.unwrap_or_default();
            return Err(Failure::new(format!("{status}: {}", body["error"]["message"].as_str().unwrap_or_default())));
        }
        let mut pending = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(Failure::of("the connection broke"))? {
            pending.extend_from_slice(&bytes);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                match line.trim().strip_prefix("data:").map(str::trim) {
                    Some("[DONE]") => return Ok(()),
                    Some(data) => take(data, answer)?,
                    None => {}
                }
            }
            if pending.len() > LONGEST_LINE {
                return Err(Failure::new("a line without an end"));
            }
        }
        Err(Failure::new("the answer broke off"))
    }
}

/// Takes one chunk into the answer.
fn take(data: &str, answer: &mut Answer) -> Result<(), Failure> {
    let chunk: Value = serde_json::from_str(data).map_err(Failure::of("a chunk"))?;
    if chunk["error"].is_object() {
        let error = &chunk["error"];
        return Err(Failure::new(format!("{}: {}", error["code"], error["message"].as_str().unwrap_or_default())));
    }
    let at = answer.began.elapsed();
    let choice = &chunk["choices"][0];
    for entry in choice["logprobs"]["content"].as_array().into_iter().flatten() {
        let bytes = entry["bytes"].as_array().into_iter().flatten();
        let bytes = bytes.filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
        answer.tokens.push(Token { bytes, logprob: entry["logprob"].as_f64().unwrap_or(f64::NAN), at });
    }
    answer.text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
    if let Some(reason) = choice["finish_reason"].as_str() {
        answer.finish = Some(reason.to_owned());
    }
    for receipt in chunk["receipts"].as_array().into_iter().flatten() {
        answer.served_by.extend(receipt["receipt"]["node"].as_str().map(str::to_owned));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_add_up_to_an_answer() {
        let mut answer = Answer::new(Instant::now());
        let chunks = [
            r#"{"choices":[{"delta":{"role":"assistant"},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi","bytes":[72,105],
                "logprob":-0.5,"top_logprobs":[]}]},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{},"logprobs":null,"finish_reason":"length"}]}"#,
            r#"{"choices":[],"usage":{},"receipts":[{"receipt":{"node":"a"},"signature":""}]}"#,
        ];
        for chunk in chunks {
            take(chunk, &mut answer).unwrap();
        }
        assert_eq!((answer.text.as_str(), answer.finish.as_deref()), ("Hi", Some("length")));
        assert_eq!((answer.tokens[0].bytes.as_slice(), answer.tokens[0].logprob), (&b"Hi"[..], -0.5));
        assert_eq!(answer.served_by, ["a"]);
        let failure = take(r#"{"error":{"code":"node_lost","message":"gone"}}"#, &mut answer).unwrap_err();
        assert!(failure.0.contains("gone"));
    }
}
