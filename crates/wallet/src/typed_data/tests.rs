use alloy_primitives::{b256, keccak256};
use proptest::prelude::*;
use serde_json::json;

use super::*;

pub(crate) fn transfer() -> Value {
    json!({
        "types": {
            "EIP712Domain": [
                { "name": "name", "type": "string" },
                { "name": "version", "type": "string" },
                { "name": "chainId", "type": "uint256" },
                { "name": "verifyingContract", "type": "address" }
            ],
            "TransferWithAuthorization": [
                { "name": "from", "type": "address" },
                { "name": "to", "type": "address" },
                { "name": "value", "type": "uint256" },
                { "name": "validAfter", "type": "uint256" },
                { "name": "validBefore", "type": "uint256" },
                { "name": "nonce", "type": "bytes32" }
            ]
        },
        "primaryType": "TransferWithAuthorization",
        "domain": {
            "name": "USD Coin",
            "version": "2",
            "chainId": 31337,
            "verifyingContract": "0x5FbDB2315678afecb367f032d93F642f64180aa3"
        },
        "message": {
            "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            "to": "0x70997970c51812dc3a010c7d01b50e0d17dc79c8",
            "value": "1000000",
            "validAfter": 0,
            "validBefore": "0x6553f100",
            "nonce": format!("0x{}", "ab".repeat(32))
        }
    })
}

fn read(document: &Value) -> Result<(Domain, TypedData), TypedDataError> {
    TypedData::read(&document.to_string())
}

#[test]
fn the_types_are_those_of_their_standards() {
    // The type hashes of EIP-3009's text.
    assert_eq!(
        keccak256(TransferWithAuthorization::eip712_encode_type().as_bytes()),
        b256!("7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267")
    );
    assert_eq!(
        keccak256(ReceiveWithAuthorization::eip712_encode_type().as_bytes()),
        b256!("d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8")
    );
    assert_eq!(Membership::eip712_encode_type(), "Membership(bytes32 coalition,uint16 place,address operator)");
}

#[test]
fn the_hash_is_eip_712s() {
    let (domain, data) = read(&transfer()).unwrap();
    // Once more by hand, word by word, from the text of the standard.
    let word = |number: u64| B256::from(U256::from(number));
    let padded = |address: Address| B256::left_padding_from(address.as_slice());
    let separator = keccak256(
        [
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
            keccak256("USD Coin"),
            keccak256("2"),
            word(31337),
            padded(domain.contract.0),
        ]
        .concat(),
    );
    let TypedData::Transfer(message) = &data else { panic!("{data:?}") };
    let body = keccak256(
        [
            b256!("7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267"),
            padded(message.from),
            padded(message.to),
            word(1_000_000),
            word(0),
            word(0x6553_f100),
            B256::repeat_byte(0xab),
        ]
        .concat(),
    );
    let digest = keccak256([&[0x19, 0x01][..], separator.as_slice(), body.as_slice()].concat());
    assert_eq!(data.digest(&domain), digest);
}

#[test]
fn another_kind_is_not_signed() {
    let mut permit = transfer();
    permit["primaryType"] = json!("Permit");
    assert_eq!(read(&permit).unwrap_err(), TypedDataError::UnknownKind("Permit".to_owned()));
}

#[test]
fn a_known_name_over_other_fields_is_not_signed() {
    type Change = fn(&mut Value);
    let changes: &[Change] = &[
        |d| d["types"]["TransferWithAuthorization"][2]["type"] = json!("uint128"),
        |d| d["types"]["TransferWithAuthorization"][2]["name"] = json!("amount"),
        |d| d["types"]["TransferWithAuthorization"].as_array_mut().unwrap().swap(0, 1),
        |d| drop(d["types"]["TransferWithAuthorization"].as_array_mut().unwrap().pop()),
        |d| d["types"]["TransferWithAuthorization"][0]["more"] = json!("x"),
        |d| d["types"]["Other"] = json!([]),
        |d| d["types"]["EIP712Domain"] = json!([{ "name": "name", "type": "string" }]),
        |d| d["message"]["more"] = json!(1),
        |d| d["domain"]["salt"] = json!("0x00"),
        |d| drop(d["domain"].as_object_mut().unwrap().remove("chainId")),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut document = transfer();
        change(&mut document);
        assert!(matches!(read(&document).unwrap_err(), TypedDataError::OtherFields(_)), "change {index}");
    }
    // The domain's own type may be left out: its fields are given.
    let mut short = transfer();
    short["types"].as_object_mut().unwrap().remove("EIP712Domain");
    assert_eq!(read(&short).unwrap(), read(&transfer()).unwrap());
}

#[test]
fn values_that_are_none_are_named() {
    for (pointer, value) in [
        ("/message/value", json!("1e6")),
        ("/message/value", json!(-1)),
        ("/message/value", json!(1.5)),
        ("/message/value", json!("")),
        ("/message/value", json!("0x")),
        ("/message/value", json!("1".repeat(79))),
        ("/message/from", json!("0xF39fd6e51aad88f6f4ce6ab8827279cfffb92266")),
        ("/message/to", json!("somebody")),
        ("/message/nonce", json!("0xab")),
        ("/domain/chainId", json!("0x10000000000000000")),
        ("/domain/name", json!(7)),
    ] {
        let mut document = transfer();
        *document.pointer_mut(pointer).unwrap() = value.clone();
        assert!(matches!(read(&document).unwrap_err(), TypedDataError::Malformed(_)), "{pointer} {value}");
    }
    let long = format!("{}{}", transfer(), " ".repeat(MAX_TEXT));
    assert!(matches!(TypedData::read(&long).unwrap_err(), TypedDataError::Malformed(_)));
}

proptest! {
    #![proptest_config(crate::fuzz_cases::fuzz_cases())]

    #[test]
    fn garbage_is_no_typed_data(text in "\\PC{0,300}") {
        prop_assert!(TypedData::read(&text).is_err());
    }
}
