//! The page's door on loopback, with a token of its own for each launch.

use std::path::PathBuf;
use std::sync::Arc;

use computepool_api::{LoopbackOptions, loopback};
use computepool_core::{Fault, FaultCode};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::desktop::Desktop;

/// An open door.
pub struct Door {
    base: String,
    token: String,
    task: JoinHandle<()>,
}

/// Opens a door to the application.
pub fn open(
    listener: TcpListener,
    page: Option<PathBuf>,
    desktop: &Desktop,
    stop: CancellationToken,
) -> Result<Door, Fault> {
    let failed = |what: String| Fault::new(FaultCode::Io, what);
    let authority = listener.local_addr().map_err(|error| failed(format!("the door has no address: {error}")))?;
    let mut token = [0; 32];
    OsRng.try_fill_bytes(&mut token).map_err(|error| failed(format!("no random numbers: {error}")))?;
    let token = hex::encode(token);
    let options = LoopbackOptions { token: token.clone(), authority: authority.to_string(), page };
    let router = loopback(options, Arc::new(desktop.clone()));
    let serving = async move {
        let stopped = stop.cancelled_owned();
        if let Err(error) = computepool_api::serve(listener, router, stopped).await {
            tracing::error!(%error, "the page's door is closed");
        }
    };
    Ok(Door { base: format!("http://{authority}"), token, task: tokio::spawn(serving) })
}

impl Door {
    /// Its address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// What a page has to show.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The link for the owner: what stands behind `#` is never sent anywhere.
    pub fn address(&self) -> String {
        format!("{}/#token={}", self.base, self.token)
    }

    /// Waits until it is closed. Streams of events are cut off.
    pub async fn closed(self) {
        self.task.abort();
        self.task.await.ok();
    }
}
