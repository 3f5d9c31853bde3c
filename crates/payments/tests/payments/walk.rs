//! Sessions under everything that can go wrong at once: a crash at any effect, answers that are late, lost or come twice,
//! endpoints that are away, blocks that are undone, payers who cancel, strangers who close. Afterwards everything has
//! been settled, and every unit is where it belongs.

use std::collections::{BTreeMap, VecDeque};

use computepool_core::ports::{Delivery, SessionPhase};
use computepool_core::{Account, Fault, FaultCode, ModelId, TxHash};
use computepool_payments::ledger::{Books, EndReason, Fact, Granted, postings};
use computepool_payments::settlement::{Effect, Event, EventKind, Look, Policy, State, apply};
use computepool_payments::testkit::{MemoryLedger, World, granted};
use proptest::prelude::*;

const START_MS: u64 = 1_800_000_000_000;
const PAYERS: u8 = 3;
const WEALTH: u128 = 100_000_000;

#[derive(Clone, Debug)]
enum Step {
    Authorize {
        payer: u8,
    },
    /// The same voucher once more.
    Replay(usize),
    Serve {
        session: usize,
        ms: u64,
        on: bool,
    },
    End(usize),
    /// The chain does the oldest thing asked of it, and says so or not.
    Chain {
        how: How,
    },
    /// The same, for everything asked.
    Everything,
    Wait(u64),
    /// The process dies, perhaps before the last writes.
    Crash,
    Reorganise(usize),
    Cancel(usize),
    Stop(usize),
    /// A stale answer comes once more.
    Echo(usize),
}

#[derive(Clone, Copy, Debug)]
enum How {
    Well,
    Lost,
    /// Done, and nobody hears of it.
    Mute,
    /// Not done, and nobody knows.
    Dropped,
    Stale,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![6 => Just(How::Well), 1 => Just(How::Lost), 1 => Just(How::Mute), 1 => Just(How::Dropped),
        1 => Just(How::Stale)];
    let which = || 0_usize..12;
    prop_oneof![
        4 => (0..PAYERS).prop_map(|payer| Step::Authorize { payer }),
        1 => which().prop_map(Step::Replay),
        8 => (which(), 0_u64..9_000, any::<bool>()).prop_map(|(session, ms, on)| Step::Serve { session, ms, on }),
        2 => which().prop_map(Step::End),
        10 => how.prop_map(|how| Step::Chain { how }),
        8 => Just(Step::Everything),
        6 => (0_u64..40_000).prop_map(Step::Wait),
        2 => Just(Step::Crash),
        2 => (1_usize..3).prop_map(Step::Reorganise),
        1 => which().prop_map(Step::Cancel),
        1 => which().prop_map(Step::Stop),
        2 => which().prop_map(Step::Echo),
    ]
}

