//! The chain port over a world.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::keccak256;
use computepool_core::ports::{
    Block, Chain, ChainEvents, CoalitionId, CoalitionOffer, Cursor, Delivery, Intent, SessionTerms, SessionView,
    StepId, TokenDomain, Voucher, VoucherState,
};
use computepool_core::{Account, ChainId, Fault, FaultCode, TxHash};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{World, offer, token_domain};

/// How the chain behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// It answers nothing, and takes nothing.
    Away,
    /// It takes steps and does not say so.
    Mute,
    /// It answers only after so long.
    Slow(Duration),
}

/// A chain in memory. Clones are the same chain.
#[derive(Clone, Debug)]
pub struct FakeChain {
    inner: Arc<Mutex<(World, Mood, Vec<Intent>)>>,
}

impl FakeChain {
    /// A chain that begins at this time.
    pub fn new(time_s: u64) -> Self {
        Self { inner: Arc::new(Mutex::new((World::new(time_s), Mood::Well, Vec::new()))) }
    }

    fn inner(&self) -> MutexGuard<'_, (World, Mood, Vec<Intent>)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the world.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.inner().0)
    }

    /// Makes it behave like this from now on.
    pub fn behave(&self, mood: Mood) {
        self.inner().1 = mood;
    }

    /// Everything that was submitted, in order.
    pub fn submitted(&self) -> Vec<Intent> {
        self.inner().2.clone()
    }

    async fn answer<T>(&self, read: impl FnOnce(&World) -> T) -> Result<T, Fault> {
        let mood = self.inner().1;
        match mood {
            Mood::Away => return Err(Fault::new(FaultCode::ChainUnavailable, "the chain is away")),
            Mood::Slow(wait) => tokio::time::sleep(wait).await,
            Mood::Well | Mood::Mute => {}
        }
        Ok(read(&self.inner().0))
    }
}

impl Chain for FakeChain {
    fn id(&self) -> ChainId {
        ChainId::DEVNET
    }

    fn token(&self) -> TokenDomain {
        token_domain()
    }

    fn session_account(&self, terms: &SessionTerms) -> Account {
        World::account_of(terms)
    }

    fn head(&self) -> BoxFuture<'_, Result<Block, Fault>> {
        self.answer(World::head).boxed()
    }

    fn coalition(&self, _: CoalitionId) -> BoxFuture<'_, Result<CoalitionOffer, Fault>> {
        self.answer(|_| offer()).boxed()
    }

    fn voucher<'a>(
        &'a self,
        terms: &'a SessionTerms,
        voucher: &'a Voucher,
    ) -> BoxFuture<'a, Result<VoucherState, Fault>> {
        self.answer(|world| world.voucher(terms, voucher)).boxed()
    }

    fn submit(&self, step: StepId, intent: Intent) -> BoxFuture<'_, Delivery> {
        async move {
            let mood = self.inner().1;
            if let Mood::Slow(wait) = mood {
                tokio::time::sleep(wait).await;
            }
            let mut inner = self.inner();
            if mood == Mood::Away {
                return Delivery::NotSent(Fault::new(FaultCode::ChainUnavailable, "the chain is away"));
            }
            inner.2.push(intent.clone());
            let transaction = TxHash(keccak256(step.0));
            let done = inner.0.execute(&intent);
            // Others' blocks follow.
            inner.0.mine(1);
            inner.0.mine(1);
            match done {
                _ if mood == Mood::Mute => {
                    let fault = Fault::new(FaultCode::ChainUnavailable, "nothing was heard of it");
                    Delivery::Unknown { transaction: None, fault }
                }
                Ok(block) => Delivery::Landed { transaction, block },
                Err(refused) => Delivery::Refused(refused),
            }
        }
        .boxed()
    }

    fn session(&self, account: Account) -> BoxFuture<'_, Result<SessionView, Fault>> {
        self.answer(move |world| world.view(&account)).boxed()
    }

    fn events(&self, after: Cursor, _: u32) -> BoxFuture<'_, Result<ChainEvents, Fault>> {
        self.answer(move |_| ChainEvents { events: Vec::new(), next: after }).boxed()
    }
}
