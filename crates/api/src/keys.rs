//! API keys: kept as digests, compared in constant time, each with its own limits.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use computepool_core::ports::SessionToken;
use computepool_core::{ClientId, Fault, FaultCode};
use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ApiOptions;
use crate::gate::Caller;

/// The longest key that is looked at; a longer one is unknown.
const MAX_KEY_BYTES: usize = 512;

/// SHA-256 of an API key: enough to recognise it, not enough to use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    /// The digest of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }
}

impl fmt::Display for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({}…)", hex::encode(&self.0[..4]))
    }
}

impl FromStr for KeyDigest {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|error| {
            Fault::new(FaultCode::InvalidRequest, format!("this is not a key digest: {error}"))
                .hint("a key digest is the SHA-256 of the key, as 64 hex characters")
        })?;
        Ok(Self(bytes))
    }
}

/// What one client may do at a time and over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// Generations running at once.
    pub generations: u32,
    /// Requests a minute, on average; `None` counts nothing.
    pub per_minute: Option<NonZeroU32>,
    /// Requests at once before the average counts; `None` is a minute's worth.
    pub burst: Option<NonZeroU32>,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self { generations: 64, per_minute: NonZeroU32::new(1200), burst: None }
    }
}

/// One accepted key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key's digest.
    pub digest: KeyDigest,
    /// Its own limits, in place of [`ApiOptions::key_limits`].
    pub limits: Option<KeyLimits>,
}

impl From<KeyDigest> for ApiKey {
    fn from(digest: KeyDigest) -> Self {
        Self { digest, limits: None }
    }
}

/// A client and what it has left.
pub(crate) struct Account {
    pub(crate) client: ClientId,
    digest: Option<KeyDigest>,
    slots: Arc<Semaphore>,
    limit: u32,
    rate: Option<DefaultDirectRateLimiter>,
}

impl Account {
    fn new(client: ClientId, digest: Option<KeyDigest>, limits: KeyLimits) -> Self {
        let rate = limits.per_minute.map(|per_minute| {
            let quota = Quota::per_minute(per_minute);
            RateLimiter::direct(limits.burst.map_or(quota, |burst| quota.allow_burst(burst)))
        });
        let slots = Arc::new(Semaphore::new(limits.generations as usize));
        Self { client, digest, slots, limit: limits.generations, rate }
    }

    /// Counts one request; refused when there were too many.
    pub(crate) fn count(&self) -> Result<(), Fault> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.check().map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            rate_limited("too many requests for this key", wait)
        })
    }

    /// Takes `generations` slots until the permit is dropped.
    pub(crate) fn occupy(&self, generations: u32) -> Result<OwnedSemaphorePermit, Fault> {
        self.slots.clone().try_acquire_many_owned(generations).map_err(|_| {
            let what =
                format!("this key may run {} generations at once, and has no room for {generations} more", self.limit);
            rate_limited(what, Duration::from_secs(1))
        })
    }
}

fn rate_limited(what: impl Into<String>, wait: Duration) -> Fault {
    Fault::new(FaultCode::RateLimited, what).retry_after_ms(wait.as_millis().min(3_600_000) as u64)
}

/// Every client this endpoint serves.
pub(crate) struct Keyring {
    accounts: Vec<Arc<Account>>,
    /// Everybody, where nobody needs a key and nothing is paid.
    local: Option<Arc<Account>>,
    /// Everybody without a key, where strangers pay.
    stranger: Option<Arc<Account>>,
}

/// The key in an `Authorization` header.
pub(crate) fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, key) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

pub(crate) fn no_key() -> Fault {
    Fault::new(FaultCode::Unauthorized, "you did not provide an API key")
        .hint("send it in the header `Authorization: Bearer KEY`")
}

impl Keyring {
    /// With `paid`, strangers may ask too.
    pub(crate) fn new(options: &ApiOptions, paid: bool) -> Self {
        let known = |key: &ApiKey| {
            let client = ClientId::new(format!("key_{}", hex::encode(&key.digest.0[..8]))).ok()?;
            let limits = key.limits.unwrap_or(options.key_limits);
            Some(Arc::new(Account::new(client, Some(key.digest), limits)))
        };
        let named = |name: &str, limits| Some(Arc::new(Account::new(ClientId::new(name).ok()?, None, limits)));
        Self {
            accounts: options.keys.iter().filter_map(known).collect(),
            local: (options.keys.is_empty() && !paid).then(|| named("local", options.local_limits)).flatten(),
            stranger: paid.then(|| named("stranger", options.stranger_limits)).flatten(),
        }
    }

    /// Who is asking.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Fault> {
        if let Some(local) = &self.local {
            return Ok(Caller { account: local.clone(), known: true });
        }
        let key = headers.get(AUTHORIZATION).and_then(bearer);
        if let Some(account) = key.and_then(|key| self.find(key)) {
            return Ok(Caller { account, known: true });
        }
        // A wrong key is told so, where there are right ones; a session's token is none.
        let wrong = key.filter(|key| !self.accounts.is_empty() && !key.starts_with(SessionToken::PREFIX));
        match (&self.stranger, wrong) {
            (Some(stranger), None) => Ok(Caller { account: stranger.clone(), known: false }),
            (None, _) if key.is_none() => Err(no_key()),
            _ => Err(Fault::new(FaultCode::Unauthorized, "incorrect API key provided")
                .hint("ask the owner of this endpoint for a key")),
        }
    }

    /// Compares with every key, whether or not one has matched already.
    fn find(&self, key: &str) -> Option<Arc<Account>> {
        if key.len() > MAX_KEY_BYTES {
            return None;
        }
        let presented = KeyDigest::of(key);
        let mut found = None;
        for account in &self.accounts {
            let matches = account.digest.map_or(Choice::from(0), |digest| digest.0.ct_eq(&presented.0));
            if bool::from(matches) {
                found = Some(account.clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_a_digest_and_never_by_its_key() {
        let options = ApiOptions { keys: vec![KeyDigest::of("secret").into()], ..ApiOptions::default() };
        let ring = Keyring::new(&options, false);
        let mut headers = HeaderMap::new();
        assert_eq!(ring.caller(&headers).err().unwrap().code, FaultCode::Unauthorized);
        headers.insert(AUTHORIZATION, "Bearer secret".parse().unwrap());
        let Caller { account, known } = ring.caller(&headers).unwrap();
        assert!(known);
        assert_eq!(account.client.as_str(), format!("key_{}", &KeyDigest::of("secret").to_string()[..16]));
        headers.insert(AUTHORIZATION, "Bearer Secret".parse().unwrap());
        assert!(ring.caller(&headers).is_err());
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn limits_are_counted_per_client() {
        let limits = KeyLimits { generations: 2, per_minute: NonZeroU32::new(1), burst: NonZeroU32::new(2) };
        let account = Account::new(ClientId::new("c").unwrap(), None, limits);
        assert!(account.count().is_ok() && account.count().is_ok());
        let fault = account.count().unwrap_err();
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert!(matches!(fault.retry, computepool_core::Retry::AfterMs(1..=60_000)), "{fault:?}");

        let held = account.occupy(2).unwrap();
        assert_eq!(account.occupy(1).unwrap_err().code, FaultCode::RateLimited);
        drop(held);
        assert!(account.occupy(2).is_ok());
        assert!(account.occupy(3).is_err());
    }
}
