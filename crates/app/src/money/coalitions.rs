//! Coalitions follow the places of the network: formed when a model is served, joined by spares, and paid place by place to
//! whoever serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use computepool_chain::coalitions::{Founding, terms_id};
use computepool_core::money::B256;
use computepool_core::ports::{CoalitionId, NetworkStatus, NodeStatus, PlaceStatus, PoolStatus};
use computepool_core::{
    Account, CoalitionTerms, ContentHash, Fault, FaultCode, FoundedPlace, ModelId, NodeId, Proposal,
};
use computepool_orchestrator::OrchestratorHandle;
use computepool_payments::quote::Tariff;
use computepool_payments::{Payments, Serving};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Engagements, MoneySettings};

/// Changes come in bursts; they are looked at together.
const SETTLE: Duration = Duration::from_millis(200);
/// How often everything is looked at though nothing has changed: what others undid is done again.
const RECHECK: Duration = Duration::from_secs(20);
/// The pause after something did not work.
const RETRY: Duration = Duration::from_secs(3);
/// How long an operator is left alone that did not sign.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// How long a coalition lasts, in seconds.
const LASTS_S: u64 = 30 * 24 * 3600;
/// A coalition that ends within this time is replaced, in seconds.
const ENDING_S: u64 = 24 * 3600;
/// How long a stake stays behind after leaving, in seconds: the contract's least.
const EXIT_S: u32 = 24 * 3600;

/// Keeps the coalitions of one orchestrator.
pub(super) struct CoalitionKeeper {
    founding: Founding,
    meter: Account,
    settings: MoneySettings,
    payments: Arc<Payments>,
    engagements: Arc<Engagements>,
    known: BTreeMap<ModelId, Known>,
    refused: BTreeMap<(NodeId, u32), Instant>,
}

/// A coalition that sells a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    terms: CoalitionTerms,
    /// Who has signed for each place.
    #[serde(skip)]
    signed: BTreeSet<(u32, Account)>,
    /// Who is paid for the places that are served, as far as it was arranged.
    #[serde(skip)]
    paid: Vec<Account>,
    #[serde(skip)]
    sold: bool,
}

/// A node with a place, and who is paid for it.
struct Candidate<'a> {
    node: &'a NodeStatus,
    operator: Account,
}

impl CoalitionKeeper {
    pub(super) fn new(
        founding: Founding,
        meter: Account,
        settings: MoneySettings,
        payments: Arc<Payments>,
        engagements: Arc<Engagements>,
    ) -> Self {
        let mut this =
            Self { founding, meter, settings, payments, engagements, known: BTreeMap::new(), refused: BTreeMap::new() };
        this.known = this.recall();
        this
    }

