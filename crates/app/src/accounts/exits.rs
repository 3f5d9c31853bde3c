//! Leaving coalitions: the steps that can be done now, and what has to wait.

use computepool_chain::exits::{Exit, Exits};
use computepool_core::ports::CoalitionId;
use computepool_core::{Account, Amount, Fault};

use super::{Accounts, Step};

/// What an operator can do about one coalition.
#[derive(Clone, Debug)]
pub enum Way {
    /// Nothing is left to be done.
    Out,
    /// Do this.
    Now(Step),
    /// The stake comes back later.
    Later {
        /// How much of it, in USDC.
        staked: Amount,
        /// From when on, in Unix seconds.
        until_s: u64,
        /// Accusations that have to be answered first.
        accusations: u32,
    },
}

impl Accounts {
    /// The next step out of a coalition, tried out.
    pub async fn way_out(&self, coalition: CoalitionId, operator: Account) -> Result<Way, Fault> {
        let exits = Exits::new(self.card.rpc()?, &self.card.book);
        Ok(match exits.of(coalition, operator).await? {
            Exit::Out => Way::Out,
            Exit::Member { .. } => {
                Way::Now(self.step(operator, "leave the coalition".to_owned(), exits.resign(coalition)).await?)
            }
            Exit::Left { staked, until_s, accusations } if until_s > exits.now_s().await? || accusations > 0 => {
                Way::Later { staked, until_s, accusations }
            }
            Exit::Left { staked, .. } | Exit::Unfounded { staked } => {
                let what = format!("take the stake of {staked} back");
                Way::Now(self.step(operator, what, exits.withdraw(coalition)).await?)
            }
        })
    }
}
