//! Coalitions: operators agree to terms, and one pool pays them all.
//!
//! A coalition's id is the EIP-712 hash of its terms, so that whoever signs for a place in it by its id has signed the
//! terms. Nobody needs gas but the one who brings the signatures in ([`Founding`]).

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::aliases::U96;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::Filter;
use alloy::sol_types::{Eip712Domain, SolEvent, SolStruct};
use computepool_core::coalition::{CoalitionTerms, FoundedPlace};
use computepool_core::money::{Account, Amount, Asset, ChainId};
use computepool_core::ports::{CoalitionId, Purpose, TokenDomain};
use computepool_core::{Commitment, Fault, LayerRange, Proposal};
use serde_json::{Value, json};

use crate::ChainError;
use crate::contracts::{Coalition, SuperfluidPool};
use crate::deployment::AddressBook;
use crate::rpc::Rpc;
use crate::sender::{Intent, Sender, Until};

/// The EIP-712 domain of the coalitions' contract.
const DOMAIN: (&str, &str) = ("ComputePool Coalition", "1");
/// How many blocks are searched at a time, and how many times: public endpoints refuse larger ranges.
const WINDOW: u64 = 5_000;
const WINDOWS: u64 = 400;
/// `Coalition.Stage`.
const STAGE_NONE: u8 = 0;
pub(crate) const STAGE_PROPOSED: u8 = 1;
/// One that takes sessions, or could.
pub(crate) const STAGE_ACTIVE: u8 = 2;

/// The id that a coalition with these terms has in `contract` on `chain`; `None` where a figure is larger than the contract
/// can hold.
pub fn terms_id(chain: ChainId, contract: Account, terms: &CoalitionTerms) -> Option<CoalitionId> {
    Some(CoalitionId(in_words(terms)?.eip712_signing_hash(&domain(chain, contract))))
}

alloy::sol! {
    /// An operator's signature under a coalition's terms (`contracts/src/coalition/Membership.sol`).
    struct Membership {
        bytes32 coalition;
        uint16 place;
        address operator;
    }
}

/// What an operator signs for a place, in the JSON of `eth_signTypedData_v4`.
pub fn membership(chain: ChainId, contract: Account, id: CoalitionId, place: u32, operator: Account) -> String {
    json!({
        "types": {
            "EIP712Domain": domain_fields(),
            "Membership": [field("coalition", "bytes32"), field("place", "uint16"), field("operator", "address")],
        },
        "primaryType": "Membership",
        "domain": { "name": DOMAIN.0, "version": DOMAIN.1, "chainId": chain.0, "verifyingContract": contract },
        "message": { "coalition": id.0, "place": place, "operator": operator },
    })
    .to_string()
}

/// What an operator signs to let the coalitions' contract draw its stake for a place, in the JSON of
/// `eth_signTypedData_v4`.
pub fn stake(token: &TokenDomain, asked: &Proposal, operator: Account, valid_before_s: u64) -> Option<String> {
    let nonce = membership_digest(asked.chain, asked.contract, asked.id, asked.place, operator)?;
    let names = ["from", "to", "value", "validAfter", "validBefore", "nonce"];
    let kinds = ["address", "address", "uint256", "uint256", "uint256", "bytes32"];
    let fields: Vec<_> = names.iter().zip(kinds).map(|(name, kind)| field(name, kind)).collect();
    let text = json!({
        "types": { "EIP712Domain": domain_fields(), "ReceiveWithAuthorization": fields },
        "primaryType": "ReceiveWithAuthorization",
        "domain": {
            "name": token.name, "version": token.version, "chainId": token.chain.0, "verifyingContract": token.contract,
        },
        "message": {
            "from": operator, "to": asked.contract, "value": asked.terms.stake.units.to_string(), "validAfter": "0",
            "validBefore": valid_before_s.to_string(), "nonce": nonce,
        },
    });
    Some(text.to_string())
}

/// What the signature of a membership signs; also the nonce of the stake's authorization.
fn membership_digest(
    chain: ChainId,
    contract: Account,
    id: CoalitionId,
    place: u32,
    operator: Account,
) -> Option<B256> {
    let place = u16::try_from(place).ok()?;
    let membership = Membership { coalition: id.0, place, operator: operator.0 };
    Some(membership.eip712_signing_hash(&domain(chain, contract)))
}

fn domain(chain: ChainId, contract: Account) -> Eip712Domain {
    Eip712Domain {
        name: Some(DOMAIN.0.into()),
        version: Some(DOMAIN.1.into()),
        chain_id: Some(U256::from(chain.0)),
        verifying_contract: Some(contract.0),
        salt: None,
    }
}

fn field(name: &str, kind: &str) -> Value {
    json!({ "name": name, "type": kind })
}

fn domain_fields() -> Vec<Value> {
    let fields = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")];
    fields.iter().map(|(name, kind)| field(name, kind)).collect()
}

