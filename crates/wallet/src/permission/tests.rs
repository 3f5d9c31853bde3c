use alloy_primitives::{Bytes, TxKind, hex, keccak256};
use alloy_rlp::{Encodable as _, RlpEncodable};
use computepool_core::ports::Authorization;

use super::*;

const NOW_MS: u64 = 1_700_000_000_000;
const NOW: u64 = NOW_MS / 1000;
const PAYER: Account = Account::new([1; 20]);
const USDC: Account = Account::new([0xcc; 20]);
const USDCX: Account = Account::new([0xcd; 20]);
const ESCROW: Account = Account::new([0xee; 20]);
const COALITION: Account = Account::new([0xc0; 20]);
const STRANGER: Account = Account::new([0x99; 20]);
const OPEN: [u8; 4] = [0x01, 0x02, 0x03, 0x04];

fn token(asset: Asset, contract: Account) -> TokenDomain {
    let (name, version) = ("USD Coin".to_owned(), "2".to_owned());
    TokenDomain { asset, name, version, chain: ChainId::DEVNET, contract }
}

fn contracts() -> Contracts {
    let target = |purpose, account, calls, takes_value| Target {
        purpose,
        chain: ChainId::DEVNET,
        whom: Whom::At(account),
        calls,
        takes_value,
    };
    Contracts {
        tokens: vec![token(Asset::Usdc, USDC), token(Asset::Usdcx, USDCX)],
        targets: vec![
            target(Purpose::Session, ESCROW, Calls::Only(vec![OPEN]), false),
            target(Purpose::Coalition, COALITION, Calls::Any, false),
            target(Purpose::Stake, COALITION, Calls::Any, false),
            target(Purpose::Deployment, ESCROW, Calls::Any, true),
            target(Purpose::Deployment, USDC, Calls::Any, true),
        ],
        creations: vec![ChainId::DEVNET],
    }
}

fn deployed(set_up: Vec<Account>) -> Contracts {
    let mut contracts = Contracts::default();
    let (usdc, usdcx) = (token(Asset::Usdc, USDC), USDCX);
    contracts.add(Deployed { usdc, usdcx, coalition: COALITION, session_escrow: ESCROW, set_up });
    contracts
}

fn understood(purpose: Purpose, content: SigningContent) -> Result<Spend, Refusal> {
    let request = SigningRequest { account: PAYER, purpose, content };
    contracts().understand(&request, &Limits::default(), NOW_MS)
}

fn authorization() -> Authorization {
    Authorization {
        from: PAYER,
        to: STRANGER,
        value: Amount::usdc(5),
        valid_after: 0,
        valid_before: NOW + 300,
        nonce: B256::repeat_byte(3),
    }
}

fn paying(purpose: Purpose, token: TokenDomain, authorization: Authorization) -> Result<Spend, Refusal> {
    understood(purpose, SigningContent::Authorization { token, authorization })
}

#[derive(RlpEncodable)]
struct Call {
    chain: u64,
    nonce: u64,
    tip: u64,
    price: u64,
    gas: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    access: Vec<u8>,
}

/// A transaction of 10 gas at 2 wei.
fn transaction(purpose: Purpose, to: Option<Account>, value: u64, input: &[u8]) -> Result<Spend, Refusal> {
    understood(purpose, unsigned(to, value, input))
}

fn unsigned(to: Option<Account>, value: u64, input: &[u8]) -> SigningContent {
    let to = to.map_or(TxKind::Create, |to| TxKind::Call(to.0));
    let input = input.to_vec().into();
    let call = Call {
        chain: 31_337,
        nonce: 1,
        tip: 1,
        price: 2,
        gas: 10,
        to,
        value: U256::from(value),
        input,
        access: vec![],
    };
    let mut bytes = vec![2];
    call.encode(&mut bytes);
    // An empty list, and not an empty text, ends it.
    *bytes.last_mut().unwrap() = 0xc0;
    SigningContent::Transaction(bytes.into())
}

fn words(selector: [u8; 4], words: &[U256]) -> Vec<u8> {
    let mut bytes = selector.to_vec();
    bytes.extend(words.iter().flat_map(|word| word.to_be_bytes::<32>()));
    bytes
}

fn account_word(account: Account) -> U256 {
    U256::from_be_slice(account.0.as_slice())
}

const TRANSFER: [u8; 4] = hex!("a9059cbb");
const APPROVE: [u8; 4] = hex!("095ea7b3");
const TRANSFER_FROM: [u8; 4] = hex!("23b872dd");
const DOWNGRADE: [u8; 4] = hex!("11bcc81e");

