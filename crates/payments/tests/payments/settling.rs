//! Single turns of settling.

use computepool_core::ports::{BillPhase, Delivery, Intent, SessionView};
use computepool_core::{Account, Amount, Fault, FaultCode, ModelId, TxHash};
use computepool_payments::ledger::{EndReason, Granted};
use computepool_payments::settlement::{AuthorizeError, Effect, Event, EventKind, Look, News, Policy, State, apply};
use computepool_payments::testkit::{MemoryLedger, World, granted};

const START_MS: u64 = 1_800_000_000_000;

fn voucher(number: u8) -> Granted {
    granted(ModelId::new("m").unwrap(), number, 1, START_MS)
}

fn world() -> World {
    let mut world = World::new(START_MS / 1000);
    world.fund(Account::new([1; 20]), 10_000_000);
    world.mine(1);
    world
}

fn at(ms: u64, kind: EventKind) -> Event {
    Event { at_ms: START_MS + ms, kind }
}

fn submitted(effects: &[Effect]) -> Option<&Intent> {
    effects.iter().find_map(|effect| match effect {
        Effect::Submit { intent, .. } => Some(&**intent),
        _ => None,
    })
}

fn seen(world: &World, granted: &Granted) -> EventKind {
    let look =
        Look { view: world.view(&granted.account), voucher: Some(world.voucher(&granted.terms, &granted.voucher)) };
    EventKind::Seen { account: granted.account, look: Ok(Box::new(look)) }
}

fn landed(world: &World, granted: &Granted, step: u32) -> EventKind {
    let (block, transaction) = (world.head(), TxHash::default_for(step));
    EventKind::Answered { account: granted.account, step, delivery: Box::new(Delivery::Landed { transaction, block }) }
}

trait ForTests {
    fn default_for(step: u32) -> TxHash;
}

impl ForTests for TxHash {
    fn default_for(step: u32) -> TxHash {
        TxHash(alloy_primitives::B256::from(alloy_primitives::U256::from(step)))
    }
}

#[test]
fn a_session_from_voucher_to_refund() {
    let (mut state, mut world, granted) = (State::new(Policy::default()), world(), voucher(1));
    let account = granted.account;
    let effects = apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))));
    assert!(matches!(effects[0], Effect::Write(_)), "written before submitted: {effects:?}");
    let open = submitted(&effects).unwrap().clone();
    assert!(matches!(open, Intent::Open { start: false, .. }));
    apply(&mut state, at(10, EventKind::Metered { account, served_ms: 0, flowing: true }));
    world.execute(&open).unwrap();
    let effects = apply(&mut state, at(1_000, landed(&world, &granted, 1)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Look { .. })), "{effects:?}");
    let effects = apply(&mut state, at(1_010, seen(&world, &granted)));
    assert!(effects.contains(&Effect::Tell(account, News::Opened)));
    assert_eq!(submitted(&effects), Some(&Intent::Start { session: account }));
    world.execute(&Intent::Start { session: account }).unwrap();
    apply(&mut state, at(2_000, landed(&world, &granted, 2)));
    apply(&mut state, at(2_010, seen(&world, &granted)));
    assert_eq!(state.session(&account).unwrap().phase(), BillPhase::Streaming);

    world.mine(10);
    let effects = apply(&mut state, at(12_000, EventKind::Metered { account, served_ms: 12_000, flowing: false }));
    let pause = Intent::Pause { session: account, served_ms: 12_000 };
    assert_eq!(submitted(&effects), Some(&pause));
    world.execute(&pause).unwrap();
    apply(&mut state, at(13_000, landed(&world, &granted, 3)));
    apply(&mut state, at(13_010, seen(&world, &granted)));
    let effects = apply(&mut state, at(14_000, EventKind::End { account, why: EndReason::Asked }));
    let close = Intent::Close { session: account, served_ms: 12_000 };
    assert_eq!(submitted(&effects), Some(&close));
    world.execute(&close).unwrap();
    apply(&mut state, at(15_000, landed(&world, &granted, 4)));
    apply(&mut state, at(15_010, seen(&world, &granted)));
    assert_eq!(state.session(&account).unwrap().phase(), BillPhase::Closing, "not at final depth yet");
    for _ in 0..3 {
        world.mine(1);
    }
    let effects = apply(&mut state, at(18_000, seen(&world, &granted)));
    assert!(effects.contains(&Effect::Tell(account, News::Concluded)));
    let bill = state.session(&account).unwrap().bill();
    assert_eq!(
        (bill.phase, bill.paid_out, bill.refund),
        (BillPhase::Settled, Amount::usdcx(120_000_000_000_000_000), Amount::usdc(1_880_000))
    );
}

#[test]
fn a_voucher_is_taken_once() {
    let mut state = State::new(Policy::default());
    let granted = voucher(1);
    apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))));
    assert_eq!(state.check(&granted), Err(AuthorizeError::QuoteUsed));
    let mut elsewhere = voucher(2);
    elsewhere.voucher.authorization.nonce = granted.voucher.authorization.nonce;
    assert_eq!(state.check(&elsewhere), Err(AuthorizeError::VoucherUsed));
    assert!(apply(&mut state, at(1, EventKind::Authorize(Box::new(elsewhere)))).is_empty());
}

