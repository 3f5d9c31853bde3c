//! Payers who see their voucher on its way into a block, and are faster; and who are faster later on.

use alloy_primitives::{B256, U256};
use computepool_core::ports::{BillPhase, Chain, SessionPhase, Toll, Voucher};
use computepool_core::{Account, FaultCode, GenerationId};
use serde_json::json;

use crate::contracts::{Session, Usdc};
use crate::proxy::Proxy;
use crate::world::{Reach, World, account, read, reason};

/// The payer takes an authorization back: the call for it.
pub(crate) async fn cancellation(world: &World, voucher: &Voucher) -> Usdc::cancelAuthorizationCall {
    let token = world.meter.token();
    let domain = json!({
        "name": token.name, "version": token.version, "chainId": token.chain.0, "verifyingContract": token.contract,
    });
    let fields = json!([{ "name": "authorizer", "type": "address" }, { "name": "nonce", "type": "bytes32" }]);
    let (authorizer, nonce) = (voucher.authorization.from, voucher.authorization.nonce);
    let says = json!({ "authorizer": authorizer, "nonce": nonce });
    let signature = world.sign_anything(authorizer, domain, "CancelAuthorization", fields, says).await;
    Usdc::cancelAuthorizationCall {
        authorizer: authorizer.0,
        nonce,
        v: signature[64],
        r: B256::from_slice(&signature[..32]),
        s: B256::from_slice(&signature[32..64]),
    }
}

/// Anybody executes a voucher at the token itself.
pub(crate) fn execution(voucher: &Voucher) -> Usdc::transferWithAuthorizationCall {
    let says = &voucher.authorization;
    Usdc::transferWithAuthorizationCall {
        from: says.from.0,
        to: says.to.0,
        value: says.value.units,
        validAfter: U256::from(says.valid_after),
        validBefore: U256::from(says.valid_before),
        nonce: says.nonce,
        signature: voucher.signature.clone(),
    }
}

/// What the payer has, in units of USDC.
async fn purse(world: &World) -> U256 {
    world.usdc(world.people.payer).await
}

pub(crate) fn usdc(world: &World) -> Account {
    world.devnet.book.usdc
}

#[tokio::test]
async fn who_cancels_first_was_served_on_trust_and_owes_nothing() {
    let world = World::new().await;
    let before = purse(&world).await;
    world.hold_blocks().await;
    let payload = world.paid().await;
    let (_, voucher) = read(&payload);
    let admission = world.admit(&payload).await.unwrap();
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    for _ in 0..5 {
        world.clock.advance(1);
        world.toll.progressed(generation).unwrap();
    }
    world.until_waiting().await;
    world.rushes(world.people.payer, usdc(&world), &cancellation(&world, &voucher).await).await;
    world.release_blocks().await;
    let fault = world.until_barred(generation).await;
    assert!(fault.code == FaultCode::PaymentRefused && fault.message.contains("cancelled"), "{fault}");
    assert!(world.toll.began(admission.session, GenerationId([2; 16])).is_err(), "nothing more is served");
    let bill = world.settles(admission.session, BillPhase::Rejected).await;
    assert!(bill.paid_out.is_zero() && (5_000..=20_000).contains(&bill.served_ms), "{bill:?}");
    assert!(world.on_chain(account(&payload)).await.is_none());
    assert_eq!(purse(&world).await, before);
    assert!(world.assert_adds_up().await.is_empty());
}

#[tokio::test]
async fn what_was_cancelled_before_it_was_shown_is_refused() {
    let world = World::new().await;
    let payload = world.paid().await;
    let (_, voucher) = read(&payload);
    world.does(world.people.stranger, usdc(&world), &cancellation(&world, &voucher).await).await;
    assert_eq!(reason(world.admit(&payload).await), "invalid_exact_evm_nonce_already_used");
    assert!(world.ledger().await.is_empty());
    world.assert_adds_up().await;
}

#[tokio::test]
async fn who_executes_the_voucher_first_has_paid_and_is_served() {
    let world = World::new().await;
    let before = purse(&world).await;
    world.hold_blocks().await;
    let payload = world.paid().await;
    let (_, voucher) = read(&payload);
    let admission = world.admit(&payload).await.unwrap();
    world.until_waiting().await;
    world.rushes(world.people.payer, usdc(&world), &execution(&voucher)).await;
    world.release_blocks().await;
    world.until(admission.session, BillPhase::Streaming).await;
    assert_eq!(purse(&world).await, before - U256::from(2_000_000), "paid once");
    world.serves(admission.session, 1, 5).await;
    let bill = world.closes(&admission).await;
    assert_eq!(purse(&world).await, before - U256::from(2_000_000) + bill.refund.units);
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn a_voucher_that_was_executed_and_could_not_be_opened_in_time_goes_back() {
    let proxy = Proxy::new().await;
    let mut world = World::new().await;
    let before = purse(&world).await;
    proxy.stand_before(world.devnet.anvil.endpoint());
    world.restart_with(Reach { endpoints: vec![proxy.url()], ..Reach::default() }).await;
    // What the orchestrator sends does not arrive.
    proxy.lose_transactions(true);
    let payload = world.paid().await;
    let (_, voucher) = read(&payload);
    let admission = world.admit(&payload).await.unwrap();
    world.does(world.people.stranger, usdc(&world), &execution(&voucher)).await;
    assert_eq!(purse(&world).await, before - U256::from(2_000_000));
    world.pass(430).await;
    proxy.lose_transactions(false);
    let bill = world.settles(admission.session, BillPhase::Rejected).await;
    assert!(bill.paid_out.is_zero(), "{bill:?}");
    assert_eq!(purse(&world).await, before, "all of it came back");
    assert!(world.assert_adds_up().await.is_empty());
}

#[tokio::test]
async fn who_stops_the_stream_at_the_chain_pays_for_what_was_served_until_then() {
    let world = World::new().await;
    let (session, admission) = world.opened().await;
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    world.reaches(session, SessionPhase::Streaming).await;
    for _ in 0..10 {
        world.pass(1).await;
        world.toll.progressed(generation).unwrap();
    }
    world.does(world.people.payer, session, &Session::closeCall {}).await;
    let stopped = world.on_chain(session).await.unwrap();
    // Tokens still come for as long as payments do not look.
    let fault = world.until_barred(generation).await;
    assert_eq!(fault.code, FaultCode::PaymentRefused, "{fault}");
    let bill = world.settles(admission.session, BillPhase::Settled).await;
    assert!(bill.paid_out >= bill.rate.times(10).unwrap(), "{bill:?}");
    assert!(bill.served_ms <= 10_000 + 40_000, "{bill:?}");
    let sessions = world.assert_adds_up().await;
    let on = sessions[&session];
    assert_eq!(on.streamed, stopped.streamed, "it was stopped at once");
}