#[test]
fn a_voucher_shows_whom_it_pays_and_how_much() {
    let spend = paying(Purpose::Voucher, token(Asset::Usdc, USDC), authorization()).unwrap();
    assert_eq!((spend.to, spend.amounts, spend.chain), (Some(STRANGER), vec![Amount::usdc(5)], Some(ChainId::DEVNET)));
    // As JSON it is the same thing, with the same hash.
    let json = serde_json::json!({
        "types": { "TransferWithAuthorization": [
            { "name": "from", "type": "address" }, { "name": "to", "type": "address" },
            { "name": "value", "type": "uint256" }, { "name": "validAfter", "type": "uint256" },
            { "name": "validBefore", "type": "uint256" }, { "name": "nonce", "type": "bytes32" }
        ] },
        "primaryType": "TransferWithAuthorization",
        "domain": { "name": "USD Coin", "version": "2", "chainId": 31337, "verifyingContract": USDC },
        "message": { "from": PAYER, "to": STRANGER, "value": "5", "validAfter": "0",
            "validBefore": (NOW + 300).to_string(), "nonce": B256::repeat_byte(3) }
    });
    let typed = understood(Purpose::Voucher, SigningContent::TypedData(json.to_string())).unwrap();
    assert_eq!((typed.digest, typed.amounts), (spend.digest, vec![Amount::usdc(5)]));
    // The receiver's kind is for stakes alone, and for contracts that take them.
    let receive = json.to_string().replace("TransferWith", "ReceiveWith");
    let stake = |text: &str| understood(Purpose::Stake, SigningContent::TypedData(text.to_owned()));
    assert!(matches!(stake(&receive), Err(Refusal::TargetNotAllowed { .. })));
    let to_coalition = receive.replace(&STRANGER.to_string(), &COALITION.to_string());
    assert_eq!(stake(&to_coalition).unwrap().amounts, [Amount::usdc(5)]);
    let voucher = understood(Purpose::Voucher, SigningContent::TypedData(to_coalition));
    assert!(matches!(voucher, Err(Refusal::NotItsBusiness { .. })));
}

#[test]
fn a_voucher_that_is_not_quite_one_is_refused() {
    let (usdc, good) = (token(Asset::Usdc, USDC), authorization());
    for purpose in [Purpose::Session, Purpose::Keeper, Purpose::Stake, Purpose::Statement, Purpose::Deployment] {
        assert!(matches!(paying(purpose, usdc.clone(), good), Err(Refusal::NotItsBusiness { .. })), "{purpose}");
    }
    let unknown = [
        TokenDomain { name: "USDC".to_owned(), ..usdc.clone() },
        TokenDomain { version: "1".to_owned(), ..usdc.clone() },
        TokenDomain { chain: ChainId::GALILEO, ..usdc.clone() },
        TokenDomain { contract: STRANGER, ..usdc.clone() },
    ];
    for token in unknown {
        assert!(matches!(paying(Purpose::Voucher, token, good), Err(Refusal::UnknownToken { .. })));
    }
    // Millions of a token with 18 decimals are not millions of one with 6.
    for (asset, value) in
        [(Asset::Usdcx, Amount::usdcx(5)), (Asset::Usdcx, Amount::usdc(5)), (Asset::Usdc, Amount::usdcx(5))]
    {
        let (token, authorization) = (TokenDomain { asset, ..usdc.clone() }, Authorization { value, ..good });
        assert!(matches!(paying(Purpose::Voucher, token, authorization), Err(Refusal::OtherAsset { .. })));
    }
    let foreign = Authorization { from: STRANGER, ..good };
    assert!(matches!(paying(Purpose::Voucher, usdc.clone(), foreign), Err(Refusal::OtherAccount { .. })));
    for (valid_after, valid_before) in [(0, NOW), (0, 0), (NOW + 300, NOW + 300), (0, NOW + 3601), (0, u64::MAX)] {
        let window = Authorization { valid_after, valid_before, ..good };
        assert!(
            matches!(paying(Purpose::Voucher, usdc.clone(), window), Err(Refusal::Window { .. })),
            "{valid_before}"
        );
    }
}

