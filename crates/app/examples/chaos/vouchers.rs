//! A vault that remembers what money it has let go.

use std::sync::{Arc, Mutex, PoisonError};

use computepool_core::Fault;
use computepool_core::money::Signature;
use computepool_core::ports::{Authorization, SigningContent, SigningRequest, Vault, VaultAccount};
use futures::future::BoxFuture;

/// Every authorization that was ever signed, whatever became of it.
#[derive(Clone)]
pub(crate) struct Remembering {
    inner: Arc<dyn Vault>,
    signed: Arc<Mutex<Vec<Authorization>>>,
}

impl Remembering {
    pub(crate) fn new(inner: Arc<dyn Vault>) -> Self {
        Self { inner, signed: Arc::default() }
    }

    pub(crate) fn signed(&self) -> Vec<Authorization> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Vault for Remembering {
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<VaultAccount>, Fault>> {
        self.inner.accounts()
    }

    fn sign<'a>(&'a self, request: &'a SigningRequest) -> BoxFuture<'a, Result<Signature, Fault>> {
        if let SigningContent::Authorization { authorization, .. } = &request.content {
            self.signed.lock().unwrap_or_else(PoisonError::into_inner).push(*authorization);
        }
        self.inner.sign(request)
    }
}
