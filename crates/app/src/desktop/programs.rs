//! The owner's own endpoint for programs of this machine: each with a key and limits of its own, all of them paid for, where
//! that is asked, by the wallet that pays for the playground. It listens as soon as there is a key, and on loopback alone.

pub(super) mod keys;
pub(super) mod log;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use computepool_api::{Gateway, Onward, Returned};
use computepool_core::{Fault, FaultCode};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Desktop;
use log::{Entry, Tally};

/// Where it listens, where its owner has named no other port.
pub(super) const PORT: u16 = 11_480;

/// The wait after a port could not be had.
const AGAIN: Duration = Duration::from_secs(5);

/// How it is.
#[derive(Clone, Debug, Default)]
pub(super) enum Programs {
    /// Nobody has a key.
    #[default]
    Closed,
    /// Programs are answered at this address.
    Open(String),
    /// It cannot be opened.
    Failed(Fault),
}

/// Opens and closes it as keys come and go, until the application ends.
pub(super) async fn keep(desktop: Desktop) {
    let stop = desktop.0.stop.clone();
    let mut changed = desktop.0.keys.watch();
    let mut settings = desktop.0.settings.subscribe();
    let mut open: Option<(u16, CancellationToken, JoinHandle<()>)> = None;
    loop {
        let port = settings.borrow_and_update().using.port.unwrap_or(PORT);
        let wanted = (*changed.borrow_and_update() > 0).then_some(port);
        if open.as_ref().map(|(port, ..)| *port) != wanted {
            if let Some((_, close, serving)) = open.take() {
                close.cancel();
                serving.await.ok();
            }
            let state = match wanted {
                None => Programs::Closed,
                Some(port) => match serve(&desktop, port).await {
                    Ok((address, close, serving)) => {
                        open = Some((port, close, serving));
                        Programs::Open(address)
                    }
                    Err(fault) => Programs::Failed(fault),
                },
            };
            desktop.0.programs.send_replace(state);
        }
        let failed = matches!(*desktop.0.programs.borrow(), Programs::Failed(_));
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = changed.changed() => {}
            Ok(()) = settings.changed() => {}
            () = tokio::time::sleep(AGAIN), if failed => {}
        }
    }
    if let Some((_, close, serving)) = open {
        close.cancel();
        serving.abort();
    }
}

async fn serve(desktop: &Desktop, port: u16) -> Result<(String, CancellationToken, JoinHandle<()>), Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        Fault::new(FaultCode::Io, format!("the endpoint for programs cannot listen on port {port}: {error}"))
            .hint("end the program that has it, or name another port in the settings")
    })?;
    let authority = format!("127.0.0.1:{port}");
    let router = computepool_api::gateway(&authority, Arc::new(desktop.clone()));
    let close = CancellationToken::new();
    let closing = close.clone().cancelled_owned();
    let serving = async move {
        if let Err(error) = computepool_api::serve(listener, router, closing).await {
            tracing::error!(%error, "the endpoint for programs is closed");
        }
    };
    Ok((format!("http://{authority}/v1"), close, tokio::spawn(serving)))
}

impl Gateway for Desktop {
    fn forward(&self, request: Onward) -> BoxFuture<'_, Result<Returned, Fault>> {
        Box::pin(async move {
            let began = Instant::now();
            let admitted = self.0.keys.admit(request.key.as_deref(), request.asks)?;
            let mut entry = Entry::begin(&admitted, &request.path, &request.body);
            let answered = pass_on(self, &request).await;
            match answered {
                Ok(response) => {
                    entry.status = response.status().as_u16();
                    let told =
                        |name| response.headers().get(name).and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
                    let content_type = told(reqwest::header::CONTENT_TYPE);
                    let tally = Tally::new(self.clone(), admitted, entry, began, content_type.as_deref());
                    let (status, stream) = (response.status().as_u16(), response.bytes_stream());
                    Ok(Returned { status, content_type, body: counted(tally, stream.boxed()) })
                }
                Err(fault) => {
                    entry.fail(&fault, began);
                    self.0.requests.push(entry);
                    Err(fault)
                }
            }
        })
    }
}

async fn pass_on(desktop: &Desktop, request: &Onward) -> Result<reqwest::Response, Fault> {
    if !request.asks {
        return desktop.0.chat.owner(desktop)?.look(&request.path).await;
    }
    desktop.may_ask()?;
    desktop.0.chat.endpoint(desktop)?.pass_on(&request.path, request.body.to_vec()).await
}

/// The same bytes, counted as they pass; the tally is closed when the reader has all of them, or goes.
fn counted(
    tally: Tally,
    stream: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
) -> futures::stream::BoxStream<'static, Result<bytes::Bytes, std::io::Error>> {
    let passed = futures::stream::unfold((tally, stream), |(mut tally, mut stream)| async move {
        let part = stream.next().await?.map_err(std::io::Error::other);
        match &part {
            Ok(bytes) => tally.count(bytes),
            Err(error) => tally.broke(error),
        }
        Some((part, (tally, stream)))
    });
    passed.boxed()
}
