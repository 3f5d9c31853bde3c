//! Vouchers for something else: another resource, chain, amount, token, recipient. Each is truly signed for what it says.

use alloy_primitives::{B256, U256};
use computepool_core::ports::{Asked, Authorization, BillPhase, Chain, Toll};
use computepool_core::{Account, Amount};
use computepool_payments::x402::{PaymentPayload, PaymentRequired, Requirements, decode};
use serde_json::{Value, json};

use crate::world::{World, asked, payload, reason};

/// What differs from an honest voucher.
#[derive(Default)]
struct Twist {
    chain: Option<u64>,
    token: Option<Account>,
    name: Option<&'static str>,
}

/// An authorization, signed by the payer's key under whatever domain.
async fn signed(world: &World, accepted: Requirements, says: &Authorization, twist: Twist) -> PaymentPayload {
    let token = world.meter.token();
    let domain = json!({
        "name": twist.name.unwrap_or(&token.name),
        "version": token.version,
        "chainId": twist.chain.unwrap_or(token.chain.0),
        "verifyingContract": twist.token.unwrap_or(token.contract),
    });
    let fields: Vec<Value> = [
        ("from", "address"),
        ("to", "address"),
        ("value", "uint256"),
        ("validAfter", "uint256"),
        ("validBefore", "uint256"),
        ("nonce", "bytes32"),
    ]
    .map(|(name, kind)| json!({ "name": name, "type": kind }))
    .to_vec();
    let message = json!({
        "from": says.from, "to": says.to, "value": says.value.units.to_string(),
        "validAfter": says.valid_after.to_string(), "validBefore": says.valid_before.to_string(), "nonce": says.nonce,
    });
    let signature = world.sign_anything(says.from, domain, "TransferWithAuthorization", json!(fields), message).await;
    payload(accepted, says, &signature)
}

#[tokio::test]
async fn a_voucher_for_something_else_is_refused_by_name() {
    let world = World::new().await;
    let (payer, usdcx) = (world.people.payer, world.devnet.book.usdcx);
    let accepted = world.quote().await;
    let honest = world.authorization(payer, &accepted);
    let before = world.usdc(payer).await;

    // The way of signing is right: what is refused below is refused for what it says.
    let good = signed(&world, accepted.clone(), &honest, Twist::default()).await;

    let resource = Asked { resource: "https://pool.example/v1/embeddings".into(), ..asked() };
    let quote: PaymentRequired = decode(&world.toll.quote(&resource, None).await.unwrap().header).unwrap();
    let elsewhere = world.voucher(payer, quote.accepts[0].clone());
    assert_eq!(reason(world.admit(&elsewhere).await), "invalid_payment_requirements", "another resource");

    type Change = fn(&mut Requirements, &World);
    let other_terms: [(&str, &str, Change); 7] = [
        ("another network", "invalid_network", |a, _| a.network = "eip155:1".into()),
        ("another token", "invalid_exact_evm_payload_asset", |a, w| a.asset = w.devnet.book.usdcx.to_string()),
        ("a smaller amount", "invalid_payment_requirements", |a, _| a.amount = "1".into()),
        ("a longer life", "invalid_payment_requirements", |a, _| a.extra.computepool.lifetime *= 2),
        ("a later end", "invalid_payment_requirements", |a, _| a.extra.computepool.expires += 600),
        ("another coalition", "invalid_payment_requirements", |a, _| {
            a.extra.computepool.coalition = format!("{:#x}", B256::repeat_byte(1));
        }),
        ("another recipient", "invalid_exact_evm_payload_recipient_mismatch", |a, w| {
            a.pay_to = w.people.other.to_string();
        }),
    ];
    for (what, why, change) in other_terms {
        let mut changed = accepted.clone();
        change(&mut changed, &world);
        let says = Authorization { value: Amount::usdc(changed.amount.parse().unwrap()), ..honest };
        let says = Authorization { to: changed.pay_to.parse().unwrap(), ..says };
        assert_eq!(reason(world.admit(&world.signed(changed, says)).await), why, "{what}");
    }

    let signatures = [
        ("of another chain", Twist { chain: Some(1), ..Twist::default() }),
        ("of another token", Twist { token: Some(usdcx), ..Twist::default() }),
        ("of another name", Twist { name: Some("USDC"), ..Twist::default() }),
    ];
    for (what, twist) in signatures {
        let bad = signed(&world, accepted.clone(), &honest, twist).await;
        assert_eq!(reason(world.admit(&bad).await), "invalid_exact_evm_payload_signature", "{what}");
    }

    let sayings: [(&str, &str, Authorization); 4] = [
        ("less", "value_mismatch", Authorization { value: Amount::usdc(1_999_999), ..honest }),
        ("more", "value_mismatch", Authorization { value: Amount::usdc(2_000_001), ..honest }),
        ("to a friend", "recipient_mismatch", Authorization { to: world.people.other, ..honest }),
        ("to the meter", "recipient_mismatch", Authorization { to: world.people.meter, ..honest }),
    ];
    for (what, why, says) in sayings {
        let refused = reason(world.admit(&world.signed(accepted.clone(), says)).await);
        assert!(refused.ends_with(why), "{what}: {refused}");
    }
    // Somebody else's money: the payer's name on a friend's signature.
    let mut forged = world.signed(accepted.clone(), Authorization { from: world.people.other, ..honest });
    forged.payload.authorization.from = payer.to_string();
    assert_eq!(reason(world.admit(&forged).await), "invalid_exact_evm_payload_signature");

    assert!(world.ledger().await.is_empty() && world.all_sessions().await.is_empty(), "none of it left a trace");
    assert_eq!(world.usdc(payer).await, before);
    let admission = world.admit(&good).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
    assert!(world.usdc(payer).await >= before - U256::from(100_000));
}
