//! Why nothing is paid.

use computepool_core::{Account, Amount, ChainId, Fault, FaultCode};

use crate::x402::HeaderError;

/// Of how many offers an error speaks.
const NAMED: usize = 3;
/// How much of a server's text is shown.
const SHOWN: usize = 120;

/// Why nothing is paid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayError {
    /// The header cannot be read.
    #[error("what the server has to say about payment cannot be read: {0}")]
    Unreadable(HeaderError),
    /// There is neither header nor body.
    #[error("the server wants to be paid and does not say how")]
    NotSaid,
    /// Another version of x402.
    #[error("the server speaks version {got} of x402, and only version 2 is spoken here")]
    Version {
        /// Which.
        got: u32,
    },
    /// No way to pay is one that the payer knows and allows.
    #[error("{}", nothing_fits(.0))]
    NothingFits(Vec<Unfit>),
    /// The vault does not sign.
    #[error("the payment is not signed: {}", .0.message)]
    NotSigned(Fault),
    /// What the server says of the payment does not belong to it.
    #[error("what the server says became of the payment does not belong to it: {0}")]
    OtherPayment(&'static str),
}

/// Why a way to pay is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It is not what x402 has there.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Another scheme.
    #[error("the scheme {0:?} is not spoken here")]
    Scheme(String),
    /// Another kind of network.
    #[error("the network {0:?} is no EVM chain")]
    Network(String),
    /// Another way to move a token.
    #[error("the token would be moved by {0:?} and not by EIP-3009")]
    Method(String),
    /// A token that the payer does not know.
    #[error("the token {contract} on chain {chain} is not one that this payer knows")]
    UnknownToken {
        /// Its chain.
        chain: ChainId,
        /// Its contract.
        contract: Account,
    },
    /// A known token under another name.
    #[error("the token {contract} is said to be {said:?}, which is not its name and version")]
    OtherName {
        /// Its contract.
        contract: Account,
        /// What the server calls it.
        said: String,
    },
    /// Not to a session of this payer's.
    #[error("the money would not go to a session whose rest comes back: {0}")]
    NoSession(&'static str),
    /// More than the payer allows.
    #[error("it costs {asked}, and at most {most} are paid")]
    TooDear {
        /// What it costs.
        asked: Amount,
        /// What the payer allows.
        most: Amount,
    },
}

fn nothing_fits(why: &[Unfit]) -> String {
    if why.is_empty() {
        return "the server wants to be paid and offers no way to do it".to_owned();
    }
    let named: Vec<String> = why.iter().take(NAMED).map(Unfit::to_string).collect();
    let more = if why.len() > NAMED { format!("; and {} more", why.len() - NAMED) } else { String::new() };
    format!("the server wants to be paid in no way that can be done here: {}{more}", named.join("; "))
}

/// The beginning of what a server says, without what could harm a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect()
}

impl From<PayError> for Fault {
    fn from(error: PayError) -> Self {
        let message = error.to_string();
        match error {
            PayError::NotSigned(fault) => Fault { message, ..fault },
            PayError::NothingFits(why) if why.iter().any(|unfit| matches!(unfit, Unfit::TooDear { .. })) => {
                Fault::new(FaultCode::SpendLimit, message).hint("allow more for one payment, or ask somebody cheaper")
            }
            PayError::NothingFits(_) => Fault::new(FaultCode::PaymentRequired, message),
            _ => Fault::new(FaultCode::BadFrame, message),
        }
    }
}
