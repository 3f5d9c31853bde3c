//! The same voucher again.

use std::time::Duration;

use computepool_core::FaultCode;
use computepool_core::ports::{Asked, BillPhase, Presented, Toll, TollRefusal};
use computepool_payments::x402::encode;

use crate::proxy::Proxy;
use crate::world::{Reach, World, asked, reason};

const USED: [&str; 2] = ["payment_quote_already_used", "invalid_exact_evm_nonce_already_used"];

#[tokio::test]
async fn the_same_request_twice_opens_one_session() {
    let world = World::new().await;
    let payload = world.paid().await;
    let (first, second) = tokio::join!(world.admit(&payload), world.admit(&payload));
    let (admission, again) = match (first, second) {
        (Ok(admission), again) | (again, Ok(admission)) => (admission, again),
        neither => panic!("{neither:?}"),
    };
    assert!(USED.contains(&&*reason(again)));
    world.until(admission.session, BillPhase::Streaming).await;
    assert!(USED.contains(&&*reason(world.admit(&payload).await)));
    world.serves(admission.session, 1, 5).await;
    world.closes(&admission).await;
    assert!(USED.contains(&&*reason(world.admit(&payload).await)), "not after its session either");
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn a_voucher_does_not_pay_for_another_request() {
    let world = World::new().await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    let elsewhere = Asked { resource: "https://pool.example/v1/completions".into(), ..asked() };
    assert_eq!(reason(world.admit_to(&elsewhere, &payload).await), "invalid_payment_requirements");
    // Nor with another quote's requirements around it.
    let mut dressed = payload.clone();
    dressed.accepted = world.quote().await;
    assert_eq!(reason(world.admit(&dressed).await), "invalid_exact_evm_payload_recipient_mismatch");
    world.until(admission.session, BillPhase::Streaming).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn a_voucher_is_not_good_again_in_another_life() {
    let mut world = World::new().await;
    world.hold_blocks().await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    world.until_waiting().await;
    // The opening waits for a block, and the ledger alone knows of the voucher.
    world.restart().await;
    assert_eq!(reason(world.admit(&payload).await), "payment_quote_already_used");
    world.release_blocks().await;
    world.until(admission.session, BillPhase::Streaming).await;
    let token = admission.token.clone().unwrap();
    let known = world.toll.admit(&asked(), Presented::Token(token)).await.unwrap();
    assert_eq!(known.session, admission.session, "its payer is still let in");
    world.serves(admission.session, 1, 3).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn another_life_takes_nothing_from_whoever_has_paid() {
    let mut world = World::new().await;
    let (_, admission) = world.opened().await;
    world.serves(admission.session, 1, 30).await;
    world.restart().await;
    let token = Presented::Token(admission.token.clone().unwrap());
    // It is long since the voucher was shown, and the chain has not been asked yet.
    world.toll.admit(&asked(), token.clone()).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    world.toll.admit(&asked(), token).await.unwrap();
    world.serves(admission.session, 2, 5).await;
    let bill = world.closes(&admission).await;
    assert!(bill.served_ms >= 35_000, "{bill:?}");
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn a_voucher_that_was_settled_is_not_good_again_where_only_the_ledger_remembers_it() {
    let proxy = Proxy::new().await;
    let mut world = World::new().await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    world.closes(&admission).await;
    // In the next life the session is nobody's business any more, and the chain does not say that the voucher was used:
    // a payer with a good signature would be trusted for a while.
    proxy.stand_before(world.devnet.anvil.endpoint());
    let admission = Some(Duration::from_millis(200));
    world.restart_with(Reach { endpoints: vec![proxy.url()], admission, ..Reach::default() }).await;
    world.toll.quote(&asked(), None).await.unwrap();
    proxy.fall_silent(true);
    assert_eq!(reason(world.admit(&payload).await), "payment_quote_already_used");
    proxy.fall_silent(false);
    world.restart_with(Reach::default()).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn a_token_of_a_closed_session_lets_nobody_in() {
    let world = World::new().await;
    let (_, admission) = world.opened().await;
    world.serves(admission.session, 1, 2).await;
    world.closes(&admission).await;
    let token = admission.token.clone().unwrap();
    let refusal = world.toll.admit(&asked(), Presented::Token(token)).await.unwrap_err();
    assert!(matches!(&refusal, TollRefusal::Pay { reason, .. } if reason == "session_over"), "{refusal:?}");
    let garbled = encode(&world.paid().await).chars().rev().collect();
    let refusal = world.toll.admit(&asked(), Presented::Voucher(garbled)).await.unwrap_err();
    assert!(
        matches!(&refusal, TollRefusal::Malformed(fault) if fault.code == FaultCode::InvalidRequest),
        "{refusal:?}"
    );
    assert_eq!(world.assert_adds_up().await.len(), 1);
}
