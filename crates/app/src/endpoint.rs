//! A small client of our own HTTP face: what the playground and the commands of the terminal need of it.

use crate::paying::{Paid, Payer, PayingClient};
use computepool_core::ports::SessionToken;
use computepool_core::{Fault, FaultCode, SignedReceipt};
use futures::StreamExt;
use serde_json::{Value, json};

/// No line of a stream is longer than this; a longer one ends the request.
const MAX_LINE: usize = 1024 * 1024;

/// An OpenAI-compatible endpoint.
pub struct Endpoint {
    base: String,
    key: Option<String>,
    web: reqwest::Client,
    client: PayingClient,
}

/// What a stream says.
#[derive(Debug)]
pub enum Piece {
    /// Text of the answer.
    Text(String),
    /// Why it ended.
    Finish(String),
    /// The usage chunk, with the shards' accounts where they were asked for.
    Usage(Value, Vec<SignedReceipt>),
}

impl Endpoint {
    /// The endpoint at `base`, such as `http://127.0.0.1:8080/v1`.
    pub fn new(base: &str, key: Option<String>) -> Self {
        Self::with(base, key, None)
    }

    /// The same, where `payer` pays for what is asked.
    pub fn paying(base: &str, payer: Payer) -> Self {
        Self::with(base, None, Some(payer))
    }

    fn with(base: &str, key: Option<String>, payer: Option<Payer>) -> Self {
        let web = reqwest::Client::new();
        let client = PayingClient::new(web.clone(), payer);
        Self { base: base.trim_end_matches('/').to_owned(), key, web, client }
    }

    /// The base address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What was paid last.
    pub fn paid(&self) -> Option<Paid> {
        self.client.paid()
    }

    /// What an answer to `body` costs: the 402 that a stranger gets.
    pub async fn price(&self, body: &Value) -> Result<Value, Fault> {
        let response = self.send(self.request(reqwest::Method::POST, "/chat/completions").json(body)).await?;
        if response.status() != reqwest::StatusCode::PAYMENT_REQUIRED {
            accepted(response).await?;
            return Err(Fault::new(FaultCode::InvalidRequest, "the endpoint asks for no payment"));
        }
        Ok(json_of(response).await?["payment"].take())
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.web.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// A JSON document.
    pub async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.document(reqwest::Method::GET, path).await
    }

    /// Has something made of a JSON document; what is said of it is one as well.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        json_of(accepted(self.send(self.request(reqwest::Method::POST, path).json(body)).await?).await?).await
    }

    /// The token of the session that was paid for last.
    pub fn session_token(&self) -> Option<SessionToken> {
        self.client.session_token(&self.base)
    }

    /// Ends something; what is said of it is a JSON document.
    pub async fn delete(&self, path: &str) -> Result<Value, Fault> {
        self.document(reqwest::Method::DELETE, path).await
    }

    async fn document(&self, method: reqwest::Method, path: &str) -> Result<Value, Fault> {
        json_of(accepted(self.send(self.request(method, path)).await?).await?).await
    }

    /// Something to look at, as it is.
    pub(crate) async fn look(&self, path: &str) -> Result<reqwest::Response, Fault> {
        self.send(self.request(reqwest::Method::GET, path)).await
    }

    /// A question in JSON, and its answer as it comes.
    pub(crate) async fn pass_on(&self, path: &str, body: Vec<u8>) -> Result<reqwest::Response, Fault> {
        let request =
            self.request(reqwest::Method::POST, path).header(reqwest::header::CONTENT_TYPE, "application/json");
        self.send(request.body(body)).await
    }

    /// Streams a chat completion, piece by piece. Dropping the future stops the generation.
    pub async fn chat(&self, body: &Value, mut each: impl FnMut(Piece)) -> Result<(), Fault> {
        let mut body = body.clone();
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let request = self.request(reqwest::Method::POST, "/chat/completions").json(&body);
        let response = accepted(self.send(request).await?).await?;
        let mut bytes = response.bytes_stream();
        let mut pending = Vec::new();
        while let Some(part) = bytes.next().await {
            let broken = |error| Fault::new(FaultCode::LinkLost, format!("the connection broke: {error}"));
            pending.extend_from_slice(&part.map_err(broken)?);
            while let Some(end) = pending.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                let Some(data) = line.trim().strip_prefix("data:").map(str::trim) else { continue };
                if data == "[DONE]" {
                    return Ok(());
                }
                chunk(data, &mut each)?;
            }
            if pending.len() > MAX_LINE {
                return Err(Fault::new(FaultCode::OversizeFrame, "the endpoint sent a line without an end"));
            }
        }
        Err(Fault::new(FaultCode::LinkLost, "the answer broke off"))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Fault> {
        self.client.send(request).await.map_err(|fault| match fault.code {
            FaultCode::LinkLost if fault.hint.is_none() => {
                fault.hint("start a cluster with `computepool up`, or name another endpoint with --endpoint")
            }
            _ => fault,
        })
    }
}

fn chunk(data: &str, each: &mut impl FnMut(Piece)) -> Result<(), Fault> {
    let value: Value = serde_json::from_str(data)
        .map_err(|error| Fault::new(FaultCode::BadFrame, format!("the endpoint sent {data}: {error}")))?;
    if let Some(error) = value.get("error") {
        return Err(fault_of(error));
    }
    let choice = &value["choices"][0];
    if let Some(text) = choice["delta"]["content"].as_str().filter(|text| !text.is_empty()) {
        each(Piece::Text(text.to_owned()));
    }
    if let Some(reason) = choice["finish_reason"].as_str() {
        each(Piece::Finish(reason.to_owned()));
    }
    if value["usage"].is_object() {
        let receipts = serde_json::from_value(value["receipts"].clone()).unwrap_or_default();
        each(Piece::Usage(value["usage"].clone(), receipts));
    }
    Ok(())
}

/// The error object of an OpenAI-style answer.
fn fault_of(error: &Value) -> Fault {
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    let code = FaultCode::ALL.iter().find(|code| code.as_str() == text("code"));
    Fault::new(code.copied().unwrap_or(FaultCode::Internal), text("message"))
}

async fn json_of(response: reqwest::Response) -> Result<Value, Fault> {
    response.json().await.map_err(|error| Fault::new(FaultCode::BadFrame, format!("the endpoint's answer: {error}")))
}

async fn accepted(response: reqwest::Response) -> Result<reqwest::Response, Fault> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    if body["error"].is_object() {
        return Err(fault_of(&body["error"]));
    }
    Err(Fault::new(FaultCode::Internal, format!("the endpoint answered {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_pieces_and_errors_become_faults() {
        let mut seen = Vec::new();
        let mut each = |piece| seen.push(format!("{piece:?}"));
        chunk(r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}"#, &mut each).unwrap();
        chunk(r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#, &mut each).unwrap();
        chunk(r#"{"choices":[],"usage":{"total_tokens":3}}"#, &mut each).unwrap();
        let fault = chunk(r#"{"error":{"code":"node_lost","message":"gone"}}"#, &mut each).unwrap_err();
        assert_eq!((fault.code, fault.message.as_str()), (FaultCode::NodeLost, "gone"));
        assert_eq!(seen.len(), 3);
        assert!(seen[0].contains("Hi") && seen[1].contains("length") && seen[2].contains("total_tokens"));
    }
}
