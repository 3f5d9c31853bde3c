//! What people say to contracts without asking an orchestrator.

use alloy_sol_types::sol;

sol! {
    struct Offer {
        address pool;
        int96 rate;
        address meter;
        uint64 deadline;
        bool open;
    }

    contract Coalition {
        function offer(bytes32 id) external view returns (Offer memory);
        function sign(bytes32 id, uint16 place) external;
        function resign(bytes32 id) external;
    }

    /// A session's account, as its payer and strangers use it.
    contract Session {
        function close() external;
        function sweep() external;
        function pool() external view returns (address);
        function endsAt() external view returns (uint40);
    }

    contract Usdc {
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function balanceOf(address account) external view returns (uint256);
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes calldata signature) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
    }

    contract Pool {
        function claimAll(address member) external returns (bool);
        function getUnits(address member) external view returns (uint128);
        function getTotalUnits() external view returns (uint128);
        function getTotalFlowRate() external view returns (int96);
        function getTotalAmountReceivedByMember(address member) external view returns (uint256);
        function getClaimableNow(address member) external view returns (int256 claimable, uint256 timestamp);
    }

    contract Distribution {
        function getFlow(address token, address from, address pool) external view returns (uint256 lastUpdated, int96 rate, uint256 buffer);
    }
}
