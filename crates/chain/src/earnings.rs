//! What an operator has earned, read from the chain alone: nobody else's word counts.
//!
//! A pool pays its members by their units. Everything that a coalition's sessions pay divides among the units without a
//! rest, so that a member's part of each session is exact to the wei, also where units changed hands in its middle.

mod scan;
mod share;

use alloy::primitives::{Address, U256};
use alloy::sol;
use computepool_core::money::{Account, Amount, Asset, TxHash};
use computepool_core::ports::CoalitionId;

use self::scan::Scan;
use crate::ChainError;
use crate::contracts::{Coalition, SuperToken};
use crate::deployment::AddressBook;
use crate::rpc::Rpc;
use crate::sessions::positive;

sol! {
    /// A pool of Superfluid's.
    contract Pool {
        event MemberUnitsUpdated(address indexed token, address indexed member, uint128 oldUnits, uint128 newUnits);
        event DistributionClaimed(address indexed token, address indexed member, int256 claimedAmount, int256 totalClaimed);
        function getUnits(address member) external view returns (uint128);
        function getTotalUnits() external view returns (uint128);
        function getMemberFlowRate(address member) external view returns (int96);
        function getTotalAmountReceivedByMember(address member) external view returns (uint256);
        function getClaimableNow(address member) external view returns (int256 claimable, uint256 timestamp);
    }

    /// `contracts/src/BondAccount.sol`.
    contract Bond {
        event Filled(bytes32 indexed id, address indexed operator, uint256 bondedUnits, uint256 paidWei);
    }

    /// `contracts/src/Session.sol`.
    contract Session {
        event Opened(address indexed payer, address indexed pool, address meter, uint256 budget, int96 rate, uint256 endsAt);
        event Started(int96 rate, uint256 buffer, uint256 left);
        event Paused(uint64 servedMs, uint256 streamed, uint256 toppedUp);
        event ToppedUp(uint256 amount);
        event Stopped(address indexed by, uint256 streamed);
        event Closed(uint64 servedMs, uint256 streamed, uint256 toppedUp, uint256 refundUnits, uint256 refundDust, uint256 lost, uint256 found);
        function streamed() external view returns (uint256 amount);
    }
}

/// An operator's part in one coalition, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Which coalition.
    pub coalition: CoalitionId,
    /// Who pays; nobody before the coalition is active.
    pub pool: Option<Account>,
    /// The pool's member for the operator: itself, or its bond account.
    pub payee: Account,
    /// Whether that is a bond account.
    pub bonding: bool,
    /// What is at stake, in USDC.
    pub staked: Amount,
    /// The operator's units, and everybody's.
    pub units: (u128, u128),
    /// What the pool has paid since it was made, claimed or not, in USDCx.
    pub received: Amount,
    /// What of it waits in the pool, in USDCx.
    pub claimable: Amount,
    /// What of it waits in the bond account, in USDCx.
    pub bonded: Amount,
    /// What flows a second now, in USDCx.
    pub flowing: Amount,
}

/// What one session has paid an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEarning {
    /// Of which coalition.
    pub coalition: CoalitionId,
    /// The session's account.
    pub session: Account,
    /// Who paid.
    pub payer: Account,
    /// Unix seconds of the block.
    pub opened_s: u64,
    /// When it closed, in Unix seconds of the block, and by which transaction; none while it is open.
    pub closed: Option<(u64, TxHash)>,
    /// The operator's part so far, in USDCx.
    pub amount: Amount,
}

/// Money that reached an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payout {
    /// Of which coalition.
    pub coalition: CoalitionId,
    /// What became of it.
    pub kind: PayoutKind,
    /// Unix seconds of the block.
    pub at_s: u64,
    /// By which transaction.
    pub transaction: TxHash,
    /// How much: USDCx, and USDC where it became stake.
    pub amount: Amount,
}

/// What became of money that an operator earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayoutKind {
    /// It came to the operator's account.
    Paid,
    /// It came to the operator's bond account, which keeps it until it is filled.
    Collected,
    /// It became stake.
    Staked,
}