/// What the pool of a coalition has paid, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// For which places it is paid now; none for the protocol and the model's owner, and for those who gave theirs up.
    pub layers: Vec<LayerRange>,
    /// Whose it is.
    pub operator: Account,
    /// Where it goes: to the operator itself, or to its bond account.
    pub payee: Account,
    /// What has arrived there since the pool was made, in USDCx, from all sessions.
    pub received: Amount,
    /// What arrives there a second now.
    pub flowing: Amount,
    /// Whether it is an operator's, and not the protocol's or the owner's.
    pub operators: bool,
}

/// The coalitions of a deployment, as anybody may read them.
#[derive(Clone, Debug)]
pub struct Coalitions {
    rpc: Rpc,
    contract: Address,
}

impl Coalitions {
    /// Those of the deployment in `book`.
    pub fn new(rpc: Rpc, book: &AddressBook) -> Self {
        Self { rpc, contract: book.coalition.0 }
    }

    /// Whether an operator has signed for a place.
    pub async fn may_hold(&self, id: CoalitionId, place: u32, operator: Account) -> Result<bool, ChainError> {
        let (place, operator) = (U256::from(place), operator.0);
        self.rpc.call(self.contract, &Coalition::mayHoldCall { id: id.0, place, operator }).await
    }

    /// What the pool has paid so far: one line for everybody who holds a place or ever did, entry first, then for the
    /// protocol and the owner where they have a share.
    pub async fn shares(&self, id: CoalitionId) -> Result<Vec<Share>, ChainError> {
        let (rpc, contract) = (&self.rpc, self.contract);
        let pool = rpc.call(contract, &Coalition::offerCall { id: id.0 }).await?.pool;
        let mut held: Vec<(Address, Vec<LayerRange>)> = Vec::new();
        for place in rpc.call(contract, &Coalition::placesCall { id: id.0 }).await? {
            let bad = |fault: Fault| ChainError::unreadable("a coalition's places", fault);
            let layers = LayerRange::new(place.start.into(), place.end.into()).map_err(bad)?;
            match held.iter_mut().find(|(holder, _)| *holder == place.holder) {
                Some((_, places)) => places.push(layers),
                None => held.push((place.holder, vec![layers])),
            }
        }
        for account in self.earlier_holders(id).await? {
            if held.iter().all(|(holder, _)| *holder != account) {
                held.push((account, Vec::new()));
            }
        }
        let mut shares = Vec::new();
        for (operator, layers) in held.into_iter().filter(|(holder, _)| !holder.is_zero()) {
            let payee = rpc.call(contract, &Coalition::payeeCall { id: id.0, operator }).await?;
            shares.push(self.share(pool, layers, operator, payee, true).await?);
        }
        let cut = rpc.call(contract, &Coalition::sharesCall { id: id.0 }).await?;
        for (bps, account) in [(cut.feeBps, cut.feeReceiver), (cut.royaltyBps, cut.owner)] {
            if bps > 0 {
                shares.push(self.share(pool, Vec::new(), account, account, false).await?);
            }
        }
        Ok(shares)
    }

    async fn share(
        &self,
        pool: Address,
        layers: Vec<LayerRange>,
        operator: Address,
        payee: Address,
        operators: bool,
    ) -> Result<Share, ChainError> {
        let received = SuperfluidPool::getTotalAmountReceivedByMemberCall { memberAddr: payee };
        let flowing = SuperfluidPool::getMemberFlowRateCall { memberAddr: payee };
        let flowing = self.rpc.call(pool, &flowing).await?;
        Ok(Share {
            layers,
            operator: Account(operator),
            payee: Account(payee),
            received: Amount::new(self.rpc.call(pool, &received).await?, Asset::Usdcx),
            flowing: Amount::new(crate::sessions::positive(flowing), Asset::Usdcx),
            operators,
        })
    }

    /// Who gave a place up or was given one, since the coalition was proposed.
    async fn earlier_holders(&self, id: CoalitionId) -> Result<Vec<Address>, ChainError> {
        let mut holders = Vec::new();
        let mut to = self.rpc.head().await?;
        for _ in 0..WINDOWS {
            let from = to.saturating_sub(WINDOW - 1);
            let filter = Filter::new().address(self.contract).from_block(from).to_block(to);
            let filter = filter.event_signature(Coalition::Reassigned::SIGNATURE_HASH).topic1(id.0);
            for log in self.rpc.logs(&filter).await? {
                let moved = Coalition::Reassigned::decode_log(&log.inner)
                    .map_err(|error| ChainError::unreadable("Reassigned", error))?;
                holders.extend([moved.from, moved.to]);
            }
            let before = Coalition::stageCall { id: id.0 };
            let at = BlockNumberOrTag::Number(from);
            if from == 0 || self.rpc.call_at(self.contract, &before, None, at).await? == STAGE_NONE {
                break;
            }
            to = from - 1;
        }
        Ok(holders)
    }

    /// What sessions of a coalition pay a second, in USDCx; nothing where it takes none now.
    pub async fn open_rate(&self, id: CoalitionId) -> Result<Option<Amount>, ChainError> {
        let offer = self.rpc.call(self.contract, &Coalition::offerCall { id: id.0 }).await?;
        Ok(offer.open.then(|| Amount::new(crate::sessions::positive(offer.rate), Asset::Usdcx)))
    }