#[test]
fn an_unknown_outcome_is_left_by_asking_the_chain_alone() {
    let (mut state, mut world, granted) = (State::new(Policy::default()), world(), voucher(1));
    let account = granted.account;
    let open = submitted(&apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))))).unwrap().clone();
    let fault = Fault::new(FaultCode::ChainUnavailable, "lost");
    let delivery = Box::new(Delivery::Unknown { transaction: None, fault });
    let effects = apply(&mut state, at(10, EventKind::Answered { account, step: 1, delivery }));
    assert_eq!((submitted(&effects), state.session(&account).unwrap().phase()), (None, BillPhase::Unknown));
    for ms in [5_000, 9_000, 15_000] {
        assert_eq!(submitted(&apply(&mut state, at(ms, EventKind::Tick))), None, "nothing is tried blindly");
    }
    world.execute(&open).unwrap();
    apply(&mut state, at(16_000, seen(&world, &granted)));
    assert_eq!(state.session(&account).unwrap().phase(), BillPhase::Streaming);
}

#[test]
fn a_cancelled_voucher_is_rejected_at_final_depth_and_served_no_more_at_once() {
    let (mut state, mut world, granted) = (State::new(Policy::default()), world(), voucher(1));
    let account = granted.account;
    apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))));
    world.cancel(granted.voucher.authorization.from, granted.voucher.authorization.nonce);
    let refused = world.voucher(&granted.terms, &granted.voucher).refused.unwrap();
    apply(&mut state, at(10, EventKind::Answered { account, step: 1, delivery: Box::new(Delivery::Refused(refused)) }));
    let effects = apply(&mut state, at(2_000, seen(&world, &granted)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Tell(_, News::Halted(_)))), "{effects:?}");
    assert!(state.session(&account).unwrap().bar().is_some());
    assert_ne!(state.session(&account).unwrap().phase(), BillPhase::Rejected);
    for _ in 0..4 {
        world.mine(1);
    }
    apply(&mut state, at(6_000, seen(&world, &granted)));
    assert_eq!(state.session(&account).unwrap().phase(), BillPhase::Rejected);
}

#[test]
fn an_opening_that_is_undone_is_done_again_with_the_same_voucher() {
    let (mut state, mut world, granted) = (State::new(Policy::default()), world(), voucher(1));
    let open = submitted(&apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))))).unwrap().clone();
    world.execute(&open).unwrap();
    apply(&mut state, at(1_000, landed(&world, &granted, 1)));
    apply(&mut state, at(1_010, seen(&world, &granted)));
    world.reorganise(1);
    world.mine(1);
    let effects = apply(&mut state, at(30_000, seen(&world, &granted)));
    assert_eq!(submitted(&effects), Some(&open));
}

#[test]
fn figures_that_do_not_add_up_and_views_that_go_back_are_not_believed() {
    let (mut state, mut world, granted) = (State::new(Policy::default()), world(), voucher(1));
    let account = granted.account;
    let open = submitted(&apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))))).unwrap().clone();
    let before = world.view(&account);
    world.execute(&open).unwrap();
    apply(&mut state, at(1_000, landed(&world, &granted, 1)));
    let voucher = Some(world.voucher(&granted.terms, &granted.voucher));
    let stale = EventKind::Seen { account, look: Ok(Box::new(Look { view: before, voucher })) };
    assert_eq!(submitted(&apply(&mut state, at(1_010, stale))), None, "the view is older than what is known");
    apply(&mut state, at(9_000, seen(&world, &granted)));
    world.execute(&Intent::Close { session: account, served_ms: 0 }).unwrap();
    for _ in 0..3 {
        world.mine(1);
    }
    let honest = world.view(&account);
    let lie = |view: &SessionView| {
        let mut view = view.clone();
        for on in [&mut view.newest, &mut view.settled].into_iter().flatten() {
            on.refund = Amount::usdc(1);
        }
        view
    };
    apply(
        &mut state,
        at(20_000, EventKind::Seen { account, look: Ok(Box::new(Look { view: lie(&honest), voucher: None })) }),
    );
    assert!(!state.session(&account).unwrap().concluded());
    apply(
        &mut state,
        at(40_000, EventKind::Seen { account, look: Ok(Box::new(Look { view: honest, voucher: None })) }),
    );
    assert_eq!(state.session(&account).unwrap().bill().refund, granted.terms.amount);
}

#[test]
fn trust_has_limits_for_each_payer_and_for_all() {
    let policy = Policy { exposed_by_payer: Amount::usdcx(300_000_000_000_000_000), ..Policy::default() };
    let mut state = State::new(policy);
    // 20 s at 0.01 a second are 0.2.
    for (number, trusted) in [(1, true), (2, false)] {
        let granted = voucher(number);
        apply(&mut state, at(0, EventKind::Authorize(Box::new(granted.clone()))));
        assert_eq!(state.may_trust(&granted.account), trusted, "{number}");
    }
    let ledger = MemoryLedger::default();
    assert!(ledger.open().is_empty());
}
