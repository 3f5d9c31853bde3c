//! Laying down everything that ComputePool needs on a chain: the streaming protocol, the tokens, our contracts.
//!
//! Every address is known before ([`Plan`]), so every step can ask the chain whether it is done. A deployment that was
//! cut short goes on where it stopped, and one that is complete sends nothing.

mod book;
mod plan;
mod presigned;
mod verify;

use alloy::primitives::{Address, keccak256};
use computepool_core::ports::Purpose;

pub use self::book::{AddressBook, SuperfluidBook};
pub use self::plan::Plan;
use self::plan::{Step, Work};
use self::presigned::Presigned;
pub use self::verify::{PaidTrial, Trial, Verified, verify, wiring};
use crate::sender::{Intent, Sender, Until};
use crate::{ChainError, Network};

/// How often a transaction that was signed in advance is looked for, at the network's pace.
const LOOKS: u32 = 600;
/// The same where an endpoint has refused it.
const LOOKS_AFTER_REFUSAL: u32 = 60;

/// What a deployment did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// Transactions sent this time.
    pub transactions: u64,
    /// Gas they used.
    pub gas: u64,
    /// Gas of the largest.
    pub largest: u64,
    /// Steps that were done already.
    pub found: u64,
}

impl Deployed {
    fn count(&mut self, gas: u64) {
        self.transactions += 1;
        self.gas += gas;
        self.largest = self.largest.max(gas);
    }
}

/// Does what is left to do of the plan for `sender`'s account on `network`. `progress` is told the name of each step
/// before it is done, and whether it was done already.
///
/// # Errors
/// Those of [`Sender::send`]; [`ChainError::Setting`] where the plan cannot be made. Calling it again goes on.
pub async fn deploy(
    sender: &Sender,
    network: &Network,
    progress: &(dyn Fn(&str, bool) + Send + Sync),
) -> Result<(AddressBook, Deployed), ChainError> {
    let plan = Plan::new(network, sender.account())?;
    let mut deployed = Deployed::default();
    for step in &plan.steps {
        let done = is_done(sender, step.at).await?;
        progress(step.name, done);
        if done {
            deployed.found += 1;
            continue;
        }
        step.carry_out(sender, network, &mut deployed).await?;
        if !is_done(sender, step.at).await? {
            return Err(ChainError::Wiring {
                what: format!("{} at {}", step.name, step.at),
                expected: "a contract".to_owned(),
                found: "nothing".to_owned(),
            });
        }
    }
    Ok((plan.book, deployed))
}

async fn is_done(sender: &Sender, at: Address) -> Result<bool, ChainError> {
    Ok(!sender.rpc().code(at).await?.is_empty())
}

impl Step {
    async fn carry_out(&self, sender: &Sender, network: &Network, deployed: &mut Deployed) -> Result<(), ChainError> {
        match &self.work {
            Work::Presigned(creation) => hand_in(self, creation, sender, network, deployed).await,
            Work::Call { to, input } => {
                // The id is the step's own: a deployment that goes on joins what its predecessor sent.
                let name = format!("deploy {} {}", self.name, self.at);
                let intent = Intent { input: input.clone(), ..Intent::new(self.name, Purpose::Deployment, *to) };
                let landed = sender.send(intent.named(name), Until::Final).await?;
                deployed.count(landed.gas);
                Ok(())
            }
        }
    }
}

async fn hand_in(
    step: &Step,
    creation: &Presigned,
    sender: &Sender,
    network: &Network,
    deployed: &mut Deployed,
) -> Result<(), ChainError> {
    let rpc = sender.rpc();
    let has = rpc.balance(creation.signer).await?;
    if has < creation.costs {
        let what = format!("gas for the {}", step.name);
        let intent = Intent::new(&what, Purpose::Deployment, creation.signer).paying(creation.costs - has);
        let landed = sender.send(intent.named(format!("{what} above {has}")), Until::Final).await?;
        deployed.count(landed.gas);
    }
    let hash = keccak256(&creation.raw);
    // It may be refused because it waits there already. Otherwise it will not come, and the refusal says why.
    let refusal = rpc.send_raw(&creation.raw).await.err();
    let looks = if refusal.is_some() { LOOKS_AFTER_REFUSAL } else { LOOKS };
    for _ in 0..looks {
        if let Some(receipt) = rpc.receipt(hash).await? {
            deployed.count(receipt.gas_used);
            return Ok(());
        }
        tokio::time::sleep(network.poll).await;
    }
    let waited = (network.poll * looks).as_secs();
    Err(refusal.unwrap_or(ChainError::Pending { hash, nonce: 0, seconds: waited }))
}
