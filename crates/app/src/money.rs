//! The orchestrator's side of money: it sells what its nodes serve, as their coalitions' meter.

mod coalitions;
mod engagements;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use computepool_chain::coalitions::Founding;
use computepool_chain::deployment::wiring;
use computepool_chain::sender::{Folder, Forgetful, Outbox, Sender, SenderOptions};
use computepool_chain::{ChainError, Sessions};
use computepool_core::ports::{Ledger, Signer, SystemClock};
use computepool_core::{Amount, ContentHash, Fault, FaultCode, ModelId};
use computepool_orchestrator::OrchestratorHandle;
use computepool_payments::quote::QuoteKey;
use computepool_payments::{Payments, Ports, Settings};
use rand::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::chains::ChainCard;
use crate::purse::{Purse, PurseSettings};
use coalitions::CoalitionKeeper;
pub(crate) use engagements::Engagements;

/// How an orchestrator sells.
#[derive(Clone, Debug)]
pub struct MoneySettings {
    /// The card of the chain that it is paid on.
    pub chain: PathBuf,
    /// The wallet of the meter. It must have native currency for gas, and may hold no place in a coalition.
    pub purse: PurseSettings,
    /// What a session with a whole model costs an hour, in USDC.
    pub price_per_hour: Amount,
    /// What a session is opened with, in USDC; what is not used goes back.
    pub session: Amount,
    /// How long a session may last.
    pub lifetime: Duration,
    /// What every operator puts up, in USDC, or builds from its earnings.
    pub stake: Amount,
    /// Where it keeps transactions under way and the terms of its coalitions; `None` keeps nothing.
    pub folder: Option<PathBuf>,
}

/// How long the end of all streams may take when the orchestrator leaves.
const STOP: Duration = Duration::from_secs(8);
/// What the key of quotes is derived from: the orchestrator's signature of this, which it gives for nothing else.
const QUOTES: &[u8] = b"computepool/quote-key/1\n";

/// Payments of a running orchestrator.
pub(crate) struct Money {
    payments: Arc<Payments>,
    stop: CancellationToken,
}

impl Money {
    /// Begins to sell `models`, as soon as their operators have agreed on terms.
    pub(crate) async fn start(
        settings: MoneySettings,
        models: Vec<(ModelId, ContentHash)>,
        ledger: Arc<dyn Ledger>,
        signer: &dyn Signer,
        engagements: Arc<Engagements>,
        handle: OrchestratorHandle,
    ) -> Result<Self, Fault> {
        let card = ChainCard::read(&settings.chain)?;
        let (network, rpc) = (card.network(), card.rpc()?);
        match wiring(&rpc, &network, &card.book).await {
            Err(error @ ChainError::Wiring { .. }) => return Err(error.into()),
            // The chain is away. What is under way has to be looked after as soon as it is back.
            Err(error) => tracing::warn!(%error, "the deployment could not be checked"),
            Ok(_) => {}
        }
        let (choice, contracts) = (settings.purse.clone(), card.contracts());
        let purse = tokio::task::spawn_blocking(move || Purse::open(&choice, contracts))
            .await
            .map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet was not opened: {error}")))??;
        let outbox: Box<dyn Outbox> = match &settings.folder {
            Some(folder) => Box::new(Folder::open(&folder.join("outbox"), card.book.chain_id.0, purse.account.0)?),
            None => Box::new(Forgetful::default()),
        };
        let sender = Sender::start(rpc, purse.vault(), purse.account.0, outbox, SenderOptions::of(&network))?;
        let key = QuoteKey::new(Sha256::digest(signer.sign(QUOTES)).into());
        let ports = Ports {
            chain: Arc::new(Sessions::new(network, card.book.clone(), sender.clone())),
            ledger,
            clock: Arc::new(SystemClock),
            random: Box::new(rand::rngs::StdRng::from_os_rng()),
        };
        let payments = Arc::new(Payments::start(ports, Settings::new(Vec::new(), key)).await?);
        let stop = CancellationToken::new();
        let keeper = CoalitionKeeper::new(
            Founding::new(sender, &card.book),
            purse.account,
            settings,
            payments.clone(),
            engagements,
        );
        tokio::spawn(keeper.run(models, handle, stop.clone()));
        Ok(Self { payments, stop })
    }

    /// What decides who may use a model.
    pub(crate) fn payments(&self) -> Arc<Payments> {
        self.payments.clone()
    }

    /// Stops every stream, and then selling.
    pub(crate) async fn leave(self) {
        self.stop.cancel();
        self.payments.drain(STOP).await;
    }
}
