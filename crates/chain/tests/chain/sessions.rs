use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol;
use alloy::sol_types::{Eip712Domain, SolCall, SolStruct};
use computepool_chain::Sessions;
use computepool_chain::coalitions::{Founding, terms_id};
use computepool_chain::deployment::{AddressBook, deploy};
use computepool_chain::sender::{Sender, Until};
use computepool_core::coalition::{CoalitionTerms, FoundedPlace};
use computepool_core::money::{Account, Amount, Asset};
use computepool_core::ports::{
    Authorization, Chain as _, ChainEvent, ChainEventKind, CoalitionId, Cursor, Delivery, Intent, Purpose,
    SessionPhase, SessionTerms, StepId, Voucher,
};
use computepool_core::{ContentHash, LayerRange};
use serde_json::json;

use crate::Chain;
use crate::key::signature;

sol! {
    #[derive(Debug)]
    struct Quote {
        bytes32 coalition;
        uint64 amount;
        uint32 lifetime;
        uint64 expires;
        address payer;
        bytes32 salt;
    }
    function account(Quote calldata quote) external view returns (address);

    function sign(bytes32 id, uint16 place) external;
    function faucet(address to) external;

    struct TransferWithAuthorization {
        address from;
        address to;
        uint256 value;
        uint256 validAfter;
        uint256 validBefore;
        bytes32 nonce;
    }
}

pub(crate) fn terms() -> SessionTerms {
    SessionTerms {
        coalition: CoalitionId(B256::repeat_byte(1)),
        amount: Amount::usdc(1_250_000),
        lifetime_s: 3_600,
        expires_s: 4_000_000_000,
        payer: Account::new([5; 20]),
        salt: B256::repeat_byte(9),
    }
}

#[tokio::test]
async fn accounts_are_where_the_escrow_puts_them_and_nothing_is_made_up() {
    let chain = Chain::start().await;
    let meter = chain.sender();
    let (book, _) = deploy(&meter, &chain.network, &|_, _| {}).await.unwrap();
    let sessions = Arc::new(Sessions::new(chain.network.clone(), book.clone(), meter));
    let terms = terms();
    let quote = Quote {
        coalition: terms.coalition.0,
        amount: 1_250_000,
        lifetime: terms.lifetime_s,
        expires: terms.expires_s,
        payer: terms.payer.0,
        salt: terms.salt,
    };
    let session = sessions.session_account(&terms);
    assert_eq!(session.0, chain.rpc.call(book.session_escrow.0, &accountCall { quote }).await.unwrap());
    assert_eq!(sessions.session(session).await.unwrap().newest, None);

    // A coalition that nobody proposed offers nothing, and a voucher that nobody signed opens nothing.
    assert!(!sessions.coalition(terms.coalition).await.is_ok_and(|offer| offer.open));
    let authorization = Authorization {
        from: terms.payer,
        to: session,
        value: terms.amount,
        valid_after: 0,
        valid_before: 4_000_000_000,
        nonce: B256::repeat_byte(7),
    };
    let voucher = Voucher { authorization, signature: Bytes::from(vec![1; 65]) };
    let state = sessions.voucher(&terms, &voucher).await.unwrap();
    assert!(state.balance.is_zero() && !state.used && state.refused.is_some(), "{state:?}");
    let opening = Intent::Open { terms, voucher, start: false };
    let delivery = sessions.submit(StepId(B256::repeat_byte(8)), opening).await;
    assert!(matches!(delivery, Delivery::Refused(_)), "{delivery:?}");

    let said = sessions.events(Cursor::default(), 10).await.unwrap();
    assert!(said.events.is_empty());
    assert_eq!(said.next.block, chain.rpc.head().await.unwrap());
}

/// Two operators, eight layers, 0.0008 USDCx a second; the first of anvil's accounts is the meter. No stake: bonds.
pub(crate) async fn coalition(chain: &Chain, book: &AddressBook, meter: &Sender) -> CoalitionId {
    let others: Vec<Address> = chain.rpc.request("eth_accounts", ()).await.unwrap();
    let place = |start, end, holder| FoundedPlace {
        layers: LayerRange::new(start, end).unwrap(),
        holder: Account(holder),
        bond: true,
    };
    let terms = CoalitionTerms {
        model: ContentHash([2; 32]),
        places: vec![place(0, 5, others[1]), place(5, 8, others[2])],
        unit_rate: Amount::usdcx(10_000_000_000),
        fee_bps: 0,
        royalty_bps: 0,
        owner: Account::ZERO,
        stake: Amount::usdc(1_000_000),
        arbiter: Account(others[3]),
        meter: Account(meter.account()),
        exit_delay_s: 86_400,
        deadline_s: chain.rpc.time().await.unwrap() + 86_400,
        salt: B256::ZERO,
    };
    let contract = book.coalition.0;
    let founding = Founding::new(meter.clone(), book);
    // Had the contract another id for these terms, nobody could sign under this one.
    let id = founding.propose(&terms).await.unwrap();
    assert_eq!(terms_id(book.chain_id, book.coalition, &terms), Some(id));
    for (place, operator) in [(0, others[1]), (1, others[2])] {
        // They are anvil's own accounts: it signs for them.
        let input = Bytes::from(signCall { id: id.0, place }.abi_encode());
        let transaction = json!({ "from": operator, "to": contract, "input": input });
        let _: B256 = chain.rpc.request("eth_sendTransaction", (transaction,)).await.unwrap();
    }
    founding.activate(id).await.unwrap();
    id
}

