//! Serves connections: so many at once, headers in time, and an orderly end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// How long answers that are under way may go on once the server is told to stop.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Connections at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// How long a request's headers may take, and how long a connection may rest between requests.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Bytes of one request's headers and of what is read ahead.
const MAX_BUFFER: usize = 64 * 1024;

/// Serves `router` on `listener` until `shutdown` is ready, then lets open answers end, for [`DRAIN`] at most.
///
/// # Errors
/// None at present: a connection that fails ends alone, and a listener that is out of descriptors tries again.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accept = async {
            let Ok(slot) = slots.clone().acquire_owned().await else { return None };
            Some((slot, listener.accept().await))
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept => match accepted {
                None => break,
                Some((slot, Ok((stream, _)))) => {
                    connections.spawn(connection(stream, router.clone(), closed.clone(), slot));
                }
                Some((_, Err(error))) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut off");
        connections.shutdown().await;
    }
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, mut closed: watch::Receiver<bool>, _slot: OwnedSemaphorePermit) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "tokens may wait for each other on this connection");
    }
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_BUFFER);
    // A client that closes its side is gone: its request is dropped, and with it the generation.
    builder.half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told_to_stop(&mut closed) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn told_to_stop(closed: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone, which comes to the same.
    let _ = closed.wait_for(|closed| *closed).await;
}
