//! Requests for ranges of files, and the bytes that come.

use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::RANGE;
use reqwest::redirect::Policy;
use reqwest::{Response, Url};

use super::answer::{self, WebError};
use crate::WeightsError;
use crate::supply::pace::Pace;

/// The longest pause before a server is asked again, whatever it says.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Redirects that are followed; Hugging Face answers with one, to its content delivery network.
const REDIRECTS: usize = 5;

/// An HTTP client that asks for ranges.
#[derive(Clone, Debug)]
pub(in crate::supply) struct Client {
    http: reqwest::Client,
}

impl Client {
    /// `stall` is how long a server may be silent.
    pub(in crate::supply) fn new(stall: Duration) -> Result<Self, WeightsError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("computepool/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT.min(stall))
            .read_timeout(stall)
            .redirect(Policy::limited(REDIRECTS))
            .referer(false);
        let http = builder.build().map_err(|error| WeightsError::Broken(format!("no HTTP client: {error}")))?;
        Ok(Self { http })
    }

    /// Asks for `range` of a file that has `bytes` bytes. The body that is returned starts with it.
    pub(super) async fn get(&self, url: Url, range: Range<u64>, bytes: u64) -> Result<Body, WebError> {
        let wanted = format!("bytes={}-{}", range.start, range.end - 1);
        let response = self.http.get(url).header(RANGE, wanted).send().await.map_err(WebError::of)?;
        let skip = answer::check(response.status(), response.headers(), &range, bytes)?;
        let mut body = Body { response, rest: Bytes::new() };
        body.skip(skip).await?;
        Ok(body)
    }
}

/// The bytes of an answer, as they come.
pub(super) struct Body {
    response: Response,
    /// Came, and was not taken yet.
    rest: Bytes,
}

impl Body {
    /// The next `length` bytes.
    pub(super) async fn take(&mut self, length: usize, pace: &Pace) -> Result<Bytes, WebError> {
        let mut taken = BytesMut::with_capacity(length);
        while taken.len() < length {
            let part = self.next(length - taken.len()).await?;
            pace.wait(part.len() as u64).await;
            taken.extend_from_slice(&part);
        }
        Ok(taken.freeze())
    }

    async fn skip(&mut self, mut length: u64) -> Result<(), WebError> {
        while length > 0 {
            length -= self.next(usize::try_from(length).unwrap_or(usize::MAX)).await?.len() as u64;
        }
        Ok(())
    }

    /// One to `most` bytes.
    async fn next(&mut self, most: usize) -> Result<Bytes, WebError> {
        while self.rest.is_empty() {
            self.rest = self.response.chunk().await.map_err(WebError::of)?.ok_or(WebError::Short)?;
        }
        Ok(self.rest.split_to(most.min(self.rest.len())))
    }
}
