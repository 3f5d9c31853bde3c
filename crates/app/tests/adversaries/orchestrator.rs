//! An orchestrator that steals, or stalls.

use alloy_primitives::U256;
use computepool_core::ports::{BillPhase, Chain, Delivery, Intent, SessionOnChain, SessionPhase, SessionTerms, Toll};
use computepool_core::{Account, GenerationId};
use computepool_payments::x402::PaymentPayload;

use crate::contracts::{Coalition, Session};
use crate::front_run::{cancellation, execution, usdc};
use crate::world::{World, account, read, reason, step};

/// The meter's key does something behind the back of its own payments.
async fn does(world: &World, intent: Intent) {
    let delivery = world.meter.submit(step(), intent).await;
    assert!(matches!(delivery, Delivery::Landed { .. }), "{delivery:?}");
}

/// The same where the contract must refuse it; returns the error's name.
async fn may_not(world: &World, intent: Intent) -> String {
    match world.meter.submit(step(), intent).await {
        Delivery::Refused(refused) => refused.name,
        other => panic!("{other:?}"),
    }
}

/// The most that a session can come to pay by now: the time since its opening and half a minute before it.
async fn most(world: &World, on: &SessionOnChain) -> U256 {
    let seconds = world.rpc.time().await.unwrap() - on.opened_s + 30;
    on.rate.units * U256::from(seconds)
}

