//! A web server that counts what it sends, and may misbehave.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use futures::stream;

use crate::model::Model;

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Manner {
    /// As it should.
    Well,
    /// Always with this status.
    Status(u16),
    /// With this status so many times, then well.
    StatusAtFirst(u16, usize),
    /// With a redirect to where it answers well, as Hugging Face does.
    Elsewhere,
    /// With the whole file.
    Whole,
    /// With one byte changed.
    Poisoned,
    /// With a range that it says is another.
    OtherRange,
    /// Announcing all and sending half.
    Cut,
    /// Announcing all and then silent.
    Silent,
}

pub(crate) struct Server {
    pub(crate) url: String,
    served: Arc<Served>,
    task: tokio::task::JoinHandle<()>,
}

struct Served {
    files: Vec<(String, Vec<u8>)>,
    manner: Manner,
    /// Bytes of bodies handed out.
    bytes: AtomicU64,
    requests: AtomicUsize,
    ranges: Mutex<Vec<(String, Range<u64>)>>,
}

impl Server {
    pub(crate) async fn start(model: &Model, manner: Manner) -> Self {
        let served = Arc::new(Served {
            files: model.files.clone(),
            manner,
            bytes: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            ranges: Mutex::default(),
        });
        let routes = Router::new()
            .route("/repo/{*name}", get(serve))
            .route("/cdn/{*name}", get(serve_well))
            .with_state(Arc::clone(&served));
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}/repo", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, served, task }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.served.bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.served.requests.load(Ordering::SeqCst)
    }

    /// The parts of files that were asked for.
    pub(crate) fn ranges(&self) -> Vec<(String, Range<u64>)> {
        self.served.ranges.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(served): State<Arc<Served>>, Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    let number = served.requests.fetch_add(1, Ordering::SeqCst);
    served.answer(served.manner, number, &name, &headers)
}

async fn serve_well(State(served): State<Arc<Served>>, Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    served.answer(Manner::Well, 0, &name, &headers)
}

impl Served {
    fn answer(&self, manner: Manner, number: usize, name: &str, headers: &HeaderMap) -> Response<Body> {
        let status = |code: u16| Response::builder().status(code).body(Body::empty()).unwrap();
        match manner {
            Manner::Status(code) => return status(code),
            Manner::StatusAtFirst(code, times) if number < times => return status(code),
            Manner::Elsewhere => {
                let moved = Response::builder().status(StatusCode::FOUND).header(LOCATION, format!("/cdn/{name}"));
                return moved.body(Body::empty()).unwrap();
            }
            _ => {}
        }
        let Some((_, file)) = self.files.iter().find(|(known, _)| known == name) else { return status(404) };
        let Some(range) = wanted(headers) else { return status(400) };
        if range.end > file.len() as u64 {
            return status(416);
        }
        self.ranges.lock().unwrap().push((name.to_owned(), range.clone()));
        let mut part = file[range.start as usize..range.end as usize].to_vec();
        let content_range = match manner {
            Manner::OtherRange => format!("bytes {}-{}/{}", range.start + 1, range.end, file.len()),
            _ => format!("bytes {}-{}/{}", range.start, range.end - 1, file.len()),
        };
        let answer = match manner {
            Manner::Whole => {
                part = file.clone();
                Response::builder().status(StatusCode::OK)
            }
            _ => Response::builder().status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, content_range),
        };
        self.bytes.fetch_add(part.len() as u64, Ordering::SeqCst);
        let answer = answer.header(CONTENT_LENGTH, part.len());
        let half = Bytes::copy_from_slice(&part[..part.len() / 2]);
        let body = match manner {
            Manner::Poisoned => {
                let last = part.len() - 1;
                part[last] ^= 1;
                Body::from(part)
            }
            Manner::Cut => Body::from_stream(stream::iter([Ok(half), Err(std::io::Error::other("cut"))])),
            Manner::Silent => {
                let first = stream::iter([Ok::<_, std::io::Error>(half)]);
                Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
            }
            _ => Body::from(part),
        };
        answer.body(body).unwrap()
    }
}

fn wanted(headers: &HeaderMap) -> Option<Range<u64>> {
    let (start, last) = headers.get(RANGE)?.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
    Some(start.parse().ok()?..last.parse::<u64>().ok()? + 1)
}
