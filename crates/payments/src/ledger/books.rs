//! Double entry: every sum that leaves one account of the books arrives in another, to the wei.

use std::collections::BTreeMap;
use std::fmt;

use alloy_primitives::U256;
use computepool_core::ports::{CoalitionId, CoalitionOffer};
use computepool_core::{Account, Amount, Asset, MoneyError};

use super::{Fact, Granted, Settlement};

/// An account of the books. All are kept in USDCx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BookAccount {
    /// A payer outside.
    Payer(Account),
    /// The money of a session.
    Session(Account),
    /// The operators of a coalition.
    Operators(CoalitionId),
    /// The protocol's share of a coalition's sessions.
    Fee(CoalitionId),
    /// The model owner's share.
    Royalty(CoalitionId),
    /// Who liquidated a stream that had outlived its money.
    Liquidator,
    /// The streaming protocol, where a stream outlived its money.
    Protocol,
    /// Strangers who sent something to a session.
    Strangers,
}

impl fmt::Display for BookAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payer(account) => write!(f, "payer:{account}"),
            Self::Session(account) => write!(f, "session:{account}"),
            Self::Operators(id) => write!(f, "operators:0x{}", hex::encode(id.0)),
            Self::Fee(id) => write!(f, "fee:0x{}", hex::encode(id.0)),
            Self::Royalty(id) => write!(f, "royalty:0x{}", hex::encode(id.0)),
            Self::Liquidator => f.write_str("liquidator"),
            Self::Protocol => f.write_str("protocol"),
            Self::Strangers => f.write_str("strangers"),
        }
    }
}

/// A sum that goes from one account of the books to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posting {
    /// From where.
    pub from: BookAccount,
    /// Where to.
    pub to: BookAccount,
    /// How much, in USDCx.
    pub amount: Amount,
}

/// Why the books do not close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BooksError {
    /// What came in is not what went out.
    #[error("session {session}: {came} came in and {went} went out")]
    Unbalanced {
        /// Of which session.
        session: Account,
        /// In USDCx.
        came: Amount,
        /// In USDCx.
        went: Amount,
    },
    /// A share of what was paid is no whole number of wei.
    #[error("session {session}: {paid} cannot be shared out exactly")]
    Uneven {
        /// Of which session.
        session: Account,
        /// In USDCx.
        paid: Amount,
    },
    /// A sum that cannot be.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Settlement {
    /// What was paid out to all, in USDCx.
    pub fn paid_out(&self) -> Result<Amount, MoneyError> {
        self.streamed.plus(self.topped_up)
    }

    /// What streamed after the money was spent, in USDCx: the streaming protocol bore it.
    pub fn borne(&self) -> Result<Amount, MoneyError> {
        self.paid_out()?.less(self.paid_in.convert(Asset::Usdcx)?)
    }

    /// Whether what came in is what went out, to the wei.
    pub fn check(&self, session: Account) -> Result<(), BooksError> {
        let came = self.paid_in.convert(Asset::Usdcx)?.plus(self.found)?.plus(self.borne()?)?;
        let back = self.refund.convert(Asset::Usdcx)?.plus(self.dust)?;
        let went = self.paid_out()?.plus(back)?.plus(self.lost)?;
        if came == went { Ok(()) } else { Err(BooksError::Unbalanced { session, came, went }) }
    }
}

/// What a fact moves.
pub fn postings(granted: &Granted, fact: &Fact) -> Result<Vec<Posting>, BooksError> {
    let (payer, session) =
        (BookAccount::Payer(granted.voucher.authorization.from), BookAccount::Session(granted.account));
    let coalition = granted.terms.coalition;
    let all = match fact {
        Fact::Opened { amount, .. } => {
            vec![Posting { from: payer, to: session, amount: amount.convert(Asset::Usdcx)? }]
        }
        Fact::Settled(settlement) => {
            settlement.check(granted.account)?;
            let paid = settlement.paid_out()?;
            let (operators, fee, royalty) =
                shares(&granted.offer, paid).ok_or(BooksError::Uneven { session: granted.account, paid })?;
            let back = settlement.refund.convert(Asset::Usdcx)?.plus(settlement.dust)?;
            let out = |to, amount| Posting { from: session, to, amount };
            vec![
                Posting { from: BookAccount::Strangers, to: session, amount: settlement.found },
                Posting { from: BookAccount::Protocol, to: session, amount: settlement.borne()? },
                out(BookAccount::Operators(coalition), operators),
                out(BookAccount::Fee(coalition), fee),
                out(BookAccount::Royalty(coalition), royalty),
                out(payer, back),
                out(BookAccount::Liquidator, settlement.lost),
            ]
        }
        _ => Vec::new(),
    };
    Ok(all.into_iter().filter(|posting| !posting.amount.is_zero()).collect())
}

/// Operators', protocol's and owner's part of what was paid: by units, of which a layer has 10,000.
fn shares(offer: &CoalitionOffer, paid: Amount) -> Option<(Amount, Amount, Amount)> {
    let share = |bps: u32| {
        let product = paid.units.checked_mul(U256::from(bps))?;
        let (share, rest) = product.div_rem(U256::from(10_000));
        rest.is_zero().then(|| Amount::new(share, paid.asset))
    };
    let (fee, royalty) = (share(offer.fee_bps)?, share(offer.royalty_bps)?);
    let operators = paid.minus(fee).ok()?.minus(royalty).ok()?;
    Some((operators, fee, royalty))
}

/// Balances, as they follow from postings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    came: BTreeMap<BookAccount, Amount>,
    went: BTreeMap<BookAccount, Amount>,
}

impl Books {
    /// Books a sum.
    pub fn post(&mut self, posting: &Posting) -> Result<(), MoneyError> {
        for (side, account) in [(&mut self.went, posting.from), (&mut self.came, posting.to)] {
            let sum = side.entry(account).or_insert(Amount::zero(Asset::Usdcx));
            *sum = sum.plus(posting.amount)?;
        }
        Ok(())
    }

    /// What came into an account and what went out of it, in USDCx.
    pub fn turnover(&self, account: &BookAccount) -> (Amount, Amount) {
        let of = |side: &BTreeMap<_, Amount>| side.get(account).copied().unwrap_or(Amount::zero(Asset::Usdcx));
        (of(&self.came), of(&self.went))
    }

    /// All accounts that something went into or out of.
    pub fn accounts(&self) -> impl Iterator<Item = BookAccount> {
        let all: std::collections::BTreeSet<_> = self.came.keys().chain(self.went.keys()).copied().collect();
        all.into_iter()
    }

    /// What all sessions together still hold, in USDCx; refused where one has given more than it had.
    pub fn held(&self) -> Result<Amount, MoneyError> {
        let sessions = self.accounts().filter(|account| matches!(account, BookAccount::Session(_)));
        sessions
            .map(|account| self.turnover(&account))
            .try_fold(Amount::zero(Asset::Usdcx), |sum, (came, went)| sum.plus(came.minus(went)?))
    }
}
