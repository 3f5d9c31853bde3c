//! Where everything is, on one chain.

use std::path::Path;

use computepool_core::money::{Account, Asset, ChainId};
use computepool_core::ports::{SessionTerms, TokenDomain};
use serde::{Deserialize, Serialize};

use crate::ChainError;
use crate::sessions::terms;

/// The addresses of one deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBook {
    /// On which chain.
    pub chain_id: ChainId,
    /// Whose deployment this is.
    pub owner: Account,
    /// The factory that everything else came from, and that owns what needs an owner.
    pub deployer: Account,
    /// The streaming protocol.
    pub superfluid: SuperfluidBook,
    /// The token that users pay with: six decimals, EIP-3009.
    pub usdc: Account,
    /// The same money as it streams: 18 decimals.
    pub usdcx: Account,
    /// The coalitions and their stakes.
    pub coalition: Account,
    /// What opens sessions.
    pub session_escrow: Account,
}

/// The parts of Superfluid that somebody talks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuperfluidBook {
    /// The host: who knows all the rest.
    pub host: Account,
    /// Who sets periods and trusted forwarders.
    pub governance: Account,
    /// Who may do what besides.
    pub acl: Account,
    /// Flows from one to one.
    pub cfa: Account,
    /// Flows from one to the members of a pool.
    pub gda: Account,
    /// Where pools take their code from.
    pub pool_beacon: Account,
    /// That code.
    pub pool: Account,
    /// Talks to the CFA for whoever calls it.
    pub cfa_forwarder: Account,
    /// Talks to the GDA for whoever calls it.
    pub gda_forwarder: Account,
    /// The code of super tokens.
    pub super_token: Account,
    /// Makes super tokens.
    pub super_token_factory: Account,
    /// Tells who administers a pool.
    pub pool_admin_nft: Account,
}

impl AddressBook {
    /// The token that users pay with, and the domain that authorizations of it are signed under: Circle's for USDC, which
    /// ours has as well.
    pub fn token(&self) -> TokenDomain {
        TokenDomain {
            asset: Asset::Usdc,
            name: "USD Coin".to_owned(),
            version: "2".to_owned(),
            chain: self.chain_id,
            contract: self.usdc,
        }
    }

    /// Where the money of a session with these terms lies.
    pub fn session_account(&self, terms: &SessionTerms) -> Account {
        Account(terms::account(self.session_escrow.0, terms))
    }

    /// Reads a book. `None` when there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, ChainError> {
        match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| ChainError::file(path, error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ChainError::file(path, error)),
        }
    }

    /// Writes the book, in place of an older one. The same deployment gives the same bytes.
    pub fn write(&self, path: &Path) -> Result<(), ChainError> {
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| ChainError::file(path, error))?;
        text.push(b'\n');
        crate::sender::replace(path, &text).map_err(|error| ChainError::file(path, error))
    }
}
