//! Vouchers whose time is over: before they are shown, and while they wait for a block.

use computepool_core::FaultCode;
use computepool_core::ports::{BillPhase, Toll};

use crate::world::{World, account, reason};

#[tokio::test]
async fn a_voucher_that_has_expired_is_refused_by_either_clock() {
    let world = World::new().await;
    let late = world.paid().await;
    world.pass(295).await;
    assert_eq!(reason(world.admit(&late).await), "invalid_exact_evm_payload_authorization_valid_before");
    world.pass(300).await;
    assert_eq!(reason(world.admit(&late).await), "payment_expired");

    // The chain alone says that it is too late.
    let early = world.paid().await;
    let now = world.rpc.time().await.unwrap();
    world.tell("evm_setNextBlockTimestamp", serde_json::json!([now + 310])).await;
    world.tell("evm_mine", serde_json::json!([])).await;
    assert_eq!(reason(world.admit(&early).await), "invalid_exact_evm_payload_authorization_valid_before");
    assert!(world.ledger().await.is_empty());
    world.assert_adds_up().await;
}

#[tokio::test]
async fn a_voucher_that_expires_while_it_waits_for_a_block_costs_nobody_anything() {
    let world = World::new().await;
    let before = world.usdc(world.people.payer).await;
    world.hold_blocks().await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    let generation = computepool_core::GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    world.until_waiting().await;
    // It is served on trust, for as long as that reaches.
    let mut tokens = 0;
    let fault = loop {
        world.clock.advance(1);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        match world.toll.progressed(generation) {
            Ok(()) => tokens += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.code, FaultCode::PaymentRefused, "{fault}");
    assert!((10..=21).contains(&tokens), "{tokens}");
    world.toll.ended(generation);
    // The block comes when the voucher has ended.
    world.pass(310).await;
    world.release_blocks().await;
    let bill = world.settles(admission.session, BillPhase::Rejected).await;
    assert!(bill.paid_out.is_zero() && bill.served_ms <= 21_000, "{bill:?}");
    assert!(world.on_chain(account(&payload)).await.is_none());
    assert_eq!(world.usdc(world.people.payer).await, before);
    assert!(world.assert_adds_up().await.is_empty());
}
