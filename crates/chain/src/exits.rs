//! How an operator gets out of a coalition, and its stake with it.

use alloy::primitives::Address;
use computepool_core::ports::{CoalitionId, Purpose};
use computepool_core::{Account, Amount};

use crate::ChainError;
use crate::coalitions::{STAGE_ACTIVE, STAGE_PROPOSED};
use crate::contracts::Coalition;
use crate::deployment::AddressBook;
use crate::rpc::Rpc;
use crate::sender::Intent;

/// How far an operator is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing of it is there, or not any more.
    Out,
    /// It belongs to a coalition, and can leave it.
    Member {
        /// What is at stake, in USDC.
        staked: Amount,
    },
    /// It has left, or the coalition has ended: the stake can be taken back from then on.
    Left {
        /// What is at stake, in USDC.
        staked: Amount,
        /// When, in Unix seconds.
        until_s: u64,
        /// Accusations that have to be answered first.
        accusations: u32,
    },
    /// It signed for something that never came about: the stake can be taken back now.
    Unfounded {
        /// What is at stake, in USDC.
        staked: Amount,
    },
}

/// The ways out of the coalitions of one deployment.
#[derive(Clone, Debug)]
pub struct Exits {
    rpc: Rpc,
    contract: Address,
}

impl Exits {
    /// Those of the deployment in `book`.
    pub fn new(rpc: Rpc, book: &AddressBook) -> Self {
        Self { rpc, contract: book.coalition.0 }
    }

    /// How far an operator is.
    pub async fn of(&self, id: CoalitionId, operator: Account) -> Result<Exit, ChainError> {
        let member = self.rpc.call(self.contract, &Coalition::memberOfCall { id: id.0, operator: operator.0 }).await?;
        if !member.signed {
            return Ok(Exit::Out);
        }
        let staked = Amount::usdc(member.staked);
        let stage = self.rpc.call(self.contract, &Coalition::stageCall { id: id.0 }).await?;
        if stage == STAGE_PROPOSED {
            return Ok(Exit::Unfounded { staked });
        }
        if stage == STAGE_ACTIVE && member.leftAt.is_zero() && !member.expelled {
            return Ok(Exit::Member { staked });
        }
        let until = self.rpc.call(self.contract, &Coalition::exitAtCall { id: id.0, operator: operator.0 }).await?;
        let until_s = u64::try_from(until).unwrap_or(u64::MAX);
        Ok(Exit::Left { staked, until_s, accusations: member.accusations })
    }

    /// The chain's time, in Unix seconds.
    pub async fn now_s(&self) -> Result<u64, ChainError> {
        self.rpc.time().await
    }

    /// Leaves a coalition.
    pub fn resign(&self, id: CoalitionId) -> Intent {
        Intent::new("leaving a coalition", Purpose::Coalition, self.contract)
            .calling(&Coalition::resignCall { id: id.0 })
    }

    /// Takes the stake back.
    pub fn withdraw(&self, id: CoalitionId) -> Intent {
        Intent::new("taking the stake back", Purpose::Stake, self.contract)
            .calling(&Coalition::withdrawCall { id: id.0 })
    }
}
