//! Models on their way to this machine's disk: from an address that the owner gives, into the folder of models, resumed
//! where they broke off, and taken only if they are what they are said to be.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use computepool_core::{Fault, FaultCode};
use computepool_model::catalogue::ModelSource;
use futures::StreamExt as _;
use reqwest::header::{CONTENT_RANGE, IF_RANGE, RANGE};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use ts_rs::TS;

use super::wire::{HostEvent, Problem};
use super::{Desktop, unknown};
use crate::paths::{make_folder, write_hint};

/// Downloads at once.
const MAX_RUNNING: usize = 3;
/// Left free on the disk, whatever comes.
const SPARE: u64 = 1 << 30;
/// Silence that counts as a lost connection.
const SILENCE: Duration = Duration::from_secs(30);
/// How often it is told how far it is.
const TELL: Duration = Duration::from_millis(500);
const MAX_NAME: usize = 128;

/// A model on its way.
#[derive(Clone, Debug, PartialEq, Serialize, TS)]
pub(super) struct Download {
    /// The file that it becomes.
    pub file: String,
    /// From where.
    pub url: String,
    /// Bytes that are here.
    #[ts(type = "number")]
    pub bytes: u64,
    /// Bytes in all, once that is known.
    #[ts(type = "number | null")]
    pub total: Option<u64>,
    /// Bytes a second, lately.
    #[ts(type = "number")]
    pub per_second: u64,
    /// How it is.
    pub state: DownloadState,
    /// Why it stopped.
    pub problem: Option<Problem>,
}

/// How a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub(super) enum DownloadState {
    /// It comes.
    Running,
    /// All of it is here and is being looked at.
    Checking,
    /// It was stopped; what is here is kept.
    Stopped,
    /// It failed; what is here is kept, where that is of use.
    Failed,
    /// It is among the models.
    Done,
}

/// All downloads since the start of the application.
#[derive(Default)]
pub(super) struct Downloads(Mutex<BTreeMap<String, (Download, CancellationToken)>>);

impl Downloads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Download, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<Download> {
        self.lock().values().map(|(download, _)| download.clone()).collect()
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Download)) {
        if let Some((download, _)) = self.lock().get_mut(file) {
            change(download);
        }
    }

    /// Stops one; what is here of it is kept.
    pub(super) fn stop(&self, file: &str) -> bool {
        self.lock().get(file).is_some_and(|(_, stop)| {
            stop.cancel();
            true
        })
    }

    fn forget(&self, file: &str) {
        self.lock().remove(file);
    }
}

/// The name of the file that an address leads to.
fn file_of(url: &reqwest::Url) -> Result<String, Fault> {
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    plain(name)?;
    Ok(name.to_owned())
}

/// A name that stays in its folder, and is a model's.
fn plain(name: &str) -> Result<(), Fault> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = name.len() <= MAX_NAME && !name.starts_with('.') && name.chars().all(good);
    if !fits || !name.to_ascii_lowercase().ends_with(".gguf") || name.len() == ".gguf".len() {
        let name: String = name.chars().take(40).collect();
        return Err(unknown(format!(
            "{name:?} is no model's file: its name ends in .gguf, and has letters, digits, - _ and ."
        ))
        .hint("give the address of the file itself, not of the page about it"));
    }
    Ok(())
}

/// Addresses that can be trusted to bring what they name: encrypted, or of this very machine.
fn address(text: &str) -> Result<reqwest::Url, Fault> {
    let url: reqwest::Url = text.trim().parse().map_err(|_| unknown("this is no web address".to_owned()))?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(unknown("a model is fetched from an address that begins with https://".to_owned())),
    }
}

impl Desktop {
    /// The folder that models are fetched into.
    pub(super) fn models_folder(&self) -> Result<PathBuf, Fault> {
        let folder = self.0.options.models.iter().map(|source| source.path.clone()).find(|path| path.is_dir());
        match folder {
            Some(folder) => Ok(folder),
            None => Ok(self.0.folder.join("models")),
        }
    }

    /// Where models lie: where the host says, and where they are fetched into.
    pub(super) fn model_sources(&self) -> Vec<ModelSource> {
        let mut sources = self.0.options.models.clone();
        let fetched = self.models_folder().ok().filter(|folder| folder.is_dir());
        let fetched = fetched.filter(|folder| sources.iter().all(|source| source.path != *folder));
        sources.extend(fetched.map(|path| ModelSource { id: None, path }));
        sources
    }

