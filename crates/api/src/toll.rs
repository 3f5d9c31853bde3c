//! Where asking costs something: what a request presents, the answer 402, and the meter of what runs.
//!
//! Payments follow x402, version 2: a request without payment gets a 402 with `PAYMENT-REQUIRED`; the same request with a
//! voucher in `PAYMENT-SIGNATURE` opens a session and is answered, with `PAYMENT-RESPONSE`. Further requests present
//! the session's token, from the header `computepool-session`, where OpenAI's clients send a key. Who says beforehand who
//! will pay, in `computepool-payer`, gets a quote that nobody else can pay, and whose rest goes nowhere else.

use std::sync::Arc;

use axum::Json;
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use computepool_core::ports::{Asked, Presented, Quote, SessionToken, Toll, TollRefusal};
use computepool_core::{ClientId, Fault, FaultCode, GenerationId, ModelId, SessionId};
use serde_json::json;

use crate::error::{ApiError, FaultMark};
use crate::gate::Caller;
use crate::keys::{Account, bearer};
use crate::router::Api;

/// What is to be paid; on a 402.
pub(crate) const REQUIRED: HeaderName = HeaderName::from_static("payment-required");
/// A voucher; on a request.
pub(crate) const SIGNATURE: HeaderName = HeaderName::from_static("payment-signature");
/// What became of a voucher; on an answer.
pub(crate) const RESPONSE: HeaderName = HeaderName::from_static("payment-response");
/// The token of the session that a voucher opened; on an answer.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("computepool-session");
/// Who will pay, so that the quote names it; on a request.
pub(crate) const PAYER: HeaderName = HeaderName::from_static("computepool-payer");

/// A request that may run: as whom, and for whose money.
pub(crate) struct Passage {
    account: Arc<Account>,
    client: Option<ClientId>,
    fare: Option<Fare>,
    /// What the asker has to know of it.
    marks: Vec<(HeaderName, HeaderValue)>,
}

/// A session that pays for what runs.
struct Fare {
    toll: Arc<dyn Toll>,
    session: SessionId,
}

/// A generation that is paid for while this is held.
pub(crate) struct Meter {
    toll: Arc<dyn Toll>,
    generation: GenerationId,
}

impl Passage {
    /// Whose generations are counted.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// As whom the orchestrator knows the asker.
    pub(crate) fn client(&self) -> &ClientId {
        self.client.as_ref().unwrap_or(&self.account.client)
    }

    /// The session that pays, where one does.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.fare.as_ref().map(|fare| fare.session)
    }

    /// The meter of a generation that begins; `None` where nothing is paid.
    pub(crate) fn begin(&self, generation: GenerationId) -> Result<Option<Meter>, Fault> {
        let Some(Fare { toll, session }) = &self.fare else { return Ok(None) };
        toll.began(*session, generation)?;
        Ok(Some(Meter { toll: toll.clone(), generation }))
    }
}

impl Meter {
    /// A token was delivered.
    pub(crate) fn token(&self) -> Result<(), Fault> {
        self.toll.progressed(self.generation)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.toll.ended(self.generation);
    }
}

/// Answers a request for `model` that is free for its caller, or paid; else says what to pay.
pub(crate) async fn serve<F>(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    uri: &Uri,
    model: &ModelId,
    answer: impl FnOnce(Passage) -> F,
) -> Response
where
    F: Future<Output = Result<Response, ApiError>>,
{
    let mut passage = match pass(api, caller, headers, uri, model).await {
        Ok(passage) => passage,
        Err(response) => return *response,
    };
    let marks = std::mem::take(&mut passage.marks);
    let mut response = answer(passage).await.into_response();
    // A voucher was taken also where the answer is an error.
    response.headers_mut().extend(marks);
    response
}