    /// Looks after the coalitions of these models until told to stop.
    pub(super) async fn run(
        mut self,
        models: Vec<(ModelId, ContentHash)>,
        handle: OrchestratorHandle,
        stop: CancellationToken,
    ) {
        let mut shown = handle.subscribe();
        let keeping = async {
            loop {
                let status = shown.borrow_and_update().network.clone();
                let mut pause = RECHECK;
                for (model, hash) in &models {
                    let Some(pool) = status.pools.iter().find(|pool| &pool.model == model) else { continue };
                    if let Err(fault) = self.look(model, *hash, pool, &status).await {
                        tracing::warn!(%model, %fault, "a coalition is not as it should be; trying again");
                        pause = RETRY;
                    }
                }
                tokio::select! {
                    changed = shown.changed() => match changed {
                        Ok(()) => tokio::time::sleep(SETTLE).await,
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(pause) => {}
                }
            }
        };
        stop.run_until_cancelled(keeping).await;
    }

    async fn look(
        &mut self,
        model: &ModelId,
        hash: ContentHash,
        pool: &PoolStatus,
        status: &NetworkStatus,
    ) -> Result<(), Fault> {
        if pool.places.is_empty() {
            return Ok(());
        }
        let places: Vec<Vec<Candidate<'_>>> = pool.places.iter().map(|place| candidates(place, status)).collect();
        let now_s = self.founding.now_s().await?;
        let fits = self.known.get(model).is_some_and(|known| {
            let layers = known.terms.places.iter().map(|place| place.layers);
            layers.eq(pool.places.iter().map(|place| place.layers))
                && known.terms.model == hash
                && known.terms.deadline_s > now_s + ENDING_S
        });
        if !fits {
            if places.iter().any(Vec::is_empty) {
                return Ok(());
            }
            self.found(model, hash, pool, &places, now_s).await?;
        }
        self.sell(model)?;
        self.admit(model, &places).await?;
        self.pay(model, pool, &places).await
    }

    /// Has the operators who serve now agree to terms.
    async fn found(
        &mut self,
        model: &ModelId,
        hash: ContentHash,
        pool: &PoolStatus,
        places: &[Vec<Candidate<'_>>],
        now_s: u64,
    ) -> Result<(), Fault> {
        let layers = pool.places.last().map_or(0, |place| place.layers.end());
        let first = |(place, candidates): (&PlaceStatus, &Vec<Candidate<'_>>)| {
            let holder = candidates.first()?.operator;
            Some(FoundedPlace { layers: place.layers, holder, bond: true })
        };
        let Some(founded) = pool.places.iter().zip(places).map(first).collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let terms = CoalitionTerms {
            model: hash,
            places: founded,
            unit_rate: CoalitionTerms::unit_rate(self.settings.price_per_hour, layers)?,
            fee_bps: self.founding.fee_bps().await?,
            royalty_bps: 0,
            owner: Account::ZERO,
            stake: self.settings.stake,
            arbiter: Account::ZERO,
            meter: self.meter,
            exit_delay_s: EXIT_S,
            deadline_s: now_s + LASTS_S,
            salt: B256::from(rand::rng().random::<[u8; 32]>()),
        };
        let id = self.id(&terms)?;
        // They sign before anything is sent: terms that somebody refuses cost nothing.
        let mut commitments = BTreeMap::new();
        for (index, candidates) in (0_u32..).zip(places) {
            let Some(Candidate { node, operator }) = candidates.first() else { continue };
            if !commitments.contains_key(operator) {
                let commitment = self.engagements.ask(&node.node, self.proposal(id, &terms, index)).await?;
                commitments.insert(*operator, (index, commitment));
            }
        }
        self.founding.propose(&terms).await?;
        let mut signed = BTreeSet::new();
        for (operator, (place, commitment)) in commitments {
            self.founding.sign(id, place, operator, commitment).await?;
        }
        for (index, place) in (0_u32..).zip(&terms.places) {
            signed.insert((index, place.holder));
        }
        self.founding.activate(id).await?;
        tracing::info!(%model, coalition = %id.0, operators = signed.len(), "a coalition was formed");
        let paid = terms.places.iter().map(|place| place.holder).collect();
        self.known.insert(model.clone(), Known { terms, signed, paid, sold: false });
        self.remember()
    }

    fn sell(&mut self, model: &ModelId) -> Result<(), Fault> {
        let Some(known) = self.known.get(model).filter(|known| !known.sold) else { return Ok(()) };
        let tariff = Tariff {
            model: model.clone(),
            coalition: self.id(&known.terms)?,
            amount: self.settings.session,
            lifetime_s: u32::try_from(self.settings.lifetime.as_secs()).unwrap_or(u32::MAX),
        };
        let bad = |error: computepool_payments::SettingsError| Fault::new(FaultCode::InvalidRequest, error.to_string());
        self.payments.sell(tariff).map_err(bad)?;
        if let Some(known) = self.known.get_mut(model) {
            known.sold = true;
        }
        Ok(())
    }

    /// Lets those who could stand in sign for their places.
    async fn admit(&mut self, model: &ModelId, places: &[Vec<Candidate<'_>>]) -> Result<(), Fault> {
        let Some(known) = self.known.get(model) else { return Ok(()) };
        let (terms, id) = (known.terms.clone(), self.id(&known.terms)?);
        for (index, candidates) in (0_u32..).zip(places) {
            for Candidate { node, operator } in candidates {
                let is_signed = |known: &Known| known.signed.contains(&(index, *operator));
                let key = (node.node.clone(), index);
                let left_alone = self.refused.get(&key).is_some_and(|since| since.elapsed() < LEFT_ALONE);
                if self.known.get(model).is_some_and(is_signed) || left_alone {
                    continue;
                }
                let joined = match self.founding.coalitions().may_hold(id, index, *operator).await? {
                    true => Ok(()),
                    false => self.join(id, &terms, index, node, *operator).await,
                };
                match joined {
                    Ok(()) => {
                        self.refused.remove(&key);
                        if let Some(known) = self.known.get_mut(model) {
                            known.signed.insert((index, *operator));
                        }
                    }
                    Err(fault) => {
                        tracing::warn!(node = %node.node, %fault, "an operator is no stand-in");
                        self.refused.insert(key, Instant::now());
                    }
                }
            }
        }
        self.refused.retain(|_, since| since.elapsed() < LEFT_ALONE);
        Ok(())
    }

    async fn join(
        &self,
        id: CoalitionId,
        terms: &CoalitionTerms,
        place: u32,
        node: &NodeStatus,
        operator: Account,
    ) -> Result<(), Fault> {
        let commitment = self.engagements.ask(&node.node, self.proposal(id, terms, place)).await?;
        Ok(self.founding.sign(id, place, operator, commitment).await?)
    }

    /// Sees to it that each place is paid to somebody who serves it.
    async fn pay(&mut self, model: &ModelId, pool: &PoolStatus, places: &[Vec<Candidate<'_>>]) -> Result<(), Fault> {
        let Some(known) = self.known.get(model) else { return Ok(()) };
        let mut serving = Vec::new();
        let mut paid = known.paid.clone();
        paid.resize(pool.places.len(), Account::ZERO);
        for (index, (place, candidates)) in pool.places.iter().zip(places).enumerate() {
            let signed = |it: &&Candidate<'_>| known.signed.contains(&(index as u32, it.operator));
            let signed: Vec<&Candidate<'_>> = candidates.iter().filter(signed).collect();
            if let Some(operator) = who_is_paid(&signed, paid[index]) {
                serving.push(Serving { layers: place.layers, operator });
                paid[index] = operator;
            }
        }
        let id = self.id(&known.terms)?;
        let changed = self.payments.pay_who_serves(id, &serving).await?;
        if changed > 0 {
            tracing::info!(%model, changed, "places are paid to those who serve them now");
        }
        if let Some(known) = self.known.get_mut(model) {
            known.paid = paid;
        }
        Ok(())
    }

    fn proposal(&self, id: CoalitionId, terms: &CoalitionTerms, place: u32) -> Proposal {
        let (chain, contract) = (self.founding.chain(), self.founding.contract());
        Proposal { chain, contract, id, terms: terms.clone(), place }
    }

    fn id(&self, terms: &CoalitionTerms) -> Result<CoalitionId, Fault> {
        terms_id(self.founding.chain(), self.founding.contract(), terms).ok_or_else(|| {
            Fault::new(FaultCode::InvalidRequest, "the terms of a coalition hold figures that no contract can")
        })
    }

    fn file(&self) -> Option<PathBuf> {
        Some(self.settings.folder.as_ref()?.join(format!("coalitions-{}.json", self.founding.chain().0)))
    }

    fn recall(&self) -> BTreeMap<ModelId, Known> {
        let read = || serde_json::from_slice(&std::fs::read(self.file()?).ok()?).ok();
        read().unwrap_or_default()
    }

    fn remember(&self) -> Result<(), Fault> {
        let Some(file) = self.file() else { return Ok(()) };
        let failed = |why: String| Fault::new(FaultCode::Io, format!("{} was not written: {why}", file.display()));
        let text = serde_json::to_vec_pretty(&self.known).map_err(|error| failed(error.to_string()))?;
        std::fs::write(&file, text).map_err(|error| failed(error.to_string()))
    }
}

/// The nodes that serve a place and whose operators want to be paid, in the order of the network.
fn candidates<'a>(place: &PlaceStatus, status: &'a NetworkStatus) -> Vec<Candidate<'a>> {
    let node = |id: &NodeId| {
        let node = status.nodes.iter().find(|node| &node.node == id)?;
        Some(Candidate { node, operator: node.operator? })
    };
    place.ready.iter().filter_map(node).collect()
}

/// Who is to be paid for a place: who was, while it serves, or at least is there and nobody else serves; else who does.
fn who_is_paid(candidates: &[&Candidate<'_>], before: Account) -> Option<Account> {
    let busy = |it: &&&Candidate<'_>| it.node.generations > 0;
    let was = candidates.iter().find(|it| it.operator == before);
    let other = candidates.iter().find(busy);
    match (was, other) {
        (Some(was), _) if busy(&was) => Some(was.operator),
        (_, Some(other)) => Some(other.operator),
        (Some(was), None) => Some(was.operator),
        (None, None) => candidates.first().map(|first| first.operator),
    }
}
