//! What the chain says of a paid session, asked by somebody who need not trust the orchestrator.

use std::path::Path;
use std::time::Duration;

use computepool_chain::SessionReader;
use computepool_chain::coalitions::Coalitions;
pub use computepool_chain::coalitions::Share;
use computepool_core::ports::{CoalitionId, SessionOnChain, SessionPhase};
use computepool_core::{Account, Amount, Asset, Fault, FaultCode, MoneyError};

use crate::chains::ChainCard;

/// How often the chain is asked whether a session is closed.
const LOOK: Duration = Duration::from_millis(200);

/// Reads one chain.
#[derive(Clone, Debug)]
pub struct Onlooker {
    sessions: SessionReader,
    coalitions: Coalitions,
}

/// Where the money of a closed session went, in USDCx: what was paid in, and what came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The voucher.
    pub paid_in: Amount,
    /// What each share of the pool got.
    pub shares: Vec<(Share, Amount)>,
    /// What went back to the payer, units and dust together.
    pub refund: Amount,
    /// What a liquidator took; nothing, where the session was closed in time.
    pub lost: Amount,
}

impl Onlooker {
    /// Reads the chain of a card.
    pub fn new(card: &Path) -> Result<Self, Fault> {
        let card = ChainCard::read(card)?;
        let rpc = card.rpc()?;
        Ok(Self {
            sessions: SessionReader::new(&card.network(), rpc.clone()),
            coalitions: Coalitions::new(rpc, &card.book),
        })
    }

    /// The session at this account; `None` while it was never opened.
    pub async fn session(&self, account: Account) -> Result<Option<SessionOnChain>, Fault> {
        Ok(self.sessions.view(account).await?.newest)
    }

    /// What the pool of a coalition has paid so far, and to whom.
    pub async fn shares(&self, coalition: CoalitionId) -> Result<Vec<Share>, Fault> {
        Ok(self.coalitions.shares(coalition).await?)
    }

    /// Waits until a session is closed at the depth that counts.
    pub async fn closed(&self, account: Account, within: Duration) -> Result<SessionOnChain, Fault> {
        let waiting = async {
            loop {
                if let Some(session) = self.sessions.view(account).await?.settled
                    && session.phase == SessionPhase::Closed
                {
                    return Ok(session);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(within, waiting).await.unwrap_or_else(|_| {
            Err(Fault::new(
                FaultCode::Stalled,
                format!("the session {account} was not closed within {} s", within.as_secs()),
            )
            .hint("its payer can close it without the orchestrator: `computepool sessions`"))
        })
    }
}

impl Settlement {
    /// Of a closed session, whose pool had paid `before` when it was opened, and `after` when it was closed; no other
    /// session may have been paid from it meanwhile.
    pub fn of(session: &SessionOnChain, before: &[Share], after: Vec<Share>) -> Result<Self, MoneyError> {
        let got = |share: &Share| {
            let earlier = before.iter().find(|it| it.payee == share.payee);
            share.received.minus(earlier.map_or(Amount::zero(Asset::Usdcx), |it| it.received))
        };
        let shares = after
            .into_iter()
            .map(|share| {
                let got = got(&share)?;
                Ok((share, got))
            })
            .collect::<Result<_, MoneyError>>()?;
        Ok(Self {
            paid_in: session.amount.convert(Asset::Usdcx)?,
            shares,
            refund: session.refund.convert(Asset::Usdcx)?.plus(session.dust)?,
            lost: session.lost,
        })
    }

    /// Everything that came out.
    pub fn paid_out(&self) -> Result<Amount, MoneyError> {
        let shares = self.shares.iter().map(|(_, amount)| *amount);
        Amount::sum(Asset::Usdcx, shares.chain([self.refund, self.lost]))
    }

    /// Whether what came out is what was paid in, to the last unit.
    pub fn adds_up(&self) -> bool {
        self.paid_out() == Ok(self.paid_in)
    }
}
