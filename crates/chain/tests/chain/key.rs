//! A vault with one key, which everybody knows: the first of anvil's accounts.

use std::sync::atomic::{AtomicU32, Ordering};

use alloy::primitives::{B256, Signature, keccak256};
use computepool_core::money::Account;
use computepool_core::ports::{SigningContent, SigningRequest, Vault, VaultAccount};
use computepool_core::{Fault, FaultCode};
use futures::future::BoxFuture;
use k256::ecdsa::SigningKey;

/// Of the phrase "test test test test test test test test test test test junk", at m/44'/60'/0'/0/0.
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

pub(crate) struct KnownKey {
    pub(crate) key: SigningKey,
    pub(crate) account: Account,
    /// How many transactions were signed.
    pub(crate) signed: AtomicU32,
    /// The process dies instead of signing this one, counted from 1.
    pub(crate) dies_at: Option<u32>,
}

impl KnownKey {
    pub(crate) fn new() -> Self {
        let key = SigningKey::from_slice(&hex::decode(KEY).unwrap()).unwrap();
        let account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
        Self { key, account, signed: AtomicU32::new(0), dies_at: None }
    }
}

/// The key's signature of a hash.
pub(crate) fn signature(key: &SigningKey, digest: B256) -> Signature {
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice());
    Signature::from_bytes_and_parity(&signature.to_bytes(), recovery.is_y_odd())
}

impl Vault for KnownKey {
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<VaultAccount>, Fault>> {
        let account = VaultAccount { account: self.account, name: "known".to_owned(), unlocked: true };
        Box::pin(async move { Ok(vec![account]) })
    }

    fn sign<'a>(&'a self, request: &'a SigningRequest) -> BoxFuture<'a, Result<Signature, Fault>> {
        Box::pin(async move {
            let SigningContent::Transaction(bytes) = &request.content else {
                return Err(Fault::new(FaultCode::Unauthorized, "only transactions"));
            };
            let count = self.signed.fetch_add(1, Ordering::SeqCst) + 1;
            if self.dies_at == Some(count) {
                std::process::abort();
            }
            Ok(signature(&self.key, keccak256(bytes)))
        })
    }
}
