//! A payer's own way out of a session: nobody else is needed for it.

use alloy::sol;
use computepool_core::money::Account;
use computepool_core::ports::{Purpose, SessionTerms, Voucher};

use super::terms;
use crate::contracts::{Session, SessionEscrow};
use crate::deployment::AddressBook;
use crate::sender::Intent;

sol! {
    /// The session's other `close`, which takes nothing and is the payer's.
    interface Ended {
        function close() external;
    }
}

/// Stops a session; and ends it, when it was stopped long enough ago for its meter to have said what it served.
pub fn end(session: Account) -> Intent {
    Intent::new("ending a session", Purpose::Transfer, session.0).calling(&Ended::closeCall {})
}

/// Has what lies at a closed session's account paid to its payer.
pub fn sweep(session: Account) -> Intent {
    Intent::new("fetching what a session held back", Purpose::Transfer, session.0).calling(&Session::sweepCall {})
}

/// Gives back what lies at the account of a session that was never opened. At any time where the terms name who asks,
/// else when they have expired.
pub fn reclaim(book: &AddressBook, terms: &SessionTerms, voucher: &Voucher) -> Intent {
    let (quote, signature) = (terms::quote(terms), voucher.signature.clone());
    let voucher = terms::authorization(&voucher.authorization);
    let call = SessionEscrow::reclaimCall { quote, voucher, signature };
    Intent::new("taking back what was never used", Purpose::Transfer, book.session_escrow.0).calling(&call)
}
