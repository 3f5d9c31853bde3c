// SPDX-License-Identifier: Apache-2.0 OR MIT
pragma solidity ^0.8.26;

/// @title The owner's CREATE2 factory, and the owner of what it deploys
/// @notice Everything of a deployment comes from here, so that every address is a function of the owner, a salt and
/// the code: it can be known before, is the same on every chain, and nobody else can take it. Contracts whose
/// constructor makes their creator the owner (Superfluid's governance, forwarders, access list) belong to this
/// contract; the owner acts for it with `execute`.
/// @dev Itself deployed through the deterministic deployment proxy with the owner as constructor argument. A contract
/// that is open to its first caller until it is initialized is created and initialized in one transaction: nobody can
/// get in between.
contract Deployer {
    /// @notice A call made in the name of this contract.
    struct Call {
        address target;
        uint256 value;
        bytes data;
    }

    /// @notice Who may use this factory. Fixed for ever, as the addresses depend on it.
    address public immutable owner;

    /// @notice `deployed` was created with `salt`.
    event Deployed(bytes32 indexed salt, address indexed deployed);

    /// @notice The caller is not the owner.
    error NotOwner(address caller);
    /// @notice The owner given is the zero address.
    error NoOwner();
    /// @notice The constructor of what was to be created with `salt` failed without saying why.
    error CreationFailed(bytes32 salt);
    /// @notice The call number `index` failed without saying why, or its target has no code.
    error CallFailed(uint256 index, address target);

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    /// @param owner_ who may use this factory
    constructor(
        address owner_
    ) {
        if (owner_ == address(0)) revert NoOwner();
        owner = owner_;
    }

    /// @notice Takes native currency, which `execute` may then hand on.
    receive() external payable {}

    /// @notice Creates a contract, then makes `calls`, all or nothing. Does nothing when the contract is there already.
    /// @param salt tells contracts with the same creation code apart
    /// @param initcode creation code with the constructor's arguments
    /// @param calls what belongs to the creation, in this order
    /// @return deployed the address, whether the contract is new or not
    function deploy(
        bytes32 salt,
        bytes calldata initcode,
        Call[] calldata calls
    ) external payable onlyOwner returns (address deployed) {
        deployed = addressOf(salt, keccak256(initcode));
        if (deployed.code.length != 0) return deployed;
        bytes memory code = initcode;
        address created;
        assembly ("memory-safe") {
            created := create2(0, add(code, 0x20), mload(code), salt)
        }
        if (created != deployed) _bubble(abi.encodeWithSelector(CreationFailed.selector, salt));
        emit Deployed(salt, deployed);
        _make(calls);
    }

    /// @notice Makes calls in the name of this contract, all or nothing.
    /// @param calls what to call, in this order
    function execute(
        Call[] calldata calls
    ) external payable onlyOwner {
        _make(calls);
    }

    /// @notice Where `deploy` puts a contract.
    /// @param salt as for `deploy`
    /// @param initcodeHash keccak256 of the creation code with the constructor's arguments
    function addressOf(
        bytes32 salt,
        bytes32 initcodeHash
    ) public view returns (address) {
        return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), salt, initcodeHash)))));
    }

    function _make(
        Call[] calldata calls
    ) private {
        for (uint256 i = 0; i < calls.length; i++) {
            Call calldata one = calls[i];
            bytes memory failure = abi.encodeWithSelector(CallFailed.selector, i, one.target);
            // A call to nothing succeeds; here it can only be a mistake. Native currency may go anywhere.
            if (one.data.length != 0 && one.target.code.length == 0) _revert(failure);
            // slither-disable-next-line low-level-calls,calls-loop,arbitrary-send-eth
            (bool well,) = one.target.call{value: one.value}(one.data);
            if (!well) _bubble(failure);
        }
    }

    /// @dev Reverts with what the last call or creation returned, or with `otherwise` if it returned nothing.
    function _bubble(
        bytes memory otherwise
    ) private pure {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        if (size == 0) _revert(otherwise);
        assembly ("memory-safe") {
            let reason := mload(0x40)
            returndatacopy(reason, 0, size)
            revert(reason, size)
        }
    }

    function _revert(
        bytes memory reason
    ) private pure {
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }
}
