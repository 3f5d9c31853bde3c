//! x402 version 2, scheme `exact` with EIP-3009: what stands in the headers, read strictly.
//!
//! Source: the specification at <https://github.com/coinbase/x402> and the official TypeScript packages 2.27.

mod header;
mod reason;
mod wire;

pub use header::{HeaderError, MAX_HEADER_BYTES, decode, encode};
pub use reason::Reason;
pub use wire::{
    AuthorizationText, Bound, ExactPayload, Extra, PaymentPayload, PaymentRequired, Requirements, Resource,
    SettlementResponse, VERSION,
};
