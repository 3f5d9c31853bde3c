//! A wallet in use: locked or not, and signing what its purposes and limits let pass.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use computepool_core::money::Signature;
use computepool_core::ports::{Clock, SigningRequest, Vault, VaultAccount};
use computepool_core::{Account, Fault, FaultCode};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::card::Card;
use crate::error::WalletError;
use crate::key::PrivateKey;
use crate::limits::{self, Limits};
use crate::permission::Contracts;
use crate::private_file;
use crate::safe::Safe;
use crate::secret::Passphrase;
use crate::spends::{Spends, Spent};

/// One wallet, opened for signing. It begins locked.
///
/// ```text
/// request ─→ understood? ─→ within the limits? ─→ written down ─→ signed
/// ```
///
/// Nothing is signed that was not understood first, and no signature is given out that a crash could make forgotten.
/// Limits are read anew for each signature, so that a change counts at once, in every process.
#[derive(Clone)]
pub struct Wallet(Arc<Inner>);

struct Inner {
    card: Card,
    safe: Arc<dyn Safe>,
    clock: Arc<dyn Clock>,
    contracts: RwLock<Contracts>,
    limits: PathBuf,
    spends: Spends,
    keys: Mutex<Option<Keys>>,
}

/// The keys while the wallet is open, and from when to when that is.
struct Keys {
    of: BTreeMap<Account, PrivateKey>,
    since_ms: u64,
    until_ms: u64,
}

impl Wallet {
    pub(crate) fn new(
        card: Card,
        safe: Arc<dyn Safe>,
        clock: Arc<dyn Clock>,
        contracts: Contracts,
        limits: PathBuf,
        spends: Spends,
    ) -> Self {
        let (contracts, keys) = (RwLock::new(contracts), Mutex::new(None));
        Self(Arc::new(Inner { card, safe, clock, contracts, limits, spends, keys }))
    }

    /// What is known of it.
    pub fn card(&self) -> &Card {
        &self.0.card
    }

    /// Opens it for so long, or until it is locked. Blocks for up to a second, and longer where the system asks the
    /// person to open their keyring.
    pub fn unlock(&self, passphrase: Option<&Passphrase>, span: Option<Duration>) -> Result<(), WalletError> {
        let Inner { card, safe, clock, .. } = &*self.0;
        let root = safe.load(&card.name, passphrase)?;
        let mut keys = BTreeMap::new();
        for (index, account) in (0..).zip(&card.accounts) {
            let key = root.key(index)?;
            if key.address() != account.0 {
                return Err(WalletError::OtherSecret(card.name.clone()));
            }
            keys.insert(*account, key);
        }
        let since_ms = clock.now_ms();
        let span_ms = span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        let until_ms = span_ms.map_or(u64::MAX, |span| since_ms.saturating_add(span));
        *self.0.keys() = Some(Keys { of: keys, since_ms, until_ms });
        Ok(())
    }

    /// Forgets the keys at once.
    pub fn lock(&self) {
        *self.0.keys() = None;
    }

    /// Whether it can sign now. Where its time is over, this forgets the keys: call it now and then, so that they do not
    /// stay in memory longer than asked for.
    pub fn is_unlocked(&self) -> bool {
        self.0.open().is_some()
    }

    /// Takes another address book: after a deployment, or when a chain is added.
    pub fn know(&self, contracts: Contracts) {
        *self.0.contracts.write().unwrap_or_else(PoisonError::into_inner) = contracts;
    }

    /// What was spent in the last day, beside the limits. Works on a locked wallet.
    pub fn spent(&self) -> Result<Spent, WalletError> {
        Ok(self.0.spends.spent(self.0.clock.now_ms(), &self.0.limits()?)?)
    }

    /// Signs, or says why not. Blocks for as long as the disk needs to take a line.
    pub fn sign_now(&self, request: &SigningRequest) -> Result<Signature, WalletError> {
        self.0.sign(request)
    }
}

impl Inner {
    fn keys(&self) -> MutexGuard<'_, Option<Keys>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, unless their time is over. A clock before the time of opening is no reason to stay open.
    fn open(&self) -> Option<MutexGuard<'_, Option<Keys>>> {
        let now = self.clock.now_ms();
        let mut keys = self.keys();
        if keys.as_ref().is_some_and(|keys| now < keys.since_ms || now >= keys.until_ms) {
            *keys = None;
        }
        keys.is_some().then_some(keys)
    }

    fn limits(&self) -> Result<Limits, WalletError> {
        let text = private_file::read(&self.limits, limits::MAX_TEXT)?;
        let damaged = |why: String| WalletError::Damaged { file: self.limits.display().to_string(), why };
        let limits: Limits = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        limits.check().map_err(|error| damaged(error.to_string()))?;
        Ok(limits)
    }

    fn sign(&self, request: &SigningRequest) -> Result<Signature, WalletError> {
        let (name, account) = (&self.card.name, request.account);
        if !self.card.accounts.contains(&account) {
            return Err(WalletError::NoAccount { wallet: name.clone(), account });
        }
        let locked = || WalletError::Locked(name.clone());
        drop(self.open().ok_or_else(locked)?);
        let limits = self.limits()?;
        let now = self.clock.now_ms();
        let spend = self.contracts.read().unwrap_or_else(PoisonError::into_inner).understand(request, &limits, now)?;
        let digest = spend.digest;
        self.spends.admit(now, &limits, spend)?;
        // It may have been locked while the line was written; then the line stays, and nothing is signed.
        let keys = self.open().ok_or_else(locked)?;
        let key = keys.as_ref().and_then(|keys| keys.of.get(&account)).ok_or_else(locked)?;
        Ok(key.sign(&digest))
    }
}

impl Vault for Wallet {
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<VaultAccount>, Fault>> {
        let unlocked = self.is_unlocked();
        let named = |(index, account): (usize, &Account)| {
            let name = if index == 0 { self.0.card.name.to_string() } else { format!("{}/{index}", self.0.card.name) };
            VaultAccount { account: *account, name, unlocked }
        };
        let accounts = self.0.card.accounts.iter().enumerate().map(named).collect();
        futures::future::ready(Ok(accounts)).boxed()
    }

    fn sign<'a>(&'a self, request: &'a SigningRequest) -> BoxFuture<'a, Result<Signature, Fault>> {
        let (inner, request) = (self.0.clone(), request.clone());
        async move {
            let signed = tokio::task::spawn_blocking(move || inner.sign(&request)).await;
            match signed {
                Ok(signed) => Ok(signed?),
                Err(error) => Err(Fault::new(FaultCode::Internal, format!("signing did not end: {error}"))),
            }
        }
        .boxed()
    }
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wallet({}, {} accounts)", self.0.card.name, self.0.card.accounts.len())
    }
}