struct Run {
    state: State,
    world: World,
    ledger: MemoryLedger,
    /// Asked of the chain and not done yet.
    asked: VecDeque<Effect>,
    /// Answers that were given.
    told: Vec<EventKind>,
    now_ms: u64,
    granted: Vec<Granted>,
    served: BTreeMap<Account, u64>,
    flowing: BTreeMap<Account, bool>,
    cancelled: Vec<Account>,
    /// The chain has done something that a session must not have been served against.
    undone: bool,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new(START_MS / 1000);
        for payer in 0..PAYERS {
            world.fund(Account::new([payer + 1; 20]), WEALTH);
        }
        world.mine(1);
        Self {
            state: State::new(Policy::default()),
            world,
            ledger: MemoryLedger::default(),
            asked: VecDeque::new(),
            told: Vec::new(),
            now_ms: START_MS,
            granted: Vec::new(),
            served: BTreeMap::new(),
            flowing: BTreeMap::new(),
            cancelled: Vec::new(),
            undone: false,
        }
    }

    fn apply(&mut self, kind: EventKind) {
        let effects = apply(&mut self.state, Event { at_ms: self.now_ms, kind });
        let mut written = false;
        for effect in effects {
            match effect {
                Effect::Write(entries) => {
                    self.ledger.write(entries).unwrap();
                    written = true;
                }
                Effect::Submit { .. } => {
                    assert!(written, "a step was submitted that is not written down");
                    self.asked.push_back(effect);
                }
                Effect::Look { .. } => self.asked.push_back(effect),
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Authorize { payer } => {
                let number = u8::try_from(self.granted.len() + 1).unwrap();
                let granted = granted(ModelId::new("m").unwrap(), number, payer + 1, self.now_ms);
                if self.state.check(&granted).is_ok() {
                    self.granted.push(granted.clone());
                    self.apply(EventKind::Authorize(Box::new(granted)));
                }
            }
            Step::Replay(which) => {
                let Some(granted) = self.pick(which) else { return };
                if self.state.session(&granted.account).is_some() {
                    assert!(self.state.check(&granted).is_err(), "a voucher was taken twice");
                    let before = self.ledger.all().len();
                    self.apply(EventKind::Authorize(Box::new(granted)));
                    assert_eq!(self.ledger.all().len(), before);
                }
            }
            Step::Serve { session, ms, on } => {
                let Some(granted) = self.pick(session) else { return };
                let barred = self.state.session(&granted.account).is_none_or(|session| session.bar().is_some());
                let account = granted.account;
                let was = self.flowing.get(&account).copied().unwrap_or(false);
                if was {
                    self.pass(ms);
                    *self.served.entry(account).or_default() += ms;
                }
                let on = on && !barred;
                self.flowing.insert(account, on);
                let served_ms = self.served.get(&account).copied().unwrap_or(0);
                self.apply(EventKind::Metered { account, served_ms, flowing: on });
            }
            Step::End(which) => {
                if let Some(granted) = self.pick(which) {
                    self.apply(EventKind::End { account: granted.account, why: EndReason::Asked });
                }
            }
            Step::Chain { how } => {
                if let Some(effect) = self.asked.pop_front() {
                    self.carry_out(effect, how);
                }
            }
            Step::Everything => {
                for _ in 0..self.asked.len() {
                    if let Some(effect) = self.asked.pop_front() {
                        self.carry_out(effect, How::Well);
                    }
                }
            }
            Step::Wait(ms) => self.pass(ms),
            Step::Crash => self.crash(),
            Step::Reorganise(blocks) => {
                self.undone = true;
                self.world.reorganise(blocks);
            }
            Step::Cancel(which) => {
                if let Some(granted) = self.pick(which)
                    && !self.world.voucher(&granted.terms, &granted.voucher).used
                {
                    self.cancelled.push(granted.account);
                    self.world.cancel(granted.voucher.authorization.from, granted.voucher.authorization.nonce);
                }
            }
            Step::Stop(which) => {
                if let Some(granted) = self.pick(which) {
                    self.world.stop(&granted.account);
                }
            }
            Step::Echo(which) => {
                if !self.told.is_empty() {
                    let echo = self.told[which % self.told.len()].clone();
                    if matches!(echo, EventKind::Answered { .. }) {
                        self.apply(echo);
                    }
                }
            }
        }
    }

    fn pick(&self, which: usize) -> Option<Granted> {
        (!self.granted.is_empty()).then(|| self.granted[which % self.granted.len()].clone())
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        let now_s = self.now_ms / 1000;
        let behind = now_s.saturating_sub(self.world.head().time_s);
        if behind > 0 {
            self.world.mine(behind);
        }
        self.apply(EventKind::Tick);
    }

    fn carry_out(&mut self, effect: Effect, how: How) {
        let away = || Fault::new(FaultCode::ChainUnavailable, "the chain is away");
        let answer = match effect {
            Effect::Submit { account, step, id, intent } => {
                let unknown = Delivery::Unknown { transaction: None, fault: away() };
                let delivery = match how {
                    How::Lost => Delivery::NotSent(away()),
                    How::Dropped => unknown,
                    How::Well | How::Mute | How::Stale => match self.world.execute(&intent) {
                        _ if matches!(how, How::Mute) => unknown,
                        Ok(block) => Delivery::Landed { transaction: TxHash(id.0), block },
                        Err(refused) => Delivery::Refused(refused),
                    },
                };
                EventKind::Answered { account, step, delivery: Box::new(delivery) }
            }
            Effect::Look { account, voucher } => {
                let granted = self.state.session(&account).map(|session| session.granted().clone());
                let Some(granted) = granted else { return };
                let mut view = self.world.view(&account);
                if matches!(how, How::Stale) {
                    // An endpoint that is behind: it knows only what is final.
                    (view.head, view.newest) = (view.firm, view.settled);
                }
                let voucher = voucher.then(|| self.world.voucher(&granted.terms, &granted.voucher));
                let look = match how {
                    How::Well | How::Stale => Ok(Box::new(Look { view, voucher })),
                    How::Lost | How::Mute | How::Dropped => Err(away()),
                };
                EventKind::Seen { account, look }
            }
            _ => return,
        };
        self.told.push(answer.clone());
        self.apply(answer);
    }

    /// Everything that is not written down is lost, and whatever was on its way to the chain may arrive or not.
    fn crash(&mut self) {
        for (index, effect) in std::mem::take(&mut self.asked).into_iter().enumerate() {
            if let Effect::Submit { intent, .. } = effect
                && index % 2 == 0
            {
                let _ = self.world.execute(&intent);
            }
        }
        self.told.clear();
        self.state = State::restore(Policy::default(), self.now_ms, &self.ledger.open()).unwrap();
        self.flowing.clear();
        for session in self.state.sessions() {
            self.served.insert(session.granted().account, session.served_ms());
        }
        self.apply(EventKind::Tick);
    }

    /// Peace at last: everybody is done, the chain is well, and time passes.
    fn finish(&mut self) {
        let flowing: Vec<Account> = self.flowing.iter().filter(|(_, on)| **on).map(|(account, _)| *account).collect();
        for account in flowing {
            let served_ms = self.served.get(&account).copied().unwrap_or(0);
            self.apply(EventKind::Metered { account, served_ms, flowing: false });
        }
        for _ in 0..400 {
            self.step(Step::Everything);
            self.pass(5_000);
        }
    }
}

