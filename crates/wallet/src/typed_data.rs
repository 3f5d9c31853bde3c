//! The kinds of typed data (EIP-712) that are signed here, read from the JSON of `eth_signTypedData_v4`.
//!
//! The hash is made of what was understood, never taken from somebody. A kind counts as known only where its fields are
//! exactly those of its standard, in their order: the type's text is part of what is signed.

use std::borrow::Cow;

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use computepool_core::money::{Account, ChainId};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest text that is read.
const MAX_TEXT: usize = 16 * 1024;

/// The structs themselves, as their standards and our contracts write them.
pub(crate) mod kinds {
    alloy_sol_types::sol! {
        /// EIP-3009.
        #[derive(Debug, PartialEq)]
        struct TransferWithAuthorization {
            address from;
            address to;
            uint256 value;
            uint256 validAfter;
            uint256 validBefore;
            bytes32 nonce;
        }

        /// EIP-3009, where only the receiver may submit it.
        #[derive(Debug, PartialEq)]
        struct ReceiveWithAuthorization {
            address from;
            address to;
            uint256 value;
            uint256 validAfter;
            uint256 validBefore;
            bytes32 nonce;
        }

        /// An operator's signature under a coalition's terms.
        #[derive(Debug, PartialEq)]
        struct Membership {
            bytes32 coalition;
            uint16 place;
            address operator;
        }
    }
}

use kinds::{Membership, ReceiveWithAuthorization, TransferWithAuthorization};

/// Why typed data is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypedDataError {
    /// Not what `eth_signTypedData_v4` takes.
    #[error("this is not typed data: {0}")]
    Malformed(String),
    /// Nobody here knows what signing it would mean.
    #[error("typed data of the kind `{0}` is not signed")]
    UnknownKind(String),
    /// A known name with other fields.
    #[error("`{0}` has other fields than its standard gives it")]
    OtherFields(&'static str),
}

/// Typed data that is understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TypedData {
    Transfer(TransferWithAuthorization),
    Receive(ReceiveWithAuthorization),
    Membership(Membership),
}

/// For whom a signature holds: a contract on a chain, by its EIP-712 name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) chain: ChainId,
    pub(crate) contract: Account,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    types: Map<String, Value>,
    primary_type: String,
    domain: Map<String, Value>,
    message: Map<String, Value>,
}

const AUTHORIZATION: &[(&str, &str)] = &[
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
];
const MEMBERSHIP: &[(&str, &str)] = &[("coalition", "bytes32"), ("place", "uint16"), ("operator", "address")];
const DOMAIN: &[(&str, &str)] =
    &[("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")];

impl Domain {
    pub(crate) fn separator(&self) -> Eip712Domain {
        Eip712Domain {
            name: Some(Cow::Owned(self.name.clone())),
            version: Some(Cow::Owned(self.version.clone())),
            chain_id: Some(U256::from(self.chain.0)),
            verifying_contract: Some(self.contract.0),
            salt: None,
        }
    }
}

impl TypedData {
    /// Reads text of at most 16 KiB.
    pub(crate) fn read(text: &str) -> Result<(Domain, Self), TypedDataError> {
        if text.len() > MAX_TEXT {
            return Err(malformed(format!("it has {} bytes, and at most {MAX_TEXT} are read", text.len())));
        }
        let document: Document = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let message = &document.message;
        let data = match document.primary_type.as_str() {
            "TransferWithAuthorization" => {
                document.has("TransferWithAuthorization", AUTHORIZATION)?;
                TypedData::Transfer(TransferWithAuthorization {
                    from: address(message, "from")?,
                    to: address(message, "to")?,
                    value: number(message, "value")?,
                    validAfter: number(message, "validAfter")?,
                    validBefore: number(message, "validBefore")?,
                    nonce: bytes(message, "nonce")?,
                })
            }
            "ReceiveWithAuthorization" => {
                document.has("ReceiveWithAuthorization", AUTHORIZATION)?;
                TypedData::Receive(ReceiveWithAuthorization {
                    from: address(message, "from")?,
                    to: address(message, "to")?,
                    value: number(message, "value")?,
                    validAfter: number(message, "validAfter")?,
                    validBefore: number(message, "validBefore")?,
                    nonce: bytes(message, "nonce")?,
                })
            }
            "Membership" => {
                document.has("Membership", MEMBERSHIP)?;
                let place = number(message, "place")?;
                TypedData::Membership(Membership {
                    coalition: bytes(message, "coalition")?,
                    place: u16::try_from(place).map_err(|_| malformed("`place` is no uint16"))?,
                    operator: address(message, "operator")?,
                })
            }
            other => return Err(TypedDataError::UnknownKind(other.chars().take(64).collect())),
        };
        Ok((document.domain()?, data))
    }

