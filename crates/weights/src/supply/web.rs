//! Asking web servers.

mod answer;
mod client;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use computepool_core::{Fault, FaultCode};
use reqwest::Url;
use tokio::time::{Instant, sleep};

use super::board::{Board, Lease};
use super::gauge::Gauge;
use super::offenders::Offenders;
use super::{Supply, keep};
use crate::WeightsError;
use crate::shelf::Stored;
use answer::WebError;
pub(super) use client::Client;

/// The most addresses that are tried.
const MAX_SERVERS: usize = 16;

/// The servers of one fetch, in the order in which they are tried.
pub(super) struct Servers(Mutex<Vec<Server>>);

#[derive(Clone)]
struct Server {
    base: Url,
    /// Failures in a row.
    failures: u32,
    left: bool,
}

impl Servers {
    /// The servers at these addresses but those that sent wrong blocks before; nothing where none is left.
    pub(super) fn new(urls: &[String], offenders: &Offenders) -> Result<Option<Self>, WeightsError> {
        let mut servers = Vec::new();
        for text in urls.iter().take(MAX_SERVERS) {
            let base = base(text)?;
            let left = offenders.has(base.as_str());
            servers.push(Server { base, failures: 0, left });
        }
        Ok(servers.iter().any(|server| !server.left).then(|| Self(Mutex::new(servers))))
    }

    /// The first that is still asked.
    fn current(&self) -> Option<Url> {
        self.lock().iter().find(|server| !server.left).map(|server| server.base.clone())
    }

    fn answered(&self, base: &Url) {
        self.with(base, |server| server.failures = 0);
    }

    /// Counts a failure, and says how many there were in a row.
    fn failed(&self, base: &Url) -> u32 {
        self.with(base, |server| {
            server.failures += 1;
            server.failures
        })
        .unwrap_or(0)
    }

    /// Asks a server no more, and says whether it was asked until now and whether another one still is.
    fn leave(&self, base: &Url) -> (bool, bool) {
        let news = self.with(base, |server| !std::mem::replace(&mut server.left, true)).unwrap_or(false);
        (news, self.current().is_some())
    }

    fn with<T>(&self, base: &Url, change: impl FnOnce(&mut Server) -> T) -> Option<T> {
        self.lock().iter_mut().find(|server| server.base == *base).map(change)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Server>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address under which files lie: `http` or `https`, ending in a slash.
fn base(text: &str) -> Result<Url, WeightsError> {
    let refuse = |what: &str| {
        let fault = Fault::new(FaultCode::InvalidRequest, format!("weights cannot be fetched from {text}: {what}"));
        WeightsError::Manifest(fault.hint("an address looks like https://huggingface.co/OWNER/REPO/resolve/main/"))
    };
    let mut url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(refuse("it is no web address"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

impl Supply {
    /// Fetches runs of blocks from the first server that answers, until nothing is left to fetch.
    pub(super) async fn ask_servers(
        &self,
        stored: &Arc<Stored>,
        board: &Board,
        gauge: &Gauge,
        servers: &Servers,
        alone: Instant,
    ) {
        let manifest = stored.manifest();
        let most = (self.options.run_bytes / u64::from(manifest.block_bytes.max(1))).max(1) as usize;
        while let Some(mut lease) = board.next_of_web(alone, |run| run.len() < most).await {
            let Some(base) = servers.current() else { return };
            let error = match self.fetch_run(stored, gauge, &base, &mut lease).await {
                Ok(()) => {
                    servers.answered(&base);
                    continue;
                }
                Err(error) => error,
            };
            drop(lease);
            let fault = match error {
                WebError::Disk(error) => {
                    board.give_up(error);
                    return;
                }
                WebError::Wrong(bad) => {
                    self.offenders.add(base.as_str());
                    WebError::Wrong(bad)
                }
                other => other,
            };
            if let Some(asked) = fault.may_pass() {
                let failures = servers.failed(&base);
                if failures < self.options.web_attempts.max(1) {
                    let pause = self.options.backoff * (1 << (failures.saturating_sub(1)).min(6));
                    let pause = asked.unwrap_or(pause).min(client::LONGEST_PAUSE);
                    tracing::debug!(%base, %fault, ?pause, "a web server is asked again later");
                    sleep(pause).await;
                    continue;
                }
            }
            let (news, others) = servers.leave(&base);
            if news {
                tracing::warn!(%base, %fault, "a web server is asked no more");
                board.leave_server(fault.from(&base), others);
            }
        }
    }

    /// Fetches adjacent blocks with one request. Blocks that came before something went wrong are kept.
    async fn fetch_run(
        &self,
        stored: &Arc<Stored>,
        gauge: &Gauge,
        base: &Url,
        lease: &mut Lease<'_>,
    ) -> Result<(), WebError> {
        let manifest = stored.manifest();
        let run: Vec<_> = lease.places().iter().filter_map(|place| Some((*place, place.of(manifest)?))).collect();
        let (Some((first, start)), Some((_, last))) = (run.first(), run.last()) else { return Ok(()) };
        let Some(file) = manifest.files.get(first.file as usize) else { return Ok(()) };
        let url = base.join(&file.name).map_err(|error| WebError::Address(error.to_string()))?;
        let range = start.start..last.start + u64::from(last.length);
        let mut body = self.client.get(url, range, file.bytes).await?;
        for (place, block) in run {
            let bytes = body.take(block.length as usize, &self.pace).await?;
            match keep(stored, place, bytes, base.as_str()).await {
                Ok(()) => {
                    lease.done(place);
                    gauge.add(block.length, false);
                }
                Err(bad @ WeightsError::BadBlock { .. }) => return Err(WebError::Wrong(bad)),
                Err(error) => return Err(WebError::Disk(error)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn addresses_are_of_the_web_and_end_in_a_slash() {
        let good = [
            ("https://hf.co/a/b/resolve/main", "https://hf.co/a/b/resolve/main/model.gguf"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/model.gguf"),
        ];
        for (text, file) in good {
            assert_eq!(base(text).unwrap().join("model.gguf").unwrap().as_str(), file);
        }
        for bad in ["file:///etc/passwd", "ftp://host/", "models", "", "data:,x"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}
