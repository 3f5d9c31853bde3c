//! The bytecode that a deployment lays down, built into this program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use alloy::primitives::{Address, Bytes, hex};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::ChainError;

/// Superfluid's contracts, as its own package ships them (`contracts/superfluid`).
const SUPERFLUID: &str = include_str!("../../../contracts/superfluid/artifacts.json");

/// A library's place in bytecode: twenty bytes.
const PLACE: usize = 20;

static ALL: LazyLock<Result<Artifacts, String>> = LazyLock::new(Artifacts::parse);

/// Everything there is.
#[derive(Debug)]
pub(crate) struct Artifacts {
    /// By name.
    contracts: BTreeMap<String, Artifact>,
    /// The ERC-1820 registry's creation, signed by an account that nobody has the key of.
    pub(crate) erc1820: Bytes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    bytecode: String,
    #[serde(default)]
    link_references: BTreeMap<String, Vec<usize>>,
}

#[derive(Deserialize)]
struct Superfluid {
    contracts: BTreeMap<String, Artifact>,
    erc1820: Presigned,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Presigned {
    signed_transaction: Bytes,
}

/// Our own contracts, as `make contracts` builds them (`contracts/abi`).
const OURS: &[(&str, &str)] = &[
    ("Deployer", include_str!("../../../contracts/abi/Deployer.json")),
    ("DevUsdc", include_str!("../../../contracts/abi/DevUsdc.json")),
    ("Coalition", include_str!("../../../contracts/abi/Coalition.json")),
    ("SessionEscrow", include_str!("../../../contracts/abi/SessionEscrow.json")),
];

impl Artifacts {
    /// What is built in.
    pub(crate) fn built_in() -> Result<&'static Self, ChainError> {
        ALL.as_ref().map_err(|why| ChainError::unreadable("the contracts that are built in", why))
    }

    fn parse() -> Result<Self, String> {
        let superfluid: Superfluid = serde_json::from_str(SUPERFLUID).map_err(|error| error.to_string())?;
        let mut contracts = superfluid.contracts;
        for (name, text) in OURS {
            let artifact = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
            contracts.insert((*name).to_owned(), artifact);
        }
        Ok(Self { contracts, erc1820: superfluid.erc1820.signed_transaction })
    }

    /// Creation code of a contract with the constructor's encoded `arguments`, and with every library put in its place.
    pub(crate) fn initcode(
        &self,
        name: &str,
        arguments: &[u8],
        libraries: &[(&str, Address)],
    ) -> Result<Bytes, ChainError> {
        let bad = |why: String| ChainError::unreadable(format!("the bytecode of {name}"), why);
        let artifact = self.contracts.get(name).ok_or_else(|| bad("there is none".to_owned()))?;
        let mut text = artifact.bytecode.trim_start_matches("0x").to_owned();
        for (library, places) in &artifact.link_references {
            let address = libraries.iter().find(|(name, _)| name == library).map(|(_, address)| address);
            let address = address.ok_or_else(|| bad(format!("{library} is not given")))?;
            for place in places {
                let range = place * 2..(place + PLACE) * 2;
                if text.get(range.clone()).is_none() {
                    return Err(bad(format!("{library} has no place at {place}")));
                }
                text.replace_range(range, &hex::encode(address));
            }
        }
        let mut code = hex::decode(text).map_err(|error| bad(error.to_string()))?;
        code.extend_from_slice(arguments);
        Ok(code.into())
    }

    /// A digest of everything that is built in: the same bytecode, the same digest.
    pub(crate) fn digest() -> String {
        let mut sha = Sha256::new();
        sha.update(SUPERFLUID);
        for (name, text) in OURS {
            sha.update(name);
            sha.update(text);
        }
        hex::encode(&sha.finalize()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_built_in_can_be_read() {
        let artifacts = Artifacts::built_in().unwrap();
        for name in artifacts.contracts.keys() {
            let libraries =
                [("SlotsBitmapLibrary", Address::ZERO), ("SuperfluidPoolDeployerLibrary", Address::repeat_byte(1))];
            let code = artifacts.initcode(name, &[], &libraries).unwrap();
            assert!(code.len() > 100, "{name}");
            assert!(code.len() <= 49_152, "{name}: EIP-3860");
        }
    }

    #[test]
    fn libraries_are_put_in_their_places() {
        let artifacts = Artifacts::built_in().unwrap();
        let name = "GeneralDistributionAgreementV1";
        let (slots, pools) = (Address::repeat_byte(0xaa), Address::repeat_byte(0xbb));
        let code = artifacts
            .initcode(name, &[], &[("SlotsBitmapLibrary", slots), ("SuperfluidPoolDeployerLibrary", pools)])
            .unwrap();
        let places = &artifacts.contracts[name].link_references["SlotsBitmapLibrary"];
        assert!(places.iter().all(|place| code[*place..place + PLACE] == *slots.as_slice()));
        assert!(artifacts.initcode(name, &[], &[("SlotsBitmapLibrary", slots)]).is_err(), "a library is missing");
    }
}