    /// Begins to fetch a model, or goes on where it stopped.
    pub(super) fn fetch_model(&self, url: &str, sha256: Option<&str>) -> Result<(), Fault> {
        let url = address(url)?;
        let file = file_of(&url)?;
        let sha256 = sha256.map(str::trim).filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
        if sha256.as_ref().is_some_and(|text| hex::decode(text).map(|bytes| bytes.len()) != Ok(32)) {
            return Err(unknown("a SHA-256 has 64 hexadecimal digits".to_owned()));
        }
        let folder = self.models_folder()?;
        make_folder(&folder)?;
        if folder.join(&file).exists() {
            return Err(
                unknown(format!("there is a model {file} already")).hint("delete it first, or give another address")
            );
        }
        let stop = CancellationToken::new();
        {
            let mut all = self.0.downloads.lock();
            let busy = |state| matches!(state, DownloadState::Running | DownloadState::Checking);
            if all.get(&file).is_some_and(|(download, _)| busy(download.state)) {
                return Err(unknown(format!("{file} is on its way already")));
            }
            if all.values().filter(|(download, _)| busy(download.state)).count() >= MAX_RUNNING {
                return Err(Fault::new(FaultCode::NoCapacity, format!("{MAX_RUNNING} models are on their way"))
                    .hint("wait until one is here, or stop one"));
            }
            let download = Download {
                file: file.clone(),
                url: url.to_string(),
                bytes: 0,
                total: None,
                per_second: 0,
                state: DownloadState::Running,
                problem: None,
            };
            all.insert(file.clone(), (download, stop.clone()));
        }
        let desktop = self.clone();
        tokio::spawn(async move {
            let fetched = stop.run_until_cancelled(fetch(&desktop, &url, &folder, &file, sha256.as_deref())).await;
            desktop.0.downloads.change(&file, |download| {
                download.per_second = 0;
                (download.state, download.problem) = match fetched {
                    None => (DownloadState::Stopped, None),
                    Some(Ok(())) => (DownloadState::Done, None),
                    Some(Err(fault)) => (DownloadState::Failed, Some(fault.into())),
                };
            });
            desktop.tell(HostEvent::Models);
        });
        self.tell(HostEvent::Models);
        Ok(())
    }

    /// Deletes a model, or what is here of one that was on its way.
    pub(super) async fn delete_model(&self, file: &str) -> Result<(), Fault> {
        plain(file)?;
        self.0.downloads.stop(file);
        let folder = self.models_folder()?;
        let mut found = false;
        for name in [file.to_owned(), part(file), format!("{}.etag", part(file))] {
            match tokio::fs::remove_file(folder.join(name)).await {
                Ok(()) => found = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io(&format!("{file} was not deleted"), &error)),
            }
        }
        self.0.downloads.forget(file);
        self.tell(HostEvent::Models);
        if found { Ok(()) } else { Err(unknown(format!("there is no model {file} in the folder of models"))) }
    }
}

fn part(file: &str) -> String {
    format!("{file}.part")
}

fn io(what: &str, error: &std::io::Error) -> Fault {
    Fault::new(FaultCode::Io, format!("{what}: {error}")).hint(write_hint(error))
}

