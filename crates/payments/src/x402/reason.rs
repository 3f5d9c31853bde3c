//! Why a payment does not do, by x402's names.

use std::fmt;

use computepool_core::{Fault, FaultCode};

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $text:literal, $says:literal),+ $(,)?) => {
        /// Why a payment does not do. The text forms are x402's where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$meta])* $name),+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$name),+];

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text),+ }
            }

            /// In words, for people.
            pub fn words(self) -> &'static str {
                match self { $(Reason::$name => $says),+ }
            }
        }
    };
}

reasons! {
    /// Another version of x402.
    Version = "invalid_x402_version", "only x402 version 2 is spoken here",
    /// Another scheme.
    Scheme = "invalid_scheme", "only the scheme exact with EIP-3009 is taken here",
    /// Another chain, or another token.
    Network = "invalid_network", "the payment is for another network",
    /// Another token.
    Asset = "invalid_exact_evm_payload_asset", "the payment is in another token",
    /// It does not answer a quote of ours for this resource.
    Requirements = "invalid_payment_requirements", "the payment does not answer a quote for this resource",
    /// Something in it cannot be.
    Payload = "invalid_payload", "the payment cannot be read",
    /// Signed by somebody else, or not at all.
    Signature = "invalid_exact_evm_payload_signature", "the voucher is not signed by its payer",
    /// By somebody else than the quote names.
    Payer = "invalid_payer", "the quote was made for another payer",
    /// To another account.
    Recipient = "invalid_exact_evm_payload_recipient_mismatch", "the voucher is made out to another account",
    /// Another amount.
    Value = "invalid_exact_evm_payload_authorization_value_mismatch", "the voucher is made out for another amount",
    /// Too early.
    ValidAfter = "invalid_exact_evm_payload_authorization_valid_after", "the voucher does not hold yet",
    /// Too late, or for too long.
    ValidBefore = "invalid_exact_evm_payload_authorization_valid_before", "the voucher holds no longer, or for too long",
    /// The payer has too little.
    Funds = "insufficient_funds", "the payer has less than the voucher says",
    /// Presented before, executed before, or cancelled.
    Used = "invalid_exact_evm_nonce_already_used", "the voucher was used or cancelled before",
    /// The quote was used by another voucher.
    QuoteUsed = "payment_quote_already_used", "the quote was paid with another voucher before",
    /// The chain would not execute it.
    Simulation = "invalid_exact_evm_transaction_simulation_failed", "the chain would not execute the voucher",
    /// The quote is too old.
    Expired = "payment_expired", "the quote has expired",
    /// The session's money is spent, its time is up, or nobody knows it.
    Session = "session_over", "the session is over, or unknown",
    /// It was not in a block in time.
    Unsettled = "unexpected_settle_error", "the voucher could not be executed",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reason {
    /// The refusal, with more about it where there is more.
    pub fn fault(self, more: impl fmt::Display) -> Fault {
        let more = more.to_string();
        let message = if more.is_empty() { self.words().to_owned() } else { format!("{}: {more}", self.words()) };
        Fault::new(FaultCode::PaymentRefused, message).hint("pay what the header PAYMENT-REQUIRED asks for")
    }
}
