// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.35;

/// @notice A layer range of the model and who holds it at first.
/// @param start first layer
/// @param end the layer after the last
/// @param holder the operator, a founder of the coalition by that
/// @param bond whether this founder's stake is built from earnings instead of being paid in
struct Place {
    uint16 start;
    uint16 end;
    address holder;
    bool bond;
}

/// @notice What the operators of a coalition agree to. The coalition's id is the EIP-712 hash of it.
/// @param model content hash of the model
/// @param places the layer ranges, in order and without gaps, from layer 0
/// @param unitRate wei of USDCx per second for each unit; a layer has {TermsLibrary.UNITS} units
/// @param feeBps the protocol's share, in hundredths of a percent; must be the fee of the day
/// @param royaltyBps the share of the pool's owner
/// @param owner the pool's owner; zero where there is no royalty
/// @param stake what every operator puts up, in units of USDC
/// @param arbiter who may decide on breaches; zero for nobody
/// @param meter the orchestrator's key
/// @param exitDelay seconds from leaving until the stake may be taken out
/// @param deadline unix seconds until which sessions may run
/// @param salt makes coalitions differ
struct Terms {
    bytes32 model;
    Place[] places;
    uint96 unitRate;
    uint16 feeBps;
    uint16 royaltyBps;
    address owner;
    uint64 stake;
    address arbiter;
    address meter;
    uint32 exitDelay;
    uint64 deadline;
    bytes32 salt;
}

/// @title Bounds, hashes and sums of {Terms}.
library TermsLibrary {
    /// @notice Units of a layer. Shares are whole numbers of them, so that a pool never rounds.
    uint256 internal constant UNITS = 10_000;

    /// @notice Places of a coalition at most.
    uint256 internal constant MAX_PLACES = 16;

    /// @notice Wei per second of a session at most: 10,000 USDC.
    uint256 internal constant MAX_RATE = 1e22;

    /// @notice Fee and royalty together at most: half.
    uint256 internal constant MAX_SHARES = 5_000;

    uint256 internal constant MIN_EXIT_DELAY = 1 days;
    uint256 internal constant MAX_EXIT_DELAY = 30 days;
    uint256 internal constant MAX_LIFE = 366 days;

    bytes32 internal constant PLACE_TYPEHASH = keccak256("Place(uint16 start,uint16 end,address holder,bool bond)");
    bytes32 internal constant TERMS_TYPEHASH = keccak256(
        "Terms(bytes32 model,Place[] places,uint96 unitRate,uint16 feeBps,uint16 royaltyBps,address owner,uint64 stake,address arbiter,address meter,uint32 exitDelay,uint64 deadline,bytes32 salt)Place(uint16 start,uint16 end,address holder,bool bond)"
    );

    /// @notice The terms break the rule named here.
    error BadTerms(string rule);

    /// @notice EIP-712 struct hash.
    function hash(
        Terms calldata terms
    ) internal pure returns (bytes32) {
        bytes32[] memory places = new bytes32[](terms.places.length);
        for (uint256 i = 0; i < places.length; ++i) {
            Place calldata place = terms.places[i];
            places[i] = keccak256(abi.encode(PLACE_TYPEHASH, place.start, place.end, place.holder, place.bond));
        }
        bytes memory head = abi.encode(
            TERMS_TYPEHASH,
            terms.model,
            keccak256(abi.encodePacked(places)),
            terms.unitRate,
            terms.feeBps,
            terms.royaltyBps
        );
        bytes memory tail = abi.encode(
            terms.owner, terms.stake, terms.arbiter, terms.meter, terms.exitDelay, terms.deadline, terms.salt
        );
        return keccak256(bytes.concat(head, tail));
    }

    /// @notice Reverts where the terms make no coalition.
    /// @return layers of all places together
    function check(
        Terms calldata terms
    ) internal view returns (uint256 layers) {
        require(terms.places.length > 0 && terms.places.length <= MAX_PLACES, BadTerms("1 to 16 places"));
        for (uint256 i = 0; i < terms.places.length; ++i) {
            Place calldata place = terms.places[i];
            require(place.start == layers && place.end > layers, BadTerms("places in order, without gaps"));
            require(
                place.holder != address(0) && place.holder != terms.meter && place.holder != terms.arbiter,
                BadTerms("meter and arbiter hold no place")
            );
            layers = place.end;
        }
        require(terms.unitRate > 0 && terms.unitRate * layers * UNITS <= MAX_RATE, BadTerms("rate"));
        require(uint256(terms.feeBps) + terms.royaltyBps <= MAX_SHARES, BadTerms("shares"));
        require((terms.owner != address(0)) == (terms.royaltyBps > 0), BadTerms("a royalty has an owner"));
        require(terms.stake > 0, BadTerms("stake"));
        require(terms.meter != address(0) && terms.meter != terms.arbiter, BadTerms("meter"));
        require(terms.exitDelay >= MIN_EXIT_DELAY && terms.exitDelay <= MAX_EXIT_DELAY, BadTerms("exit delay"));
        require(terms.deadline > block.timestamp && terms.deadline <= block.timestamp + MAX_LIFE, BadTerms("deadline"));
    }
}