async fn fetch(
    desktop: &Desktop,
    url: &reqwest::Url,
    folder: &Path,
    file: &str,
    sha256: Option<&str>,
) -> Result<(), Fault> {
    let path = folder.join(part(file));
    let etag = folder.join(format!("{}.etag", part(file)));
    let have = std::fs::metadata(&path).map_or(0, |found| found.len());
    let lost = |error: reqwest::Error| {
        Fault::new(FaultCode::LinkLost, format!("the connection broke: {}", error.without_url()))
            .hint("try again: what is here is kept")
    };
    let client = reqwest::Client::builder().read_timeout(SILENCE).build().map_err(lost)?;
    let mut request = client.get(url.clone());
    // Only the rest, and only if it is the rest of the same file.
    if let Some(tag) = std::fs::read_to_string(&etag).ok().filter(|_| have > 0) {
        request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, tag);
    }
    let response = request.send().await.map_err(lost)?;
    let resumed = response.status() == reqwest::StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
    if !resumed && response.status() != reqwest::StatusCode::OK {
        return Err(Fault::new(FaultCode::LinkLost, format!("the server answers {}", response.status()))
            .hint("look at the address; some models want that their terms are accepted on their page first"));
    }
    let begin = if resumed { have } else { 0 };
    let total = response.content_length().map(|rest| begin + rest);
    if let (Some(total), Some(free)) = (total, crate::stock::free_bytes(folder))
        && total - begin + SPARE > free
    {
        return Err(Fault::new(
            FaultCode::NoCapacity,
            format!("{file} has {total} bytes, and the disk has room for {free}"),
        )
        .hint("make room: a gigabyte is always left free"));
    }
    let tag = response.headers().get(reqwest::header::ETAG).and_then(|tag| tag.to_str().ok());
    match tag.filter(|tag| !tag.starts_with("W/")) {
        Some(tag) => std::fs::write(&etag, tag).map_err(|error| io("the download was not begun", &error))?,
        None => drop(std::fs::remove_file(&etag)),
    }
    let opened = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let mut out = opened.map_err(|error| io("the download was not begun", &error))?;
    let placed = out.set_len(begin).and_then(|()| out.seek(SeekFrom::Start(begin)));
    placed.map_err(|error| io("the download was not begun", &error))?;
    desktop.0.downloads.change(file, |download| (download.bytes, download.total) = (begin, total));
    let (mut bytes, mut told, mut stream) = (begin, (Instant::now(), begin), response.bytes_stream());
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(lost)?;
        out.write_all(&piece).map_err(|error| io(&format!("{file} was not kept"), &error))?;
        bytes += piece.len() as u64;
        let since = told.0.elapsed();
        if since >= TELL {
            let per_second = ((bytes - told.1) as f64 / since.as_secs_f64()) as u64;
            desktop.0.downloads.change(file, |download| (download.bytes, download.per_second) = (bytes, per_second));
            desktop.tell(HostEvent::Models);
            told = (Instant::now(), bytes);
        }
    }
    out.sync_all().map_err(|error| io(&format!("{file} was not kept"), &error))?;
    drop(out);
    if total.is_some_and(|total| bytes != total) {
        return Err(
            Fault::new(FaultCode::LinkLost, format!("{file} ended early")).hint("try again: what is here is kept")
        );
    }
    desktop.0.downloads.change(file, |download| {
        (download.bytes, download.total, download.state) = (bytes, Some(bytes), DownloadState::Checking);
    });
    desktop.tell(HostEvent::Models);
    let (checked, wanted, whole) = (path.clone(), sha256.map(str::to_owned), folder.join(file));
    let kept = tokio::task::spawn_blocking(move || {
        let good = check(&checked, wanted.as_deref());
        match good {
            Ok(()) => {
                std::fs::rename(&checked, whole).map_err(|error| io("the model was not put in its place", &error))
            }
            // Nothing of it can be of use.
            Err(fault) => {
                std::fs::remove_file(&checked).ok();
                Err(fault)
            }
        }
    });
    let kept = kept.await.map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))?;
    std::fs::remove_file(etag).ok();
    kept
}

/// Whether a file is a model, and the one that was meant.
fn check(path: &Path, sha256: Option<&str>) -> Result<(), Fault> {
    let failed = |error: std::io::Error| io("the model cannot be read again", &error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(failed)?;
    if read < 4 || magic != *b"GGUF" {
        return Err(Fault::new(FaultCode::BadModelFile, "what came is no GGUF file; it was deleted")
            .hint("give the address of the file itself, not of the page about it"));
    }
    let Some(wanted) = sha256 else { return Ok(()) };
    file.rewind().map_err(failed)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(failed)?;
    match hex::encode(hash.finalize()) {
        found if found == wanted => Ok(()),
        found => Err(Fault::new(FaultCode::BadModelFile, format!("what came has the SHA-256 {found}; it was deleted"))
            .hint("try again; if it stays so, the address does not lead to what you want")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encrypted_and_names_stay_in_their_folder() {
        for good in ["https://example.org/a/b/Model-1.5.Q4_0.gguf", "http://127.0.0.1:9/x.gguf?download=true"] {
            file_of(&address(good).unwrap()).unwrap();
        }
        for bad in ["http://example.org/x.gguf", "file:///etc/passwd", "ftp://x/y.gguf", "x.gguf", ""] {
            assert!(address(bad).is_err(), "{bad}");
        }
        for bad in [
            "https://example.org/",
            "https://example.org/%2e%2e%2fx.gguf",
            "https://example.org/.gguf",
            "https://example.org/x.exe",
        ] {
            assert!(file_of(&address(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