#[test]
fn sending_counts_what_goes_and_the_gas() {
    let coin = |units: u64| Amount::new(U256::from(units), Asset::Native);
    let sent = transaction(Purpose::Transfer, Some(STRANGER), 7, &[]).unwrap();
    assert_eq!((sent.amounts, sent.to), (vec![coin(27)], Some(STRANGER)));
    let input = words(TRANSFER, &[account_word(STRANGER), U256::from(9)]);
    let sent = transaction(Purpose::Transfer, Some(USDC), 0, &input).unwrap();
    assert_eq!(sent.amounts, [coin(20), Amount::usdc(9)]);
    let unwrapped = transaction(Purpose::Transfer, Some(USDCX), 0, &words(DOWNGRADE, &[U256::from(9)])).unwrap();
    assert_eq!(unwrapped.amounts, [coin(20)]);
    let approved = words(APPROVE, &[account_word(COALITION), U256::from(9)]);
    assert_eq!(transaction(Purpose::Stake, Some(USDC), 0, &approved).unwrap().amounts, [coin(20), Amount::usdc(9)]);
}

#[test]
fn money_leaves_by_no_other_call() {
    let send = words(TRANSFER, &[account_word(STRANGER), U256::from(9)]);
    let approve = words(APPROVE, &[account_word(STRANGER), U256::MAX]);
    let draw = words(TRANSFER_FROM, &[account_word(PAYER), account_word(STRANGER), U256::from(9)]);
    for purpose in Purpose::ALL {
        for input in [&approve, &draw] {
            assert!(transaction(purpose, Some(USDC), 0, input).is_err(), "{purpose}");
        }
        // `Any` in the address book does not open the token's own functions: deployment lists USDC so.
        assert_eq!(transaction(purpose, Some(USDC), 0, &send).is_ok(), purpose == Purpose::Transfer, "{purpose}");
        assert_eq!(transaction(purpose, Some(STRANGER), 7, &[]).is_ok(), purpose == Purpose::Transfer, "{purpose}");
        assert!(transaction(purpose, Some(STRANGER), 0, &OPEN).is_err(), "{purpose}");
        assert!(transaction(purpose, Some(USDC), 0, &[9, 9, 9, 9]).is_err(), "{purpose}");
    }
    for input in [&send[..67], &[&send[..], &[0]].concat()] {
        assert_eq!(transaction(Purpose::Transfer, Some(USDC), 0, input).unwrap_err(), Refusal::Arguments);
    }
    let dirty = words(TRANSFER, &[account_word(STRANGER) | (U256::from(1) << 200), U256::from(9)]);
    assert_eq!(transaction(Purpose::Transfer, Some(USDC), 0, &dirty).unwrap_err(), Refusal::Arguments);
    assert!(matches!(transaction(Purpose::Transfer, Some(USDC), 1, &send), Err(Refusal::ValueNotAllowed { .. })));
}

#[test]
fn contracts_are_called_as_the_address_book_says() {
    assert!(transaction(Purpose::Session, Some(ESCROW), 0, &words(OPEN, &[U256::from(1)])).is_ok());
    assert!(matches!(
        transaction(Purpose::Session, Some(ESCROW), 0, &[9, 9, 9, 9]),
        Err(Refusal::TargetNotAllowed { selector: Some([9, 9, 9, 9]), .. })
    ));
    assert!(matches!(
        transaction(Purpose::Session, Some(ESCROW), 0, &OPEN[..3]),
        Err(Refusal::TargetNotAllowed { .. })
    ));
    assert!(matches!(transaction(Purpose::Keeper, Some(ESCROW), 0, &OPEN), Err(Refusal::TargetNotAllowed { .. })));
    assert!(matches!(transaction(Purpose::Session, Some(ESCROW), 1, &OPEN), Err(Refusal::ValueNotAllowed { .. })));
    assert!(transaction(Purpose::Deployment, Some(ESCROW), 1, &[]).is_ok());
    for purpose in Purpose::ALL {
        let may = transaction(purpose, None, 0, &[0x60, 0x80]).is_ok();
        assert_eq!(may, purpose == Purpose::Deployment, "{purpose}");
    }
}

#[test]
fn terms_are_signed_for_oneself_and_for_coalitions_alone() {
    let membership = |operator: Account, contract: Account| {
        let json = serde_json::json!({
            "types": { "Membership": [
                { "name": "coalition", "type": "bytes32" }, { "name": "place", "type": "uint16" },
                { "name": "operator", "type": "address" }
            ] },
            "primaryType": "Membership",
            "domain": { "name": "ComputePool Coalition", "version": "1", "chainId": 31337, "verifyingContract": contract },
            "message": { "coalition": keccak256("terms"), "place": 2, "operator": operator }
        });
        SigningContent::TypedData(json.to_string())
    };
    let signed = understood(Purpose::Coalition, membership(PAYER, COALITION)).unwrap();
    assert!(signed.amounts.is_empty());
    assert!(matches!(
        understood(Purpose::Coalition, membership(STRANGER, COALITION)),
        Err(Refusal::OtherAccount { .. })
    ));
    assert!(matches!(
        understood(Purpose::Coalition, membership(PAYER, STRANGER)),
        Err(Refusal::TargetNotAllowed { .. })
    ));
    assert!(matches!(understood(Purpose::Stake, membership(PAYER, COALITION)), Err(Refusal::NotItsBusiness { .. })));
}

