//! Reading a request's body: bounded, in time, as JSON.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::ApiOptions;
use crate::error::ApiError;

/// A body that is too large is read on to its end, and thrown away, up to this many times the limit: a client that is
/// still writing would not see the answer otherwise.
const DISCARD: usize = 4;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Reads and parses a JSON body.
pub(crate) async fn read_json<T: DeserializeOwned>(options: &ApiOptions, request: Request) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    let limit = options.limits.body_bytes;
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let bytes = match tokio::time::timeout(options.body_timeout, read(body, limit, announced)).await {
        Ok(bytes) => bytes?,
        Err(_) => {
            let message = format!("the request body did not arrive within {} s", options.body_timeout.as_secs_f32());
            return Err(ApiError::request(StatusCode::REQUEST_TIMEOUT, message));
        }
    };
    parse(&bytes)
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let message = "the body must be JSON: send it with the header `Content-Type: application/json`";
    Err(ApiError::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

async fn read(body: Body, limit: usize, announced: Option<usize>) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(&mut stream, limit).await);
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(64 * 1024));
    while let Some(chunk) = stream.next().await {
        let chunk: Bytes = chunk.map_err(|error| {
            ApiError::request(StatusCode::BAD_REQUEST, format!("the request body broke off: {error}"))
        })?;
        if bytes.len() + chunk.len() > limit {
            drop(bytes);
            return Err(too_large(&mut stream, limit).await);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn too_large(stream: &mut axum::body::BodyDataStream, limit: usize) -> ApiError {
    let discard = async {
        let mut left = limit.saturating_mul(DISCARD);
        while let Some(Ok(chunk)) = stream.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, discard).await;
    let message = format!("the request body is larger than {limit} bytes");
    ApiError::request(StatusCode::PAYLOAD_TOO_LARGE, message).code("request_too_large")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            Category::Data if path != "." => ApiError::invalid(path, cut(&error.to_string())),
            _ => ApiError::request(
                StatusCode::BAD_REQUEST,
                format!("the body cannot be read as JSON: {}", cut(&error.to_string())),
            ),
        }
    })?;
    deserializer.end().map_err(|error| {
        ApiError::request(StatusCode::BAD_REQUEST, format!("something follows the JSON body: {error}"))
    })?;
    Ok(value)
}

/// Parsers quote what they were given; a stranger's megabyte is not sent back.
fn cut(message: &str) -> String {
    let keep = 200;
    if message.chars().count() <= 2 * keep {
        return message.to_owned();
    }
    let head: String = message.chars().take(keep).collect();
    let tail: Vec<char> = message.chars().rev().take(keep).collect();
    format!("{head} … {}", tail.into_iter().rev().collect::<String>())
}