/// An authorization of the first account's, signed.
pub(crate) fn voucher(chain: &Chain, sessions: &Sessions, terms: &SessionTerms) -> Voucher {
    let authorization = Authorization {
        from: chain.key.account,
        to: sessions.session_account(terms),
        value: terms.amount,
        valid_after: 0,
        valid_before: 4_000_000_000,
        nonce: terms.salt,
    };
    let token = sessions.token();
    let domain = Eip712Domain {
        name: Some(token.name.into()),
        version: Some(token.version.into()),
        chain_id: Some(U256::from(token.chain.0)),
        verifying_contract: Some(token.contract.0),
        salt: None,
    };
    let message = TransferWithAuthorization {
        from: authorization.from.0,
        to: authorization.to.0,
        value: authorization.value.units,
        validAfter: U256::ZERO,
        validBefore: U256::from(authorization.valid_before),
        nonce: authorization.nonce,
    };
    let signature = signature(&chain.key.key, message.eip712_signing_hash(&domain));
    Voucher { authorization, signature: signature.as_bytes().to_vec().into() }
}

#[tokio::test]
async fn one_voucher_opens_one_session_that_is_paid_to_the_last_wei() {
    let chain = Chain::start().await;
    let meter = chain.sender();
    let (book, _) = deploy(&meter, &chain.network, &|_, _| {}).await.unwrap();
    let coalition = coalition(&chain, &book, &meter).await;
    let faucet = computepool_chain::sender::Intent::new("faucet", Purpose::Transfer, book.usdc.0);
    meter.send(faucet.calling(&faucetCall { to: chain.key.account.0 }), Until::Final).await.unwrap();
    let sessions = Sessions::new(chain.network.clone(), book, meter);
    let offer = sessions.coalition(coalition).await.unwrap();
    assert!(offer.open && offer.places.len() == 2, "{offer:?}");
    assert_eq!(offer.rate, Amount::usdcx(800_000_000_000_000));

    let terms = SessionTerms { coalition, ..terms() };
    let voucher = voucher(&chain, &sessions, &terms);
    let state = sessions.voucher(&terms, &voucher).await.unwrap();
    assert_eq!(state.refused, None, "{state:?}");
    let session = sessions.session_account(&terms);
    let mut step = 0;
    let mut submit = async |intent| {
        step += 1;
        sessions.submit(StepId(B256::repeat_byte(step)), intent).await
    };
    let opened = submit(Intent::Open { terms, voucher: voucher.clone(), start: true }).await;
    assert!(matches!(opened, Delivery::Landed { .. }), "{opened:?}");
    let again = submit(Intent::Open { terms, voucher, start: false }).await;
    assert!(matches!(&again, Delivery::Refused(why) if why.name == "SessionExists"), "{again:?}");
    let view = sessions.session(session).await.unwrap().newest.unwrap();
    assert_eq!((view.phase, view.amount, view.rate), (SessionPhase::Streaming, terms.amount, offer.rate));

    let paused = submit(Intent::Pause { session, served_ms: 2_500 }).await;
    assert!(matches!(paused, Delivery::Landed { .. }), "{paused:?}");
    let closed = submit(Intent::Close { session, served_ms: 2_500 }).await;
    assert!(matches!(closed, Delivery::Landed { .. }), "{closed:?}");
    let end = sessions.session(session).await.unwrap().settled.unwrap();
    assert_eq!(end.phase, SessionPhase::Closed);
    // Paid in = streamed + topped up + refund + dust; at least what was served, by the begun second.
    let refund = end.refund.convert(Asset::Usdcx).unwrap();
    let out = Amount::sum(Asset::Usdcx, [end.streamed, end.topped_up, refund, end.dust]).unwrap();
    assert_eq!(out, terms.amount.convert(Asset::Usdcx).unwrap());
    assert!(end.streamed.plus(end.topped_up).unwrap().units >= offer.rate.times(3).unwrap().units, "{end:?}");

    let said = sessions.events(Cursor::default(), 1).await.unwrap();
    assert!(matches!(said.events[0].kind, ChainEventKind::Opened { session: at, .. } if at == session));
    let rest = sessions.events(said.next, 10).await.unwrap();
    let [ChainEvent { kind: ChainEventKind::Closed { streamed, .. }, .. }] = rest.events.as_slice() else {
        panic!("{rest:?}")
    };
    assert_eq!(*streamed, end.streamed);
}