    /// What is signed.
    pub(crate) fn digest(&self, domain: &Domain) -> B256 {
        let separator = domain.separator();
        match self {
            TypedData::Transfer(data) => data.eip712_signing_hash(&separator),
            TypedData::Receive(data) => data.eip712_signing_hash(&separator),
            TypedData::Membership(data) => data.eip712_signing_hash(&separator),
        }
    }
}

impl Document {
    /// Checks the types that are declared, and that the message has these fields and no others.
    fn has(&self, kind: &'static str, fields: &[(&str, &str)]) -> Result<(), TypedDataError> {
        let declared = |name: &str| self.types.get(name).map(fields_of);
        if declared(kind) != Some(Some(pairs(fields))) {
            return Err(TypedDataError::OtherFields(kind));
        }
        if declared("EIP712Domain").is_some_and(|found| found != Some(pairs(DOMAIN))) {
            return Err(TypedDataError::OtherFields("EIP712Domain"));
        }
        let strangers = self.types.keys().filter(|name| *name != kind && *name != "EIP712Domain").count();
        if strangers > 0 || self.message.len() != fields.len() {
            return Err(TypedDataError::OtherFields(kind));
        }
        Ok(())
    }

    fn domain(&self) -> Result<Domain, TypedDataError> {
        if self.domain.len() != DOMAIN.len() {
            return Err(TypedDataError::OtherFields("EIP712Domain"));
        }
        let chain = u64::try_from(number(&self.domain, "chainId")?).map_err(|_| malformed("`chainId` is no chain"))?;
        Ok(Domain {
            name: text(&self.domain, "name")?.to_owned(),
            version: text(&self.domain, "version")?.to_owned(),
            chain: ChainId(chain),
            contract: Account(address(&self.domain, "verifyingContract")?),
        })
    }
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect()
}

fn fields_of(declared: &Value) -> Option<Vec<(String, String)>> {
    let fields = declared.as_array()?.iter().map(|field| {
        let field = field.as_object().filter(|field| field.len() == 2)?;
        Some((field.get("name")?.as_str()?.to_owned(), field.get("type")?.as_str()?.to_owned()))
    });
    fields.collect()
}

fn text<'a>(of: &'a Map<String, Value>, field: &str) -> Result<&'a str, TypedDataError> {
    of.get(field).and_then(Value::as_str).ok_or_else(|| malformed(format!("`{field}` is no text")))
}

fn address(of: &Map<String, Value>, field: &str) -> Result<Address, TypedDataError> {
    let account =
        text(of, field)?.parse::<Account>().map_err(|fault| malformed(format!("`{field}`: {}", fault.message)))?;
    Ok(account.0)
}

/// A number as JSON clients write it: a JSON number, decimal text, or hexadecimal text after `0x`.
fn number(of: &Map<String, Value>, field: &str) -> Result<U256, TypedDataError> {
    let read = match of.get(field) {
        Some(Value::Number(number)) => number.as_u64().map(U256::from),
        Some(Value::String(text)) => match text.strip_prefix("0x") {
            Some(digits) if !digits.is_empty() => U256::from_str_radix(digits, 16).ok(),
            None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                U256::from_str_radix(text, 10).ok()
            }
            _ => None,
        },
        _ => None,
    };
    read.ok_or_else(|| malformed(format!("`{field}` is no uint256")))
}

fn bytes(of: &Map<String, Value>, field: &str) -> Result<B256, TypedDataError> {
    let mut read = B256::ZERO;
    let digits = text(of, field)?.strip_prefix("0x");
    let whole = digits.is_some_and(|digits| hex::decode_to_slice(digits, read.as_mut_slice()).is_ok());
    if whole { Ok(read) } else { Err(malformed(format!("`{field}` is no bytes32"))) }
}

fn malformed(why: impl Into<String>) -> TypedDataError {
    TypedDataError::Malformed(why.into())
}

#[cfg(test)]
mod tests;
