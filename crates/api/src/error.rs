//! Errors as OpenAI's clients expect them: a status, a body, and when to come back.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use computepool_core::{Fault, FaultCode, Retry};

use crate::wire::{ErrorBody, ErrorDetail};

/// A request that ends in an error.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// OpenAI's `type`.
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after_s: Option<u64>,
    /// The fault behind it, for the metrics.
    pub(crate) fault: FaultCode,
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl ApiError {
    /// 400: the value of `param` is not acceptable.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::request(StatusCode::BAD_REQUEST, message).param(param)
    }

    /// An error the client can mend, with a status of its own.
    pub(crate) fn request(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: INVALID,
            code: None,
            param: None,
            message: message.into(),
            retry_after_s: None,
            fault: FaultCode::InvalidRequest,
        }
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// A bug of ours.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Fault::new(FaultCode::Internal, message).into()
    }

    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                message: self.message.clone(),
                kind: self.kind.to_owned(),
                param: self.param.clone(),
                code: self.code.map(str::to_owned),
            },
        }
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        use FaultCode as C;
        let (status, kind, code) = match fault.code {
            C::InvalidRequest => (StatusCode::BAD_REQUEST, INVALID, None),
            C::BadGrammar => (StatusCode::BAD_REQUEST, INVALID, Some(fault.code.as_str())),
            C::ContextLength => (StatusCode::BAD_REQUEST, INVALID, Some(fault.code.as_str())),
            C::ModelNotFound => (StatusCode::NOT_FOUND, INVALID, Some(fault.code.as_str())),
            C::Unauthorized => (StatusCode::UNAUTHORIZED, INVALID, Some("invalid_api_key")),
            C::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "requests", Some("rate_limit_exceeded")),
            C::PaymentRequired | C::PaymentRefused | C::BudgetSpent => {
                (StatusCode::PAYMENT_REQUIRED, INVALID, Some(fault.code.as_str()))
            }
            C::NoCapacity
            | C::NoRoute
            | C::NodeLost
            | C::EngineLost
            | C::LinkLost
            | C::Stalled
            | C::ChainUnavailable
            | C::Draining
            | C::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, SERVER, Some(fault.code.as_str())),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, SERVER, Some(fault.code.as_str())),
        };
        let comes_back = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let retry_after_s = match fault.retry {
            Retry::AfterMs(ms) => Some(ms.div_ceil(1000).max(1)),
            Retry::Never => comes_back.then_some(1),
        };
        let message = match &fault.hint {
            Some(hint) => format!("{} ({hint})", fault.message),
            None => fault.message,
        };
        Self { status, kind, code, param: None, message, retry_after_s, fault: fault.code }
    }
}

/// The fault of a response, left in its extensions for the metrics.
#[derive(Clone, Copy)]
pub(crate) struct FaultMark(pub(crate) FaultCode);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(FaultMark(self.fault));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_status_and_says_when_to_return() {
        for code in FaultCode::ALL {
            let error = ApiError::from(Fault::new(*code, "what").hint("why"));
            assert!(error.status.is_client_error() || error.status.is_server_error(), "{code}");
            assert_eq!(error.message, "what (why)");
            let comes_back = matches!(error.status.as_u16(), 429 | 503);
            assert_eq!(error.retry_after_s.is_some(), comes_back, "{code}");
        }
        let busy = ApiError::from(Fault::new(FaultCode::NoCapacity, "full").retry_after_ms(2500));
        assert_eq!((busy.status.as_u16(), busy.retry_after_s), (503, Some(3)));
        let missing = ApiError::from(Fault::new(FaultCode::ModelNotFound, "no such model"));
        assert_eq!((missing.status.as_u16(), missing.code), (404, Some("model_not_found")));
    }
}
