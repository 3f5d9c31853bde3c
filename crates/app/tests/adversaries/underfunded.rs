//! Payers who have not what they sign away.

use alloy_primitives::U256;
use computepool_core::ports::{BillPhase, Toll};
use computepool_core::{Account, FaultCode, GenerationId};

use crate::contracts::Usdc;
use crate::world::{World, account, reason};

async fn gives(world: &World, from: Account, to: Account, units: U256) {
    world.does(from, world.devnet.book.usdc, &Usdc::transferCall { to: to.0, amount: units }).await;
}

#[tokio::test]
async fn who_has_nothing_is_refused() {
    let world = World::new().await;
    let accepted = world.quote().await;
    let payload = world.voucher(world.people.pauper, accepted);
    assert_eq!(reason(world.admit(&payload).await), "insufficient_funds");
    // Nor with a unit too little.
    gives(&world, world.people.other, world.people.pauper, U256::from(1_999_999)).await;
    assert_eq!(reason(world.admit(&payload).await), "insufficient_funds");
    assert!(world.ledger().await.is_empty());
    world.assert_adds_up().await;
}

#[tokio::test]
async fn who_empties_the_account_meanwhile_is_served_no_more_and_pays_when_money_comes() {
    let world = World::new().await;
    let (payer, other) = (world.people.payer, world.people.other);
    let all = world.usdc(payer).await;
    world.hold_blocks().await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    for _ in 0..5 {
        world.clock.advance(1);
        world.toll.progressed(generation).unwrap();
    }
    world.until_waiting().await;
    world.rushes(payer, world.devnet.book.usdc, &Usdc::transferCall { to: other.0, amount: all }).await;
    world.release_blocks().await;
    let fault = world.until_barred(generation).await;
    assert!(fault.code == FaultCode::PaymentRefused && fault.message.contains("its payer has"), "{fault}");
    assert!(world.on_chain(account(&payload)).await.is_none());

    // The voucher is still good: with money in the account it pays for what was served, and for nothing else.
    gives(&world, other, payer, all).await;
    let bill = world.settles(admission.session, BillPhase::Settled).await;
    assert!((5_000..=20_000).contains(&bill.served_ms), "{bill:?}");
    assert_eq!(bill.paid_out, bill.rate.times(bill.served_ms.div_ceil(1000)).unwrap());
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn the_same_money_twice_pays_for_one_session() {
    let world = World::new().await;
    let (pauper, other) = (world.people.pauper, world.people.other);
    gives(&world, other, pauper, U256::from(2_000_000)).await;
    world.hold_blocks().await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let accepted = world.quote().await;
        let payload = world.voucher(pauper, accepted);
        // Neither voucher is in a block: each could be executed, for all that the chain says.
        sessions.push(world.admit(&payload).await.unwrap());
    }
    world.until_waiting().await;
    world.release_blocks().await;
    world.until(sessions[0].session, BillPhase::Streaming).await;
    world.serves(sessions[0].session, 1, 3).await;
    let second = GenerationId([2; 16]);
    let fault = match world.toll.began(sessions[1].session, second) {
        Ok(()) => world.until_barred(second).await,
        Err(fault) => fault,
    };
    assert_eq!(fault.code, FaultCode::PaymentRefused, "{fault}");
    world.closes(&sessions[0]).await;
    world.pass(310).await;
    world.settles(sessions[1].session, BillPhase::Rejected).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}