/// An operator's past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its coalitions, oldest first.
    pub coalitions: Vec<CoalitionId>,
    /// What their sessions paid it, oldest first.
    pub sessions: Vec<SessionEarning>,
    /// What reached it, oldest first.
    pub payouts: Vec<Payout>,
}

/// Reads what operators earn in the coalitions of one deployment.
#[derive(Clone, Debug)]
pub struct Earnings {
    rpc: Rpc,
    book: AddressBook,
}

impl Earnings {
    /// Those of the deployment in `book`.
    pub fn new(rpc: Rpc, book: &AddressBook) -> Self {
        Self { rpc, book: book.clone() }
    }

    /// How an operator stands in a coalition now.
    pub async fn seat(&self, coalition: CoalitionId, operator: Account) -> Result<Seat, ChainError> {
        let (id, who) = (coalition.0, operator.0);
        let contract = self.book.coalition.0;
        let pool = self.rpc.call(contract, &Coalition::offerCall { id }).await?.pool;
        let payee = self.rpc.call(contract, &Coalition::payeeCall { id, operator: who }).await?;
        let member = self.rpc.call(contract, &Coalition::memberOfCall { id, operator: who }).await?;
        let nothing = Amount::zero(Asset::Usdcx);
        let mut seat = Seat {
            coalition,
            pool: None,
            payee: Account(payee),
            bonding: payee != who,
            staked: Amount::usdc(member.staked),
            units: (0, 0),
            received: nothing,
            claimable: nothing,
            bonded: nothing,
            flowing: nothing,
        };
        if seat.bonding {
            let balance = SuperToken::balanceOfCall { account: payee };
            seat.bonded = usdcx(self.rpc.call(self.book.usdcx.0, &balance).await?);
        }
        if pool.is_zero() {
            return Ok(seat);
        }
        seat.pool = Some(Account(pool));
        let units = self.rpc.call(pool, &Pool::getUnitsCall { member: payee }).await?;
        seat.units = (units, self.rpc.call(pool, &Pool::getTotalUnitsCall {}).await?);
        // Asked for first, so that a stream cannot make more claimable than was received.
        let claimable = self.rpc.call(pool, &Pool::getClaimableNowCall { member: payee }).await?.claimable;
        seat.claimable = usdcx(U256::try_from(claimable).unwrap_or_default());
        let received = Pool::getTotalAmountReceivedByMemberCall { member: payee };
        seat.received = usdcx(self.rpc.call(pool, &received).await?);
        let flow = self.rpc.call(pool, &Pool::getMemberFlowRateCall { member: payee }).await?;
        seat.flowing = usdcx(positive(flow));
        Ok(seat)
    }

    /// What an operator did and got since block `since`; since the deployment where none is named. Blocks are searched
    /// piece by piece: on a public endpoint that takes a second or so for each day.
    ///
    /// # Errors
    /// [`ChainError::Setting`] where there are more blocks, or sessions, than are searched at once.
    pub async fn record(&self, operator: Account, since: Option<u64>) -> Result<Record, ChainError> {
        let head = self.rpc.head().await?;
        let first = match since {
            Some(block) => block,
            None => self.deployed_by(head).await?,
        };
        Scan::new(self, operator).run(first, head).await
    }

    /// The first block in which the coalitions' contract is there. Where an endpoint does not remember old blocks, the
    /// first that it remembers.
    async fn deployed_by(&self, head: u64) -> Result<u64, ChainError> {
        let (mut without, mut with) = (0, head);
        while without < with {
            let middle = without + (with - without) / 2;
            let there = match self.rpc.code_at(self.book.coalition.0, middle.into()).await {
                Ok(code) => !code.is_empty(),
                Err(ChainError::Refused { .. }) => false,
                Err(error) => return Err(error),
            };
            if there { with = middle } else { without = middle + 1 }
        }
        Ok(with)
    }

    fn contract(&self) -> Address {
        self.book.coalition.0
    }
}

fn usdcx(wei: U256) -> Amount {
    Amount::new(wei, Asset::Usdcx)
}