#[test]
fn bare_hashes_are_signed_for_nobody_unless_the_owner_says_so() {
    let content = SigningContent::Digest(B256::repeat_byte(1));
    for purpose in Purpose::ALL {
        assert_eq!(understood(purpose, content.clone()).unwrap_err(), Refusal::BareDigest(purpose));
    }
    let request = SigningRequest { account: PAYER, purpose: Purpose::Statement, content };
    let limits = Limits { bare_digests: vec![Purpose::Statement], ..Limits::default() };
    assert_eq!(contracts().understand(&request, &limits, NOW_MS).unwrap().digest, B256::repeat_byte(1));
}

/// The first four bytes of a function's hash, by its signature as the contract's ABI has it.
fn selector(signature: &str) -> [u8; 4] {
    *keccak256(signature).first_chunk().unwrap()
}

#[test]
fn a_deployment_opens_to_each_purpose_what_it_is_there_for() {
    use Purpose::{Coalition, Deployment, Keeper, Session, Stake, Transfer};
    let terms = "(bytes32,uint64,uint32,uint64,address,bytes32)";
    let voucher = "(address,uint256,uint256,bytes32)";
    let open = format!("open({terms},{voucher},bytes,bool)");
    let funded = format!("openFunded({terms},bool)");
    let reclaim = format!("reclaim({terms},{voucher},bytes)");
    let clone = STRANGER;
    let cases: &[(&str, Account, &[Purpose])] = &[
        (&open, ESCROW, &[Session, Deployment]),
        (&funded, ESCROW, &[Session, Deployment]),
        (&reclaim, ESCROW, &[Session, Keeper, Transfer, Deployment]),
        ("grantRole(bytes32,address)", ESCROW, &[Deployment]),
        ("start()", clone, &[Session]),
        ("pause(uint64)", clone, &[Session]),
        ("close(uint64)", clone, &[Session]),
        ("close()", clone, &[Session, Keeper, Transfer]),
        ("sweep()", clone, &[Keeper, Transfer]),
        ("fill()", clone, &[Keeper, Transfer]),
        ("claimAll(address)", clone, &[Keeper, Transfer]),
        ("lapse(uint256)", COALITION, &[Keeper, Coalition, Stake, Deployment]),
        ("sign(bytes32,uint16)", COALITION, &[Coalition, Stake, Deployment]),
        ("faucet(address)", USDC, &[Deployment, Transfer]),
        ("faucet(address)", clone, &[]),
        ("claimAll(address)", USDC, &[]),
        ("upgrade(uint256)", USDCX, &[]),
        ("close()", USDC, &[]),
        ("transferOwnership(address)", clone, &[]),
    ];
    let contracts = deployed(vec![Account::new([0xdd; 20])]);
    let may = |purpose: Purpose, content: &SigningContent| {
        let request = SigningRequest { account: PAYER, purpose, content: content.clone() };
        contracts.understand(&request, &Limits::default(), NOW_MS).is_ok()
    };
    for (signature, to, purposes) in cases {
        let content = unsigned(Some(*to), 0, &words(selector(signature), &[U256::from(1)]));
        for purpose in Purpose::ALL {
            assert_eq!(may(purpose, &content), purposes.contains(&purpose), "{purpose}: {signature}");
        }
        let paying = unsigned(Some(*to), 1, &selector(signature));
        assert!(Purpose::ALL.into_iter().all(|purpose| !may(purpose, &paying)), "coin with {signature}");
    }
    // Only stakes are approved, and only for the coalitions; and counted.
    let approve = |spender| unsigned(Some(USDC), 0, &words(APPROVE, &[account_word(spender), U256::from(9)]));
    assert!(may(Stake, &approve(COALITION)) && !may(Stake, &approve(USDCX)) && !may(Deployment, &approve(COALITION)));
    // A machine that deploys nothing may call nothing for it.
    let request = SigningRequest {
        account: PAYER,
        purpose: Deployment,
        content: unsigned(Some(ESCROW), 0, &selector("unpause()")),
    };
    assert!(deployed(Vec::new()).understand(&request, &Limits::default(), NOW_MS).is_err());
}
