//! The chains that ComputePool knows, and what is particular about each.

use std::time::Duration;

use alloy::primitives::Address;
use computepool_core::money::ChainId;

/// A chain, and how ComputePool behaves on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its id (EIP-155).
    pub chain_id: ChainId,
    /// What people call it.
    pub name: String,
    /// JSON-RPC endpoints in order of preference; of three and more, most must agree ([`Rpc`](crate::rpc::Rpc)). They may
    /// carry API keys: only their hosts are ever shown.
    pub endpoints: Vec<String>,
    /// Where people look transactions up, if anywhere.
    pub explorer: Option<String>,
    /// How deep a block must lie before what is in it counts: 1 is the newest block itself.
    pub depth: u64,
    /// How long to wait between two looks at what has landed.
    pub poll: Duration,
    /// What a flow must be covered for.
    pub solvency: Solvency,
    /// The token that users pay with.
    pub usdc: Usdc,
    /// Who governs the deployed Superfluid protocol after a deployment; the [`Deployer`](crate::deployment) if nobody.
    pub governance: Option<Address>,
}

/// Superfluid's periods. A flow locks its rate times `liquidation` as a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solvency {
    /// Seconds a flow goes on, at the cost of its buffer, when its sender has nothing left.
    pub liquidation: u32,
    /// Seconds of these that are reserved for the first liquidator; less than `liquidation`.
    pub patrician: u32,
}

/// Where the token that users pay with comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usdc {
    /// Our own, with a faucet: worth nothing, for devnet and testnet only.
    Own,
    /// A token that is there already, with six decimals and EIP-3009.
    Existing(Address),
    /// The chain has real money, and its token must be named before anything is deployed.
    ToBeNamed,
}

/// Small vouchers must be able to fund a buffer: one minute of the session's rate.
const SHORT: Solvency = Solvency { liquidation: 60, patrician: 12 };
/// Superfluid's own defaults: four hours, and half an hour.
const USUAL: Solvency = Solvency { liquidation: 14_400, patrician: 1_800 };

impl Network {
    /// The chain with this id, if it is one of ours.
    pub fn known(chain_id: ChainId) -> Option<Self> {
        match chain_id {
            ChainId::DEVNET => Some(Self::devnet("http://127.0.0.1:8545")),
            ChainId::GALILEO => Some(Self {
                chain_id,
                name: "0G Galileo".to_owned(),
                endpoints: vec!["https://evmrpc-testnet.0g.ai".to_owned()],
                explorer: Some("https://chainscan-galileo.0g.ai".to_owned()),
                depth: 3,
                poll: Duration::from_secs(1),
                solvency: SHORT,
                usdc: Usdc::Own,
                governance: None,
            }),
            ChainId::ZEROG => Some(Self {
                chain_id,
                name: "0G".to_owned(),
                endpoints: vec!["https://evmrpc.0g.ai".to_owned()],
                explorer: Some("https://chainscan.0g.ai".to_owned()),
                depth: 6,
                poll: Duration::from_secs(1),
                solvency: USUAL,
                usdc: Usdc::ToBeNamed,
                governance: None,
            }),
            _ => None,
        }
    }

    /// The chain with this id: one of ours, or any other, whose endpoints and whose token must then be named.
    pub fn of(chain_id: ChainId) -> Self {
        Self::known(chain_id).unwrap_or_else(|| Self {
            chain_id,
            name: format!("chain {chain_id}"),
            endpoints: Vec::new(),
            explorer: None,
            depth: 12,
            poll: Duration::from_secs(1),
            solvency: USUAL,
            usdc: Usdc::ToBeNamed,
            governance: None,
        })
    }

    /// A devnet that answers at `endpoint`.
    pub fn devnet(endpoint: impl Into<String>) -> Self {
        Self {
            chain_id: ChainId::DEVNET,
            name: "devnet".to_owned(),
            endpoints: vec![endpoint.into()],
            explorer: None,
            depth: 1,
            poll: Duration::from_millis(50),
            solvency: SHORT,
            usdc: Usdc::Own,
            governance: None,
        }
    }

    /// The same chain, asked elsewhere.
    pub fn at(mut self, endpoints: Vec<String>) -> Self {
        self.endpoints = endpoints;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_network_keeps_superfluids_rule() {
        for chain_id in [ChainId::DEVNET, ChainId::GALILEO, ChainId::ZEROG] {
            let network = Network::known(chain_id).unwrap();
            assert_eq!(network.chain_id, chain_id);
            assert!(network.solvency.patrician < network.solvency.liquidation);
            assert!(network.depth >= 1);
        }
        assert_eq!(Network::known(ChainId(16_601)), None, "the old testnet");
        let other = Network::of(ChainId(8_453));
        assert_eq!((other.chain_id, other.usdc, other.endpoints.len()), (ChainId(8_453), Usdc::ToBeNamed, 0));
        assert_eq!(Network::of(ChainId::GALILEO), Network::known(ChainId::GALILEO).unwrap());
    }

    #[test]
    fn play_money_stays_off_the_mainnet() {
        assert_eq!(Network::known(ChainId::ZEROG).unwrap().usdc, Usdc::ToBeNamed);
    }
}
