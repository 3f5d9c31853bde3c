//! Server-sent events: one task writes, and is gone as soon as nobody reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use computepool_core::Fault;
use futures::StreamExt;
use serde::Serialize;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tracing::Instrument;

use crate::error::ApiError;
use crate::metrics::Metrics;
use crate::router::Api;

/// Chunks that may wait for a slow reader.
const QUEUE: usize = 16;

/// The reader is gone, or takes nothing.
pub(crate) struct Gone;

/// Where events go.
pub(crate) struct EventSink {
    sender: Sender<Bytes>,
    metrics: Arc<Metrics>,
    keep_alive: Duration,
    stalled: Duration,
}

impl EventSink {
    /// Sends one event.
    pub(crate) async fn send(&self, data: &impl Serialize) -> Result<(), Gone> {
        let mut bytes = b"data: ".to_vec();
        serde_json::to_writer(&mut bytes, data).map_err(|error| {
            tracing::error!(%error, "an event cannot be written as JSON");
            Gone
        })?;
        bytes.extend_from_slice(b"\n\n");
        self.write(bytes.into()).await
    }

    /// Says that the stream is complete.
    pub(crate) async fn done(&self) -> Result<(), Gone> {
        self.write(Bytes::from_static(b"data: [DONE]\n\n")).await
    }

    /// Says that the stream breaks off, and why.
    pub(crate) async fn fail(&self, fault: Fault) -> Result<(), Gone> {
        self.metrics.failed(fault.code);
        self.send(&ApiError::from(fault).body()).await
    }

    /// Waits for `next`, with a comment now and then; given up as soon as the reader is gone.
    pub(crate) async fn wait<T>(&self, next: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::pin!(next);
        loop {
            tokio::select! {
                biased;
                () = self.sender.closed() => return Err(Gone),
                value = &mut next => return Ok(value),
                () = tokio::time::sleep(self.keep_alive) => self.write(Bytes::from_static(b": still here\n\n")).await?,
            }
        }
    }

    async fn write(&self, bytes: Bytes) -> Result<(), Gone> {
        self.sender.send_timeout(bytes, self.stalled).await.map_err(|_| Gone)
    }
}

/// A response whose events `write` sends. Its future is dropped when the client is gone.
pub(crate) fn respond<W, F>(api: &Api, write: W) -> Response
where
    W: FnOnce(EventSink) -> F,
    F: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let (sender, receiver) = channel(QUEUE);
    let sink = EventSink {
        sender,
        metrics: api.metrics.clone(),
        keep_alive: api.options.keep_alive,
        stalled: api.options.stalled_client,
    };
    let writing = write(sink);
    let task = async move {
        if writing.await.is_err() {
            tracing::debug!("a stream's reader is gone");
        }
    };
    tokio::spawn(task.in_current_span());
    let body = Body::from_stream(ReceiverStream::new(receiver).map(Ok::<_, Infallible>));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