    async fn stage(&self, id: CoalitionId) -> Result<u8, ChainError> {
        self.rpc.call(self.contract, &Coalition::stageCall { id: id.0 }).await
    }

    async fn has_signed(&self, id: CoalitionId, operator: Account) -> Result<bool, ChainError> {
        let member = Coalition::memberOfCall { id: id.0, operator: operator.0 };
        Ok(self.rpc.call(self.contract, &member).await?.signed)
    }
}

/// Brings coalitions about, at the sender's cost. Everything here can be done again: what is done already is left alone.
#[derive(Clone, Debug)]
pub struct Founding {
    coalitions: Coalitions,
    sender: Sender,
    chain: ChainId,
}

impl Founding {
    /// In the deployment of `book`.
    pub fn new(sender: Sender, book: &AddressBook) -> Self {
        Self { coalitions: Coalitions::new(sender.rpc().clone(), book), chain: book.chain_id, sender }
    }

    /// The coalitions themselves.
    pub fn coalitions(&self) -> &Coalitions {
        &self.coalitions
    }

    /// Where they are.
    pub fn contract(&self) -> Account {
        Account(self.coalitions.contract)
    }

    /// On which chain they are.
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// The protocol's share that new terms must name, in hundredths of a percent.
    pub async fn fee_bps(&self) -> Result<u16, ChainError> {
        self.sender.rpc().call(self.coalitions.contract, &Coalition::feeBpsCall {}).await
    }

    /// The newest block's time, in Unix seconds.
    pub async fn now_s(&self) -> Result<u64, ChainError> {
        self.sender.rpc().time().await
    }

    /// Puts terms up for signing.
    pub async fn propose(&self, terms: &CoalitionTerms) -> Result<CoalitionId, ChainError> {
        let too_large = || ChainError::unreadable("the terms of a coalition", "a figure is too large for the contract");
        let id = terms_id(self.chain, self.contract(), terms).ok_or_else(too_large)?;
        if self.coalitions.stage(id).await? == STAGE_NONE {
            let call = Coalition::proposeCall { terms: in_words(terms).ok_or_else(too_large)? };
            self.send(self.intent("propose a coalition").calling(&call)).await?;
        }
        Ok(id)
    }

    /// Brings in the signature of a founder for a place of its, or of a stand-in: the founders' before
    /// [activating](Founding::activate), a stand-in's after.
    pub async fn sign(
        &self,
        id: CoalitionId,
        place: u32,
        operator: Account,
        commitment: Commitment,
    ) -> Result<(), ChainError> {
        let founding = self.coalitions.stage(id).await? == STAGE_PROPOSED;
        let done = match founding {
            true => self.coalitions.has_signed(id, operator).await?,
            false => self.coalitions.may_hold(id, place, operator).await?,
        };
        if done {
            return Ok(());
        }
        let Commitment { signature, stake } = commitment;
        let stake =
            stake.map(|stake| (U256::from(stake.valid_after_s), U256::from(stake.valid_before_s), stake.signature));
        let (valid_after, valid_before, paid) = stake.unwrap_or((U256::ZERO, U256::ZERO, Bytes::new()));
        let voucher = Coalition::StakeVoucher { validAfter: valid_after, validBefore: valid_before, signature: paid };
        let place = u16::try_from(place).map_err(|error| ChainError::unreadable("a place", error))?;
        let call = Coalition::signForCall { id: id.0, place, operator: operator.0, signature, voucher };
        self.send(self.intent("sign for an operator").calling(&call)).await
    }

    /// Makes the pool, once every founder has signed.
    pub async fn activate(&self, id: CoalitionId) -> Result<(), ChainError> {
        if self.coalitions.stage(id).await? != STAGE_PROPOSED {
            return Ok(());
        }
        self.send(self.intent("activate a coalition").calling(&Coalition::activateCall { id: id.0 })).await
    }

    fn intent(&self, what: &str) -> Intent {
        Intent::new(what, Purpose::Coalition, self.coalitions.contract)
    }

    async fn send(&self, intent: Intent) -> Result<(), ChainError> {
        self.sender.send(intent, Until::Final).await.map(drop)
    }
}

/// The terms in the contract's words.
fn in_words(terms: &CoalitionTerms) -> Option<Coalition::Terms> {
    let place = |place: &FoundedPlace| {
        Some(Coalition::Place {
            start: u16::try_from(place.layers.start()).ok()?,
            end: u16::try_from(place.layers.end()).ok()?,
            holder: place.holder.0,
            bond: place.bond,
        })
    };
    Some(Coalition::Terms {
        model: B256::from(terms.model.0),
        places: terms.places.iter().map(place).collect::<Option<_>>()?,
        unitRate: U96::try_from(u128::try_from(terms.unit_rate.units).ok()?).ok()?,
        feeBps: terms.fee_bps,
        royaltyBps: terms.royalty_bps,
        owner: terms.owner.0,
        stake: u64::try_from(terms.stake.units).ok()?,
        arbiter: terms.arbiter.0,
        meter: terms.meter.0,
        exitDelay: terms.exit_delay_s,
        deadline: terms.deadline_s,
        salt: terms.salt,
    })
}