#[tokio::test]
async fn no_more_time_is_paid_than_has_passed() {
    let world = World::new().await;
    let (session, admission) = world.opened().await;
    world.streams(session, admission.session, 3).await;
    world.pass(20).await;
    does(&world, Intent::Pause { session, served_ms: u64::MAX }).await;
    let on = world.on_chain(session).await.unwrap();
    assert!(on.streamed.units + on.topped_up.units <= most(&world, &on).await, "{on:?}");
    // Once more changes nothing but by the time that has passed since.
    does(&world, Intent::Pause { session, served_ms: u64::MAX }).await;
    does(&world, Intent::Close { session, served_ms: u64::MAX }).await;
    let on = world.on_chain(session).await.unwrap();
    assert!(on.streamed.units + on.topped_up.units <= most(&world, &on).await, "{on:?}");
    assert!(!on.refund.is_zero(), "{on:?}");
    world.settles(admission.session, BillPhase::Settled).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn no_more_money_is_paid_than_was_paid_in() {
    let mut world = World::new().await;
    let (session, admission) = world.opened().await;
    world.streams(session, admission.session, 3).await;
    // Its own payments would close what idles.
    world.abandon().await;
    world.pass(600).await;
    let gone = Intent::Close { session, served_ms: u64::MAX };
    does(&world, gone.clone()).await;
    assert_eq!(may_not(&world, gone).await, "WrongState", "it is closed once");
    let on = world.on_chain(session).await.unwrap();
    assert!(on.streamed.units + on.topped_up.units <= U256::from(2_000_000_000_000_000_000_u64), "{on:?}");
    world.restart().await;
    world.settles(admission.session, BillPhase::Settled).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn the_meter_holds_no_place_and_gives_none_to_friends() {
    let world = World::new().await;
    let (people, coalition) = (world.people.clone(), world.coalition);
    let (_, admission) = world.opened().await;
    for operator in [people.meter, people.other, people.first] {
        assert_eq!(may_not(&world, Intent::Reassign { coalition, place: 1, operator }).await, "NotAllowed");
    }
    let contract = world.devnet.book.coalition;
    let why = world.may_not(people.meter, contract, &Coalition::signCall { id: coalition.0, place: 1 }).await;
    assert_eq!(why, "NotAllowed");
    world.serves(admission.session, 1, 3).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

/// A voucher of somebody's for terms that were quoted to another.
fn slipped_in(world: &World, who: Account, terms: &SessionTerms, like: &PaymentPayload) -> Intent {
    let mut accepted = like.accepted.clone();
    accepted.pay_to = world.meter.session_account(terms).to_string();
    let (_, voucher) = read(&world.voucher(who, accepted));
    Intent::Open { terms: *terms, voucher, start: false }
}

#[tokio::test]
async fn who_is_named_in_a_quote_gets_the_rest_whoever_paid() {
    let world = World::new().await;
    let payload = world.paid().await;
    let (terms, _) = read(&payload);
    let terms = SessionTerms { payer: world.people.payer, ..terms };
    let session = world.meter.session_account(&terms);
    let before = world.usdc(world.people.payer).await;
    does(&world, slipped_in(&world, world.people.other, &terms, &payload)).await;
    assert_eq!(world.on_chain(session).await.unwrap().payer, world.people.payer);
    does(&world, Intent::Close { session, served_ms: 0 }).await;
    assert_eq!(world.usdc(world.people.payer).await, before + U256::from(2_000_000));
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn nobody_is_made_the_payer_of_what_another_signed() {
    let world = World::new().await;
    let payload = world.paid().await;
    let (terms, voucher) = read(&payload);
    for from in [world.people.other, world.people.meter] {
        let mut stolen = voucher.clone();
        stolen.authorization.from = from;
        let refused = may_not(&world, Intent::Open { terms, voucher: stolen, start: false }).await;
        assert_eq!(refused, "ERC3009InvalidSignature");
    }
    let admission = world.admit(&payload).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn a_quote_that_was_opened_for_another_is_not_served_and_its_payer_keeps_the_money() {
    let world = World::new().await;
    let payload = world.paid().await;
    let before = world.usdc(world.people.payer).await;
    let (terms, _) = read(&payload);
    does(&world, slipped_in(&world, world.people.other, &terms, &payload)).await;
    let admission = world.admit(&payload).await.unwrap();
    world.settles(admission.session, BillPhase::Rejected).await;
    assert!(world.toll.began(admission.session, GenerationId([1; 16])).is_err());
    assert_eq!(world.usdc(world.people.payer).await, before);
    does(&world, Intent::Close { session: account(&payload), served_ms: 0 }).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

/// A dishonest meter and its accomplice: the accomplice signs for the account that the payer was quoted and takes it back,
/// so that it reads as executed; the payer's voucher is executed by anybody, and the session opened as the accomplice's.
async fn with_an_accomplice(world: &World, payload: &PaymentPayload) -> Account {
    let (terms, voucher) = read(payload);
    let (_, taken_back) = read(&world.voucher(world.people.other, payload.accepted.clone()));
    let people = &world.people;
    world.does(people.stranger, usdc(world), &cancellation(world, &taken_back).await).await;
    world.does(people.stranger, usdc(world), &execution(&voucher)).await;
    does(world, Intent::Open { terms, voucher: taken_back, start: false }).await;
    let session = account(payload);
    does(world, Intent::Close { session, served_ms: 0 }).await;
    world.on_chain(session).await.unwrap().payer
}

#[tokio::test]
async fn an_accomplice_gets_nothing_of_what_was_quoted_to_a_payer_by_name() {
    let world = World::new().await;
    let payer = world.people.payer;
    let before = world.usdc(payer).await;
    let accepted = world.quote_for(Some(payer)).await;
    let payload = world.voucher(payer, accepted);
    assert_eq!(with_an_accomplice(&world, &payload).await, payer);
    assert_eq!(world.usdc(payer).await, before);
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

/// What an x402 client without a name has to trust its server with: a single voucher.
#[tokio::test]
async fn a_quote_that_names_nobody_leaves_it_to_the_meter_whose_the_money_is() {
    let world = World::new().await;
    let payload = world.paid().await;
    assert_eq!(with_an_accomplice(&world, &payload).await, world.people.other);
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn nobody_else_pays_what_was_quoted_to_a_payer_by_name() {
    let world = World::new().await;
    let accepted = world.quote_for(Some(world.people.payer)).await;
    let theirs = world.voucher(world.people.other, accepted.clone());
    assert_eq!(reason(world.admit(&theirs).await), "invalid_payer");
    // Nor is the name taken off, or changed.
    for name in [None, Some(world.people.other.to_string())] {
        let mut renamed = accepted.clone();
        renamed.extra.computepool.payer = name;
        let payload = world.voucher(world.people.other, renamed);
        assert_eq!(reason(world.admit(&payload).await), "invalid_payment_requirements");
    }
    let admission = world.admit(&world.voucher(world.people.payer, accepted)).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

/// A session that streams, whose orchestrator is gone.
async fn abandoned(world: &World) -> Account {
    let (session, admission) = world.opened().await;
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    world.reaches(session, SessionPhase::Streaming).await;
    world.pass(5).await;
    world.toll.progressed(generation).unwrap();
    world.abandon().await;
    session
}

/// Somebody closes a session without the meter: it stops at once, and pays the rest back after the time to settle.
async fn closed_by(world: &World, who: Account, session: Account) {
    world.does(who, session, &Session::closeCall {}).await;
    let why = world.may_not(who, session, &Session::closeCall {}).await;
    assert_eq!(why, "StillSettling");
    world.pass(300).await;
    world.does(world.people.stranger, session, &Session::closeCall {}).await;
}

#[tokio::test]
async fn the_payer_closes_what_the_orchestrator_left_streaming() {
    let mut world = World::new().await;
    let session = abandoned(&world).await;
    let before = world.usdc(world.people.payer).await;
    world.pass(10).await;
    closed_by(&world, world.people.payer, session).await;
    let on = world.on_chain(session).await.unwrap();
    assert_eq!(world.usdc(world.people.payer).await, before + on.refund.units);
    assert!(on.streamed >= on.rate.times(15).unwrap() && on.lost.is_zero(), "{on:?}");
    // Should it come back, its books follow.
    world.restart().await;
    let bill = world.toll.bill(world.authorized(session).await).unwrap();
    let bill = world.settles(bill.session, BillPhase::Settled).await;
    assert_eq!(bill.refund, on.refund);
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn anybody_closes_what_both_have_left_once_its_money_is_used_up() {
    let mut world = World::new().await;
    let session = abandoned(&world).await;
    let why = world.may_not(world.people.stranger, session, &Session::closeCall {}).await;
    assert_eq!(why, "NotAllowed", "not before");
    world.pass(120).await;
    closed_by(&world, world.people.stranger, session).await;
    let on = world.on_chain(session).await.unwrap();
    assert!(on.lost.is_zero() && !on.refund.is_zero(), "the buffer came back: {on:?}");
    world.restart().await;
    let session = world.authorized(session).await;
    world.settles(session, BillPhase::Settled).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}
