use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

const START: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;

struct Ledger {
    _folder: tempfile::TempDir,
    path: PathBuf,
    spends: Spends,
    limits: Limits,
}

/// At most 10 at once, 20 an hour, 30 a day.
fn ledger() -> Ledger {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main.spends.jsonl");
    let spends = Spends::create(&path).unwrap();
    let limit = Limit {
        purpose: Purpose::Voucher,
        chain: ChainId::DEVNET,
        per_signature: Amount::usdc(10),
        per_hour: Amount::usdc(20),
        per_day: Amount::usdc(30),
    };
    let limits = Limits { spending: vec![limit], ..Limits::default() };
    Ledger { _folder: folder, path, spends, limits }
}

fn spend(units: u64, number: u8) -> Spend {
    Spend {
        at_ms: 0,
        purpose: Purpose::Voucher,
        account: Account::new([1; 20]),
        chain: Some(ChainId::DEVNET),
        to: Some(Account::new([2; 20])),
        amounts: vec![Amount::usdc(units)],
        digest: B256::repeat_byte(number),
    }
}

impl Ledger {
    fn admit(&self, after: u64, units: u64, number: u8) -> Result<(), SpendError> {
        self.spends.admit(START + after, &self.limits, spend(units, number))
    }

    fn refused(&self, after: u64, units: u64, number: u8) -> (Window, u64, Option<u64>) {
        match self.admit(after, units, number).unwrap_err() {
            SpendError::TooMuch { window, left, wait_ms, .. } => (window, left.units.to::<u64>(), wait_ms),
            other => panic!("{other}"),
        }
    }

    fn restart(&mut self) {
        self.spends = Spends::at(&self.path);
    }
}

#[test]
fn each_window_holds_and_says_when_there_is_more() {
    let ledger = ledger();
    assert_eq!(ledger.refused(0, 11, 1), (Window::Signature, 10, None));
    ledger.admit(0, 10, 1).unwrap();
    ledger.admit(MINUTE, 10, 2).unwrap();
    assert_eq!(ledger.refused(2 * MINUTE, 1, 3), (Window::Hour, 0, Some(58 * MINUTE)));
    ledger.admit(HOUR, 10, 3).unwrap();
    assert_eq!(ledger.refused(3 * HOUR, 1, 4), (Window::Day, 0, Some(21 * HOUR)));
    ledger.admit(DAY, 10, 4).unwrap();
    assert_eq!(ledger.refused(DAY + 1, 1, 5).0, Window::Day);
}

#[test]
fn what_no_limit_names_is_not_spent() {
    let ledger = ledger();
    let refused = |change: fn(&mut Spend)| {
        let mut spend = spend(1, 1);
        change(&mut spend);
        matches!(ledger.spends.admit(START, &ledger.limits, spend), Err(SpendError::NoLimit { .. }))
    };
    assert!(refused(|spend| spend.purpose = Purpose::Transfer));
    assert!(refused(|spend| spend.chain = Some(ChainId::GALILEO)));
    assert!(refused(|spend| spend.chain = None));
    assert!(refused(|spend| spend.amounts.push(Amount::new(U256::from(1), Asset::Native))));
    assert!(!refused(|spend| spend.amounts.push(Amount::zero(Asset::Native))));
}

#[test]
fn a_restart_forgets_nothing_and_the_same_signature_counts_once() {
    let mut ledger = ledger();
    ledger.admit(0, 10, 1).unwrap();
    ledger.restart();
    ledger.admit(1, 10, 1).unwrap();
    ledger.admit(2, 10, 2).unwrap();
    ledger.restart();
    assert_eq!(ledger.refused(3, 1, 3).0, Window::Hour);
    ledger.admit(4, 10, 2).unwrap();
    assert_eq!(ledger.spends.spent(START, &ledger.limits).unwrap().signatures.len(), 2);
}

#[test]
fn a_log_that_is_gone_or_damaged_lets_nothing_pass() {
    let mut ledger = ledger();
    ledger.admit(0, 10, 1).unwrap();
    let text = std::fs::read_to_string(&ledger.path).unwrap();
    std::fs::write(&ledger.path, text.replace("\"10\"", "\"ten\"")).unwrap();
    ledger.restart();
    assert!(matches!(ledger.admit(1, 1, 2), Err(SpendError::Log(LogError::Damaged { .. }))));
    std::fs::remove_file(&ledger.path).unwrap();
    assert!(matches!(ledger.admit(1, 1, 2), Err(SpendError::Log(LogError::Gone(_)))));
}

