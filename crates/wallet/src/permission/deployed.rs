//! What the contracts of one deployment are called for, by each purpose.

use alloy_sol_types::SolCall;
use computepool_core::ports::{Purpose, TokenDomain};
use computepool_core::{Account, Asset};

use super::{Calls, Contracts, Target, Whom};

/// The functions themselves. Arguments that are tuples count by their types alone.
mod functions {
    alloy_sol_types::sol! {
        struct Terms { bytes32 a; uint64 b; uint32 c; uint64 d; address e; bytes32 f; }
        struct Voucher { address a; uint256 b; uint256 c; bytes32 d; }

        // SessionEscrow
        function open(Terms terms, Voucher voucher, bytes signature, bool start) external;
        function openFunded(Terms terms, bool start) external;
        function reclaim(Terms terms, Voucher voucher, bytes signature) external;

        // Session
        function start() external;
        function pause(uint64 servedMs) external;
        function close(uint64 servedMs) external;
        function sweep() external;

        // Coalition
        function lapse(uint256 accusation) external;
        function collect(address account) external;

        // BondAccount
        function fill() external;

        // SuperfluidPool
        function claimAll(address member) external;

        // Tokens
        function faucet(address to) external;
    }

    /// The session's other `close`, which takes nothing.
    pub(super) mod ended {
        alloy_sol_types::sol! {
            function close() external;
        }
    }
}

use functions::ended;

/// One deployment on one chain, from its address book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The token that vouchers are made out in, with its chain.
    pub usdc: TokenDomain,
    /// The same money as it streams.
    pub usdcx: Account,
    /// The coalitions and their stakes.
    pub coalition: Account,
    /// What opens sessions.
    pub session_escrow: Account,
    /// Whom else a deployment calls or pays: the factories, and the streaming protocol's contracts. Empty on a machine that
    /// deploys nothing.
    pub set_up: Vec<Account>,
}

impl Contracts {
    /// Adds a deployment: each purpose may call what it is there for, and nothing else.
    pub fn add(&mut self, deployed: Deployed) {
        let Deployed { usdc, usdcx, coalition, session_escrow, set_up } = deployed;
        let chain = usdc.chain;
        let mut may = |purpose: Purpose, whom: Whom, calls: Calls, takes_value: bool| {
            self.targets.push(Target { purpose, chain, whom, calls, takes_value });
        };
        let escrow = Whom::At(session_escrow);
        let opening =
            [functions::openCall::SELECTOR, functions::openFundedCall::SELECTOR, functions::reclaimCall::SELECTOR];
        may(Purpose::Session, escrow, Calls::Only(opening.to_vec()), false);
        let running = [
            functions::startCall::SELECTOR,
            functions::pauseCall::SELECTOR,
            functions::closeCall::SELECTOR,
            ended::closeCall::SELECTOR,
        ];
        may(Purpose::Session, Whom::Anybody, Calls::Only(running.to_vec()), false);

        let tidying = [
            ended::closeCall::SELECTOR,
            functions::sweepCall::SELECTOR,
            functions::fillCall::SELECTOR,
            functions::claimAllCall::SELECTOR,
        ];
        may(Purpose::Keeper, Whom::Anybody, Calls::Only(tidying.to_vec()), false);
        may(Purpose::Keeper, escrow, Calls::Only(vec![functions::reclaimCall::SELECTOR]), false);
        let lapsing = [functions::lapseCall::SELECTOR, functions::collectCall::SELECTOR];
        may(Purpose::Keeper, Whom::At(coalition), Calls::Only(lapsing.to_vec()), false);

        // On the way to being sent on: what was earned, what sessions did not use, and what the faucet gives. All of it comes
        // to the account that it belongs to.
        let fetching = [
            functions::claimAllCall::SELECTOR,
            functions::fillCall::SELECTOR,
            ended::closeCall::SELECTOR,
            functions::sweepCall::SELECTOR,
        ];
        may(Purpose::Transfer, Whom::Anybody, Calls::Only(fetching.to_vec()), false);
        may(Purpose::Transfer, escrow, Calls::Only(vec![functions::reclaimCall::SELECTOR]), false);
        let faucet = Calls::Only(vec![functions::faucetCall::SELECTOR]);
        may(Purpose::Transfer, Whom::At(usdc.contract), faucet.clone(), false);

        may(Purpose::Coalition, Whom::At(coalition), Calls::Any, false);
        may(Purpose::Stake, Whom::At(coalition), Calls::Any, false);
        if !set_up.is_empty() {
            for account in set_up {
                may(Purpose::Deployment, Whom::At(account), Calls::Any, true);
            }
            for account in [coalition, session_escrow] {
                may(Purpose::Deployment, Whom::At(account), Calls::Any, false);
            }
            may(Purpose::Deployment, Whom::At(usdc.contract), faucet, false);
        }
        // What streams has no authorizations of EIP-3009, and so no name to sign under.
        let nameless =
            TokenDomain { asset: Asset::Usdcx, name: String::new(), version: String::new(), chain, contract: usdcx };
        self.tokens.extend([usdc, nameless]);
    }
}
