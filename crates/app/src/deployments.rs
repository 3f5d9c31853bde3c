//! Laying everything down on a chain, and seeing that it is sound.

use std::path::PathBuf;

use computepool_chain::Network;
use computepool_chain::deployment::{self, Deployed as Done, Plan, Trial};
use computepool_chain::rpc::{Patience, Rpc};
use computepool_chain::sender::{Folder, Sender, SenderOptions};
use computepool_core::money::{B256, ChainId};
use computepool_core::{Account, Fault, FaultCode};
use computepool_wallet::{Contracts, Deployed};
use rand::TryRngCore as _;
use rand::rngs::OsRng;

use crate::chains::ChainCard;
use crate::paths;
use crate::purse::{Purse, PurseSettings};

pub use computepool_chain::deployment::{AddressBook, Verified};

/// What is deployed, where, and by whom.
#[derive(Clone, Debug)]
pub struct DeploymentSettings {
    /// The chain.
    pub chain: ChainId,
    /// Where it is asked; its public endpoints where none is named.
    pub endpoints: Vec<String>,
    /// The token that users pay with, where the chain has real money.
    pub usdc: Option<Account>,
    /// The wallet that pays for it, and owns what has an owner.
    pub purse: PurseSettings,
    /// Where what is under way is kept, so that a deployment that was cut short goes on; in the user's data folder when
    /// absent.
    pub outbox: Option<PathBuf>,
}

/// A chain that is about to be deployed to, or looked at.
#[derive(Debug)]
pub struct Deploying {
    network: Network,
    sender: Sender,
    purse: Purse,
}

impl Deploying {
    /// Opens the wallet. Nothing is sent yet.
    pub async fn open(settings: DeploymentSettings) -> Result<Self, Fault> {
        let network = network(&settings)?;
        let planned = network.clone();
        let opening = move || {
            let purse = Purse::open(&settings.purse, Contracts::default())?;
            // Where real money is not named, nothing can be deployed; what is there can be looked at.
            if planned.usdc != computepool_chain::Usdc::ToBeNamed {
                purse.wallet.know(set_up(&planned, purse.account)?);
            }
            Ok::<_, Fault>((purse, settings.outbox))
        };
        let (purse, outbox) = tokio::task::spawn_blocking(opening)
            .await
            .map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet was not opened: {error}")))??;
        let root = match outbox {
            Some(root) => root,
            None => paths::data_folder()?.join("outbox"),
        };
        let rpc = Rpc::new(&network, Patience::default())?;
        let folder = Folder::open(&root, network.chain_id.0, purse.account.0)?;
        let options = SenderOptions::of(&network);
        let sender = Sender::start(rpc, purse.vault(), purse.account.0, Box::new(folder), options)?;
        Ok(Self { network, sender, purse })
    }

    /// What people call the chain.
    pub fn chain_name(&self) -> &str {
        &self.network.name
    }

    /// Who deploys.
    pub fn owner(&self) -> Account {
        self.purse.account
    }

    /// Does what is left to do; `progress` is told each step before it is done, and whether it was done already. Doing it
    /// again sends nothing.
    pub async fn deploy(&self, progress: &(dyn Fn(&str, bool) + Send + Sync)) -> Result<(ChainCard, Done), Fault> {
        let (book, done) = deployment::deploy(&self.sender, &self.network, progress).await?;
        Ok((ChainCard { endpoints: self.network.endpoints.clone(), book }, done))
    }

    /// Holds a deployment, anybody's, against the chain; with `trial`, pays a session there and counts every wei. The wallet's
    /// second account is that session's operator.
    pub async fn verify(&self, card: &ChainCard, trial: bool) -> Result<Verified, Fault> {
        self.purse.wallet.know(card.contracts());
        let trial = if trial { Some(self.trial()?) } else { None };
        Ok(deployment::verify(&self.sender, &self.network, &card.book, trial.as_ref()).await?)
    }

    /// Says whether the wallet can hold a trial.
    pub fn can_try(&self) -> Result<(), Fault> {
        self.trial().map(drop)
    }

    fn trial(&self) -> Result<Trial, Fault> {
        let operator = *self.purse.wallet.card().accounts.get(1).ok_or_else(|| {
            let what = "a trial session needs an operator, and this wallet has one account only";
            Fault::new(FaultCode::InvalidRequest, what)
                .hint("give it another with `computepool wallet account`, or leave the trial out with --no-trial")
        })?;
        let mut salt = B256::ZERO;
        OsRng
            .try_fill_bytes(salt.as_mut_slice())
            .map_err(|error| Fault::new(FaultCode::Internal, format!("no random numbers: {error}")))?;
        Ok(Trial { operator, vault: self.purse.vault(), salt })
    }
}

/// What a wallet may call for `owner`'s deployment, before anything is there.
pub(crate) fn set_up(network: &Network, owner: Account) -> Result<Contracts, Fault> {
    let plan = Plan::new(network, owner.0)?;
    let mut contracts = Contracts::default();
    contracts.add(Deployed {
        usdc: plan.book.token(),
        usdcx: plan.book.usdcx,
        coalition: plan.book.coalition,
        session_escrow: plan.book.session_escrow,
        set_up: plan.called(),
    });
    contracts.creations.push(network.chain_id);
    Ok(contracts)
}

fn network(settings: &DeploymentSettings) -> Result<Network, Fault> {
    let mut network = Network::of(settings.chain);
    if !settings.endpoints.is_empty() {
        network.endpoints.clone_from(&settings.endpoints);
    }
    if network.endpoints.is_empty() {
        let what = format!("it is not known where {} is asked", network.name);
        return Err(Fault::new(FaultCode::InvalidRequest, what).hint("name an endpoint with --endpoint"));
    }
    if let Some(token) = settings.usdc {
        if network.usdc == computepool_chain::Usdc::Own {
            let what = format!("{} has play money of its own", network.name);
            return Err(Fault::new(FaultCode::InvalidRequest, what).hint("leave --usdc out"));
        }
        network.usdc = computepool_chain::Usdc::Existing(token.0);
    }
    Ok(network)
}
