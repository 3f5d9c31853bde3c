//! JSON-RPC over HTTP, with answers of bounded size.

use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use reqwest::Url;
use tower::Service;

use crate::ChainError;

/// The most bytes an answer may have. The largest that is ever asked for, a devnet's whole state, has some ten.
const LONGEST_ANSWER: usize = 64 << 20;
const CONNECT: Duration = Duration::from_secs(5);

/// One endpoint at one address.
#[derive(Clone, Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    url: Url,
}

impl Http {
    /// The endpoint at `url`, and what to call it in messages: its host, as the rest may hold a key.
    pub(super) fn new(client: &reqwest::Client, url: &str) -> Result<(String, Self), ChainError> {
        let setting = |what: &str, why: String| ChainError::Setting { what: format!("RPC endpoint {what}"), why };
        let url: Url =
            url.parse().map_err(|error: <Url as std::str::FromStr>::Err| setting("address", error.to_string()))?;
        let name = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(setting("address", "it names no host".to_owned())),
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(setting(&name, format!("{} is neither http nor https", url.scheme())));
        }
        Ok((name, Self { client: client.clone(), url }))
    }

    /// What all endpoints share: connections, and that a redirection is not followed.
    pub(super) fn client() -> Result<reqwest::Client, ChainError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| ChainError::Setting { what: "HTTP".to_owned(), why: error.to_string() })?;
        Ok(client)
    }

    async fn post(self, packet: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let body = serde_json::to_vec(&packet).map_err(TransportError::ser_err)?;
        let request = self.client.post(self.url).header("content-type", "application/json").body(body);
        let mut response = request.send().await.map_err(TransportErrorKind::custom)?;
        let status = response.status();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(TransportErrorKind::custom)? {
            if answer.len() + chunk.len() > LONGEST_ANSWER {
                return Err(TransportErrorKind::custom_str("the answer is too long"));
            }
            answer.extend_from_slice(&chunk);
        }
        match serde_json::from_slice(&answer) {
            Ok(packet) => Ok(packet),
            Err(_) if !status.is_success() => Err(TransportErrorKind::http_error(status.as_u16(), String::new())),
            Err(error) => Err(TransportError::deser_err(error, "")),
        }
    }
}

impl Service<RequestPacket> for Http {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().post(packet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_an_address_is_not_shown() {
        let client = Http::client().unwrap();
        let (name, _) = Http::new(&client, "https://user:word@rpc.example:8443/v3/secret?key=secret").unwrap();
        assert_eq!(name, "rpc.example:8443");
    }

    #[test]
    fn only_http() {
        let client = Http::client().unwrap();
        assert!(matches!(Http::new(&client, "ftp://rpc.example"), Err(ChainError::Setting { .. })));
        assert!(matches!(Http::new(&client, "rpc.example"), Err(ChainError::Setting { .. })));
    }
}
