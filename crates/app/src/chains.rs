//! The chains that money moves on, as this machine knows them: how each is reached, and what of ours is on it.

use std::path::{Path, PathBuf};

use computepool_chain::Network;
use computepool_chain::deployment::AddressBook;
use computepool_chain::rpc::{Patience, Rpc};
use computepool_core::money::ChainId;
use computepool_core::{Fault, FaultCode};
use computepool_wallet::{Contracts, Deployed};
use serde::{Deserialize, Serialize};

use crate::paths;

/// One chain with one deployment on it: what a wallet, an orchestrator and a payer have to know before money can move.
/// A file of this is all that has to be handed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainCard {
    /// JSON-RPC endpoints in order of preference.
    pub endpoints: Vec<String>,
    /// Where our contracts are.
    pub book: AddressBook,
}

impl ChainCard {
    /// Reads a card.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let unreadable = |why: String| {
            Fault::new(FaultCode::Io, format!("the chain's card {} cannot be read: {why}", path.display()))
                .hint("`computepool devnet` writes one, and so does a deployment")
        };
        let text = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let card: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if card.endpoints.is_empty() {
            return Err(unreadable("it names no endpoint".to_owned()));
        }
        Ok(card)
    }

    /// Writes the card, in place of an older one.
    pub fn write(&self, path: &Path) -> Result<(), Fault> {
        let failed = |why: String| {
            Fault::new(FaultCode::Io, format!("the chain's card {} was not written: {why}", path.display()))
        };
        if let Some(folder) = path.parent() {
            paths::make_folder(folder)?;
        }
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.to_string()))?;
        text.push(b'\n');
        std::fs::write(path, text).map_err(|error| failed(error.to_string()))
    }

    /// Where the card of a chain lies that was named by a path, a chain id, or a name such as `devnet`; the devnet's where
    /// nothing was named.
    pub fn place(named: Option<&str>) -> Result<PathBuf, Fault> {
        let named = named.unwrap_or("devnet");
        if named.contains(std::path::MAIN_SEPARATOR) || named.contains('/') || named.ends_with(".json") {
            return Ok(PathBuf::from(named));
        }
        let chain = Self::named(named)?;
        Ok(paths::data_folder()?.join("chains").join(format!("{}.json", chain.0)))
    }

    /// The chain of this name or id.
    pub fn named(name: &str) -> Result<ChainId, Fault> {
        Ok(match name {
            "devnet" => ChainId::DEVNET,
            "galileo" => ChainId::GALILEO,
            "0g" => ChainId::ZEROG,
            other => ChainId(other.parse().map_err(|_| {
                Fault::new(FaultCode::InvalidRequest, format!("{other:?} is no chain that is known here"))
                    .hint("say devnet, galileo, 0g, a chain id, or the path of a chain's card")
            })?),
        })
    }

    /// How the chain behaves, asked at the card's endpoints.
    pub fn network(&self) -> Network {
        Network::of(self.book.chain_id).at(self.endpoints.clone())
    }

    /// The way to ask the chain.
    pub fn rpc(&self) -> Result<Rpc, Fault> {
        Ok(Rpc::new(&self.network(), Patience::default())?)
    }

    /// What a wallet may sign for on this chain. Nothing may be deployed.
    pub fn contracts(&self) -> Contracts {
        let mut contracts = Contracts::default();
        contracts.add(Deployed {
            usdc: self.book.token(),
            usdcx: self.book.usdcx,
            coalition: self.book.coalition,
            session_escrow: self.book.session_escrow,
            set_up: Vec::new(),
        });
        contracts
    }
}