#[test]
fn setting_the_clock_back_frees_nothing() {
    let mut ledger = ledger();
    ledger.admit(10 * DAY, 10, 1).unwrap();
    ledger.admit(10 * DAY, 10, 2).unwrap();
    for back in [9 * DAY, 0] {
        assert_eq!(ledger.refused(back, 1, 3).0, Window::Hour);
    }
    // What is spent while the clock is behind is spent at the log's time, and counts there.
    ledger.limits.spending[0].per_hour = Amount::usdc(30);
    ledger.admit(0, 10, 3).unwrap();
    ledger.restart();
    assert_eq!(ledger.refused(10 * DAY + 2 * HOUR, 1, 4).0, Window::Day);
}

#[test]
fn a_moment_in_the_future_in_which_nothing_was_signed_lets_nothing_go() {
    let mut ledger = ledger();
    ledger.limits.spending[0].per_hour = Amount::usdc(30);
    for number in 0..3 {
        ledger.admit(0, 10, number).unwrap();
    }
    assert_eq!(ledger.refused(2 * DAY, 11, 3).0, Window::Signature);
    assert_eq!(ledger.refused(0, 1, 3).0, Window::Hour);
    assert_eq!(ledger.spends.spent(START, &ledger.limits).unwrap().usage[0].day, Amount::usdc(30));
}

#[test]
fn a_clock_that_was_ahead_is_put_right_by_the_owner_alone() {
    let mut ledger = ledger();
    ledger.admit(5000 * DAY, 10, 1).unwrap();
    ledger.admit(5000 * DAY, 10, 2).unwrap();
    assert_eq!(ledger.spends.spent(START, &ledger.limits).unwrap().clock_behind_ms, 5000 * DAY);
    ledger.spends.accept_clock(START).unwrap();
    assert_eq!(ledger.refused(1, 1, 3).0, Window::Hour);
    ledger.restart();
    assert_eq!(ledger.refused(1, 1, 3).0, Window::Hour);
    ledger.admit(DAY, 10, 3).unwrap();
    ledger.admit(DAY, 10, 4).unwrap();
    // Saying so twice, or where nothing is ahead, changes nothing.
    ledger.spends.accept_clock(START + 2 * DAY).unwrap();
    assert_eq!(ledger.refused(DAY, 1, 5).0, Window::Hour);
}

#[test]
fn at_once_from_many_threads_and_two_processes_no_more_is_spent_than_may_be() {
    let ledger = ledger();
    let other = Spends::at(&ledger.path);
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u8)
            .map(|n| {
                let (spends, limits) = (if n % 2 == 0 { &ledger.spends } else { &other }, &ledger.limits);
                scope.spawn(move || spends.admit(START, limits, spend(5, n)).is_ok())
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(admitted, 4, "20 an hour are four times 5");
}

#[test]
fn signatures_that_spend_nothing_are_counted_too() {
    let mut ledger = ledger();
    ledger.limits.signatures_per_hour = 2;
    ledger.admit(0, 0, 1).unwrap();
    ledger.admit(0, 0, 2).unwrap();
    assert!(matches!(ledger.admit(1, 0, 3), Err(SpendError::TooMany { limit: 2, .. })));
    ledger.admit(HOUR, 0, 3).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is asked for, whenever, and whatever the clock does: no hour of the log's time has more than its limit.
    #[test]
    fn no_order_of_asking_gets_more(asks in prop::collection::vec((0u64..3 * DAY, 0u64..12, any::<bool>()), 1..40)) {
        let mut ledger = ledger();
        for (number, (at, units, restart)) in (0u8..).zip(asks) {
            if restart {
                ledger.restart();
            }
            let _ = ledger.admit(at, units, number);
        }
        let text = std::fs::read_to_string(&ledger.path).unwrap();
        let spends: Vec<Spend> = text.lines().skip(1).map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            serde_json::from_value(line["spend"].clone()).unwrap()
        }).collect();
        for (index, last) in spends.iter().enumerate() {
            for (length, most) in [(HOUR, 20), (DAY, 30)] {
                let window = spends[..=index].iter().filter(|spend| within(spend, last.at_ms, length));
                let sum: u64 = window.map(|spend| spend.amounts[0].units.to::<u64>()).sum();
                prop_assert!(sum <= most, "{sum} in {length} ms");
            }
        }
    }
}