/// `COMPUTEPOOL_FUZZ_CASES` asks for more.
pub(crate) fn cases() -> u32 {
    std::env::var("COMPUTEPOOL_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_money_adds_up(steps in prop::collection::vec(step(), 1..90)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.finish();

        let open: Vec<_> = run.state.sessions().filter(|session| !session.concluded()).map(|s| s.bill()).collect();
        prop_assert!(open.is_empty(), "stuck: {open:?}");
        prop_assert!(run.ledger.open().is_empty());

        // On the chain: nothing streams, and what everybody has is what everybody had.
        let mut paid_out = alloy_primitives::U256::ZERO;
        for (account, on) in run.world.sessions() {
            prop_assert_eq!(on.phase, SessionPhase::Closed, "{} was left open", account);
            paid_out += on.streamed.units + on.topped_up.units + on.dust.units;
        }
        let unit = alloy_primitives::U256::from(1_000_000_000_000_u64);
        let has: u128 = (0..PAYERS).map(|payer| run.world.balance(&Account::new([payer + 1; 20]))).sum();
        let had = alloy_primitives::U256::from(WEALTH * u128::from(PAYERS)) * unit;
        prop_assert_eq!(alloy_primitives::U256::from(has) * unit + paid_out, had);

        // In the books: the same, from the ledger alone.
        let entries = run.ledger.all();
        let (mut books, mut granted) = (Books::default(), BTreeMap::new());
        for entry in &entries {
            let (account, fact) = Fact::read(entry).unwrap();
            if let Fact::Authorized(first) = &fact {
                prop_assert!(granted.insert(account, (**first).clone()).is_none(), "authorized twice");
            }
            for posting in postings(&granted[&account], &fact).unwrap() {
                books.post(&posting).unwrap();
            }
            if let Fact::Settled(settlement) = &fact {
                let on = run.world.sessions().find(|(other, _)| **other == account).map(|(_, on)| *on).unwrap();
                prop_assert_eq!(settlement.refund, on.refund);
                prop_assert_eq!(settlement.streamed, on.streamed);
                // Every second that was served before anybody else stopped it is paid.
                if !run.undone {
                    let due = on.rate.units * alloy_primitives::U256::from(on.served_ms.div_ceil(1000));
                    prop_assert!(on.streamed.units + on.topped_up.units >= due.min(on.amount.units * unit));
                }
            }
        }
        prop_assert!(books.held().unwrap().is_zero());
        prop_assert!(run.world.openings() as usize <= run.granted.len());
    }
}
