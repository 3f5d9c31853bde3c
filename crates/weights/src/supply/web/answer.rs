//! What a server's answer says before its body comes.

use std::ops::Range;
use std::time::Duration;

use computepool_core::FaultCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};

use crate::WeightsError;

/// The most that is skipped of a whole file that was sent in place of a range, in bytes.
const SKIPPED: u64 = 32 << 20;

/// Why a web server's answer was of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum WebError {
    /// A name that makes no address.
    #[error("bad address: {0}")]
    Address(String),
    /// No connection, a broken one, or silence.
    #[error("{reason}")]
    Broken {
        /// In words.
        reason: String,
        /// Whether it was silence.
        stalled: bool,
    },
    /// A status that is no success.
    #[error("it answers {status}")]
    Status {
        /// Which.
        status: StatusCode,
        /// The pause that it asks for.
        retry_after: Option<Duration>,
    },
    /// The whole file where a range far into it was asked for.
    #[error("it does not send parts of files, and the part needed begins after {start} bytes")]
    NoRanges {
        /// Where the range begins.
        start: u64,
    },
    /// Another part than the one asked for, or of a file of another length.
    #[error("it sends {got}, asked for {expected}")]
    OtherRange {
        /// As the header would say it.
        expected: String,
        /// As the header says it.
        got: String,
    },
    /// Fewer bytes than announced.
    #[error("it ends its answer too early")]
    Short,
    /// A block that is not the manifest's.
    #[error(transparent)]
    Wrong(WeightsError),
    /// Not the server's fault.
    #[error(transparent)]
    Disk(WeightsError),
}

impl WebError {
    pub(super) fn of(error: reqwest::Error) -> Self {
        // What went wrong stands at the end of the chain; the beginning repeats the address.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let stalled = error.is_timeout();
        let reason = if stalled { "it is silent".to_owned() } else { format!("the connection failed: {cause}") };
        Self::Broken { reason, stalled }
    }

    /// Whether it may go better later, and after which pause the server says so.
    pub(super) fn may_pass(&self) -> Option<Option<Duration>> {
        match self {
            Self::Broken { .. } | Self::Short => Some(None),
            Self::Status { status, retry_after } => {
                let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status);
                (busy || status.is_server_error()).then_some(*retry_after)
            }
            _ => None,
        }
    }

    /// The same, saying of which server.
    pub(super) fn from(self, base: &Url) -> WeightsError {
        let code = match &self {
            Self::Wrong(_) => FaultCode::BadBlock,
            Self::Broken { stalled: true, .. } => FaultCode::Stalled,
            Self::Broken { .. } | Self::Short => FaultCode::LinkLost,
            Self::Status { status, .. } if [401, 403].contains(&status.as_u16()) => FaultCode::Unauthorized,
            Self::Status { status, .. } if [404, 410].contains(&status.as_u16()) => FaultCode::ModelNotFound,
            Self::Status { status, .. } if status.as_u16() == 429 => FaultCode::RateLimited,
            Self::Status { status, .. } if status.is_server_error() => FaultCode::NoCapacity,
            Self::Address(_) => FaultCode::InvalidRequest,
            _ => FaultCode::ProtocolViolation,
        };
        WeightsError::Source { from: base.to_string(), code, reason: self.to_string() }
    }
}

/// Checks the head of an answer to a request for `range` of a file of `bytes` bytes. Returns how many bytes of the body
/// come before the range.
pub(super) fn check(status: StatusCode, headers: &HeaderMap, range: &Range<u64>, bytes: u64) -> Result<u64, WebError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let expected = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
            let got = text(CONTENT_RANGE).unwrap_or("a part, without saying which");
            let of_unknown = got.strip_suffix("/*").is_some_and(|part| expected.starts_with(&format!("{part}/")));
            if got != expected && !of_unknown {
                return Err(WebError::OtherRange { expected, got: shown(got) });
            }
            match length {
                Some(length) if length != range.end - range.start => {
                    let expected = format!("{} bytes", range.end - range.start);
                    Err(WebError::OtherRange { expected, got: format!("{length} bytes") })
                }
                _ => Ok(0),
            }
        }
        StatusCode::OK => match length {
            Some(length) if length != bytes => {
                let expected = format!("a file of {bytes} bytes");
                Err(WebError::OtherRange { expected, got: format!("one of {length}") })
            }
            _ if range.start > SKIPPED => Err(WebError::NoRanges { start: range.start }),
            _ => Ok(range.start),
        },
        status => {
            let seconds = text(RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
            Err(WebError::Status { status, retry_after: seconds.map(Duration::from_secs) })
        }
    }
}

/// A header as it may stand in a message.
fn shown(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)], range: Range<u64>) -> Result<u64, WebError> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(StatusCode::from_u16(status).unwrap(), &headers, &range, 1 << 30)
    }

    #[test]
    fn only_the_range_that_was_asked_for_is_taken() {
        let range = || 100..200;
        let total = 1u64 << 30;
        let right = format!("bytes 100-199/{total}");
        assert_eq!(answer(206, &[("content-range", &right)], range()).unwrap(), 0);
        assert_eq!(answer(206, &[("content-range", &right), ("content-length", "100")], range()).unwrap(), 0);
        assert_eq!(answer(206, &[("content-range", "bytes 100-199/*")], range()).unwrap(), 0);
        let lying = [
            vec![],
            vec![("content-range", "bytes 0-99/1073741824")],
            vec![("content-range", "bytes 100-199/1073741825")],
            vec![("content-range", "bytes 100-198/1073741824")],
            vec![("content-range", "bytes 100-1/*")],
            vec![("content-range", "garbage")],
            vec![("content-range", right.as_str()), ("content-length", "101")],
        ];
        for headers in lying {
            assert!(matches!(answer(206, &headers, range()), Err(WebError::OtherRange { .. })), "{headers:?}");
        }
    }

    #[test]
    fn a_whole_file_is_skipped_through_only_where_that_is_little() {
        assert_eq!(answer(200, &[], 100..200).unwrap(), 100);
        assert_eq!(answer(200, &[("content-length", "1073741824")], 0..200).unwrap(), 0);
        assert!(matches!(answer(200, &[("content-length", "5")], 0..200), Err(WebError::OtherRange { .. })));
        let far = (100 << 20)..(101 << 20);
        assert!(matches!(answer(200, &[], far), Err(WebError::NoRanges { .. })));
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let status = |code, headers: &[(&'static str, &str)]| answer(code, headers, 0..10).unwrap_err();
        assert_eq!(status(503, &[("retry-after", "7")]).may_pass(), Some(Some(Duration::from_secs(7))));
        assert_eq!(status(429, &[]).may_pass(), Some(None));
        for code in [400, 401, 403, 404, 416] {
            assert_eq!(status(code, &[]).may_pass(), None, "{code}");
        }
        let base = Url::parse("http://host/").unwrap();
        let code = |status_code| computepool_core::Fault::from(status(status_code, &[]).from(&base)).code;
        assert_eq!(code(404), FaultCode::ModelNotFound);
        assert_eq!(code(403), FaultCode::Unauthorized);
        assert_eq!(code(416), FaultCode::ProtocolViolation);
        assert_eq!(code(500), FaultCode::NoCapacity);
    }
}