async fn pass(
    api: &Api,
    caller: &Caller,
    headers: &HeaderMap,
    uri: &Uri,
    model: &ModelId,
) -> Result<Passage, Box<Response>> {
    let account = caller.account.clone();
    let Some(toll) = api.toll.as_ref().filter(|_| !caller.known) else {
        return Ok(Passage { account, client: None, fare: None, marks: Vec::new() });
    };
    let asked = Asked { model: model.clone(), resource: resource(headers, uri), payer: payer(headers)? };
    let Some(presented) = presented(headers)? else {
        let fault = Fault::new(FaultCode::PaymentRequired, "this model is paid by the second")
            .hint("pay as the header PAYMENT-REQUIRED says, with any x402 client");
        return Err(unpaid(&**toll, &asked, None, fault, None).await);
    };
    match toll.admit(&asked, presented).await {
        Ok(admission) => {
            let mut marks = Vec::new();
            marks.extend(admission.receipt.and_then(|it| Some((RESPONSE, HeaderValue::try_from(it).ok()?))));
            marks.extend(admission.token.and_then(|it| {
                let mut value = HeaderValue::try_from(it.reveal()).ok()?;
                value.set_sensitive(true);
                Some((SESSION, value))
            }));
            let fare = Some(Fare { toll: toll.clone(), session: admission.session });
            Ok(Passage { account, client: Some(admission.client), fare, marks })
        }
        Err(TollRefusal::Pay { reason, fault, receipt }) => {
            Err(unpaid(&**toll, &asked, Some(&reason), fault, receipt).await)
        }
        Err(TollRefusal::Malformed(fault)) => Err(refused(malformed(&fault))),
        Err(TollRefusal::Fault(fault)) => Err(refused(fault.into())),
    }
}

/// What a request brings; `None` where that is nothing.
fn presented(headers: &HeaderMap) -> Result<Option<Presented>, Box<Response>> {
    if let Some(value) = headers.get(SIGNATURE) {
        let text = value.to_str().map_err(|_| {
            let fault = Fault::new(FaultCode::PaymentRefused, "PAYMENT-SIGNATURE is not text");
            refused(malformed(&fault))
        })?;
        return Ok(Some(Presented::Voucher(text.to_owned())));
    }
    Ok(session_token(headers).map(Presented::Token))
}

/// Who says that it will pay.
fn payer(headers: &HeaderMap) -> Result<Option<computepool_core::Account>, Box<Response>> {
    let Some(value) = headers.get(PAYER) else { return Ok(None) };
    let account = value.to_str().ok().and_then(|text| text.parse::<computepool_core::Account>().ok());
    let account = account.filter(|account| !account.is_zero()).ok_or_else(|| {
        let fault =
            Fault::new(FaultCode::InvalidRequest, "the header computepool-payer is no account: 0x and 40 digits");
        refused(malformed(&fault))
    })?;
    Ok(Some(account))
}

/// The session's token that is presented as a key.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<SessionToken> {
    SessionToken::new(bearer(headers.get(AUTHORIZATION)?)?)
}

/// The address that was asked, as far as the request says it.
fn resource(headers: &HeaderMap, uri: &Uri) -> String {
    let said = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = said(HOST).or_else(|| uri.authority().map(|it| it.as_str())).unwrap_or("localhost");
    let scheme = match said(HeaderName::from_static("x-forwarded-proto")) {
        Some("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}{}", uri.path())
}

/// 402: what to pay, and why what was presented does not do.
async fn unpaid(
    toll: &dyn Toll,
    asked: &Asked,
    reason: Option<&str>,
    fault: Fault,
    receipt: Option<String>,
) -> Box<Response> {
    let Quote { header, body } = match toll.quote(asked, reason).await {
        Ok(quote) => quote,
        Err(fault) => return refused(fault.into()),
    };
    let error = ApiError { status: StatusCode::PAYMENT_REQUIRED, ..fault.into() };
    let mark = FaultMark(error.fault);
    // OpenAI's clients find their error here, and x402's what they sign.
    let body = json!({ "error": error.body().error, "payment": body });
    let mut response = (StatusCode::PAYMENT_REQUIRED, Json(body)).into_response();
    for (name, value) in [(REQUIRED, Some(header)), (RESPONSE, receipt)] {
        if let Some(value) = value.and_then(|it| HeaderValue::try_from(it).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response.extensions_mut().insert(mark);
    Box::new(response)
}

fn malformed(fault: &Fault) -> ApiError {
    ApiError { fault: fault.code, ..ApiError::request(StatusCode::BAD_REQUEST, fault.message.clone()) }
        .code("malformed_payment")
}

fn refused(error: ApiError) -> Box<Response> {
    Box::new(error.into_response())
}
