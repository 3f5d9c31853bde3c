//! The owner's side of a coalition: what the machine does is paid to the owner's account, on terms that the owner takes.

use std::path::PathBuf;
use std::sync::Arc;

use computepool_chain::coalitions::{membership, stake, terms_id};
use computepool_core::control::NodeMessage;
use computepool_core::money::Bytes;
use computepool_core::ports::{Clock as _, Purpose, SigningContent, SigningRequest, SystemClock, Vault as _};
use computepool_core::{Account, Amount, Asset, Commitment, Fault, FaultCode, Proposal, StakeVoucher};
use tokio::sync::mpsc;

use crate::chains::ChainCard;
use crate::purse::{Purse, PurseSettings};

/// Who is paid for a node's work, and what for at least.
#[derive(Clone, Debug)]
pub struct EarnSettings {
    /// The card of the chain that it is paid on.
    pub chain: PathBuf,
    /// The wallet that signs for it.
    pub purse: EarnPurse,
    /// What a session pays for the whole model at least, an hour, in USDC.
    pub least_per_hour: Amount,
}

/// The longest that the node binds itself for, in seconds.
const LONGEST_S: u64 = 90 * 24 * 3600;
/// The longest that a stake may stay behind after leaving, in seconds.
const LONGEST_EXIT_S: u32 = 7 * 24 * 3600;
/// A wallet that is to be opened, or is open.
#[derive(Clone, Debug)]
pub enum EarnPurse {
    /// To be opened when the node starts.
    Closed(PurseSettings),
    /// Opened by its owner before.
    Open(Purse),
}

/// How long the authorization of a stake holds, in seconds.
const STAKE_HOLDS_S: u64 = 900;

/// Signs for places in coalitions.
#[derive(Debug)]
pub(super) struct Operator {
    purse: Purse,
    card: ChainCard,
    least_per_hour: Amount,
}

impl Operator {
    /// Opens the wallet. Blocks as [`Purse::open`] does.
    pub(super) fn open(settings: &EarnSettings) -> Result<Self, Fault> {
        let card = ChainCard::read(&settings.chain)?;
        let purse = match &settings.purse {
            EarnPurse::Closed(settings) => Purse::open(settings, card.contracts())?,
            EarnPurse::Open(purse) => purse.clone(),
        };
        Ok(Self { purse, card, least_per_hour: settings.least_per_hour })
    }

    /// Who is paid.
    pub(super) fn account(&self) -> Account {
        self.purse.account
    }

    /// Answers proposals, one after the other.
    pub(super) async fn answer_all(
        self: Arc<Self>,
        mut asked: mpsc::Receiver<Proposal>,
        out: mpsc::Sender<NodeMessage>,
    ) {
        while let Some(proposal) = asked.recv().await {
            let commitment = self.commit(&proposal).await;
            if let Err(fault) = &commitment {
                tracing::warn!(%fault, "did not sign for a place in a coalition");
            }
            let (coalition, place) = (proposal.id, proposal.place);
            if out.send(NodeMessage::Committed { coalition, place, commitment }).await.is_err() {
                return;
            }
        }
    }

    async fn commit(&self, asked: &Proposal) -> Result<Commitment, Fault> {
        let bonds = self.check(asked, SystemClock.now_ms() / 1000)?;
        let text = membership(asked.chain, asked.contract, asked.id, asked.place, self.account());
        let signature = self.sign(Purpose::Coalition, text).await?;
        let stake = if bonds { None } else { Some(self.stake(asked).await?) };
        Ok(Commitment { signature, stake })
    }

    /// Whether the terms are such that this operator takes them; true where its stake is to be built from earnings.
    fn check(&self, asked: &Proposal, now_s: u64) -> Result<bool, Fault> {
        let refuse = |what: String| Err(Fault::new(FaultCode::InvalidRequest, what));
        let (book, terms) = (&self.card.book, &asked.terms);
        if (asked.chain, asked.contract) != (book.chain_id, book.coalition) {
            return refuse(format!(
                "{} on chain {} is not a contract that this node knows",
                asked.contract, asked.chain
            ));
        }
        if terms_id(asked.chain, asked.contract, terms) != Some(asked.id) {
            return refuse("the coalition's id is not the hash of its terms".to_owned());
        }
        let Some(place) = terms.places.get(asked.place as usize) else {
            return refuse(format!("the coalition has no place {}", asked.place));
        };
        let hourly = terms.rate().and_then(|rate| rate.times(3600));
        let least = self.least_per_hour.convert(Asset::Usdcx).map_err(Fault::from)?;
        // A rate is a whole number of wei for each unit: what that cuts off is no reason to refuse.
        let cut = Amount::usdcx(3600).times(u64::from(place.layers.end()) * 10_000).map_err(Fault::from)?;
        match hourly.and_then(|hourly| hourly.plus(cut)) {
            Ok(hourly) if hourly.units >= least.units => {}
            _ => {
                return refuse(format!(
                    "the price is below the {} an hour that its owner asks for",
                    self.least_per_hour
                ));
            }
        }
        if terms.deadline_s > now_s.saturating_add(LONGEST_S) || terms.exit_delay_s > LONGEST_EXIT_S {
            return refuse("it would bind its owner for too long".to_owned());
        }
        Ok(place.holder == self.account() && place.bond)
    }

    async fn stake(&self, asked: &Proposal) -> Result<StakeVoucher, Fault> {
        let valid_before_s = SystemClock.now_ms() / 1000 + STAKE_HOLDS_S;
        let text = stake(&self.card.book.token(), asked, self.account(), valid_before_s)
            .ok_or_else(|| Fault::new(FaultCode::InvalidRequest, "the coalition has no such place"))?;
        let signature = self.sign(Purpose::Stake, text).await?;
        Ok(StakeVoucher { valid_after_s: 0, valid_before_s, signature })
    }

    async fn sign(&self, purpose: Purpose, text: String) -> Result<Bytes, Fault> {
        let request = SigningRequest { account: self.account(), purpose, content: SigningContent::TypedData(text) };
        let signature = self.purse.wallet.sign(&request).await?;
        Ok(signature.as_bytes().to_vec().into())
    }
}
