//! Blocks that are undone.

use alloy_primitives::U256;
use computepool_core::ports::{BillPhase, Toll};
use computepool_core::{FaultCode, GenerationId};
use serde_json::json;

use crate::contracts::Usdc;
use crate::world::{Reach, World, account};

/// Three blocks make something final.
async fn world() -> World {
    World::with(Reach { depth: 3, ..Reach::default() }).await
}

#[tokio::test]
async fn an_opening_that_is_undone_is_sent_again_and_paid_once() {
    let world = world().await;
    let before = world.usdc(world.people.payer).await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    world.tell("anvil_reorg", json!([1, []])).await;
    assert!(world.on_chain(account(&payload)).await.is_none(), "it is gone");
    assert_eq!(world.usdc(world.people.payer).await, before);

    // Whoever looks sees it, and whoever sent it sends it again.
    world.in_time("it is back", async || world.on_chain(account(&payload)).await).await;
    world.serves(admission.session, 1, 5).await;
    let bill = world.closes(&admission).await;
    assert_eq!(world.usdc(world.people.payer).await, before - U256::from(2_000_000) + bill.refund.units);
    assert!(bill.served_ms >= 5_000, "{bill:?}");
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn an_opening_that_gives_way_to_a_payer_without_money_is_not_served_on() {
    let world = world().await;
    let (payer, other) = (world.people.payer, world.people.other);
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    // The chain forgets it, and the payer's own transaction is in the blocks that take their place.
    world.hold_blocks().await;
    world.tell("anvil_reorg", json!([1, []])).await;
    let amount = world.usdc(payer).await;
    world.rushes(payer, world.devnet.book.usdc, &Usdc::transferCall { to: other.0, amount }).await;
    world.release_blocks().await;
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    let fault = world.until_barred(generation).await;
    assert_eq!(fault.code, FaultCode::PaymentRefused, "{fault}");
    world.pass(310).await;
    let bill = world.settles(admission.session, BillPhase::Rejected).await;
    assert!(bill.paid_out.is_zero(), "{bill:?}");
    assert!(world.assert_adds_up().await.is_empty());
}

#[tokio::test]
async fn a_closing_that_is_undone_is_sent_again_and_refunds_once() {
    let world = world().await;
    let before = world.usdc(world.people.payer).await;
    let (session, admission) = world.opened().await;
    world.serves(admission.session, 1, 5).await;
    world.pass(3).await;
    world.toll.close(admission.token.as_ref().unwrap()).await.unwrap();
    world.reaches(session, computepool_core::ports::SessionPhase::Closed).await;
    world.tell("anvil_reorg", json!([1, []])).await;
    assert_ne!(world.bill(admission.session).phase, BillPhase::Settled);
    let bill = world.settles(admission.session, BillPhase::Settled).await;
    assert_eq!(world.usdc(world.people.payer).await, before - U256::from(2_000_000) + bill.refund.units);
    assert_eq!(world.assert_adds_up().await.len(), 1);
}
