//! The books and their table.

use std::collections::BTreeMap;

use computepool_core::ports::LedgerEntry;
use computepool_core::{Amount, ModelId};
use computepool_payments::ledger::{BookAccount, Books, BooksError, Fact, Settlement, csv_header, csv_lines, postings};
use computepool_payments::testkit::granted;

fn settlement() -> Settlement {
    Settlement {
        paid_in: Amount::usdc(2_000_000),
        streamed: Amount::usdcx(150_000_000_000_000_000),
        topped_up: Amount::usdcx(50_000_000_000_000_000),
        refund: Amount::usdc(1_799_999),
        dust: Amount::usdcx(1_000_000_000_000),
        lost: Amount::usdcx(0),
        found: Amount::usdcx(0),
        served_ms: 20_000,
    }
}

#[test]
fn paid_in_is_operators_and_fee_and_royalty_and_refund() {
    let granted = granted(ModelId::new("m").unwrap(), 1, 1, 0);
    let opened = Fact::Opened { amount: Amount::usdc(2_000_000), opened_s: 1 };
    let mut books = Books::default();
    for fact in [opened, Fact::Settled(Box::new(settlement()))] {
        for posting in postings(&granted, &fact).unwrap() {
            books.post(&posting).unwrap();
        }
    }
    assert!(books.held().unwrap().is_zero());
    let coalition = granted.terms.coalition;
    let of = |account| books.turnover(&account).0;
    assert_eq!(of(BookAccount::Operators(coalition)), Amount::usdcx(193_000_000_000_000_000));
    assert_eq!(of(BookAccount::Fee(coalition)), Amount::usdcx(2_000_000_000_000_000));
    assert_eq!(of(BookAccount::Royalty(coalition)), Amount::usdcx(5_000_000_000_000_000));
    assert_eq!(of(BookAccount::Payer(granted.voucher.authorization.from)), Amount::usdcx(1_800_000_000_000_000_000));
}

#[test]
fn a_wei_too_many_or_too_few_is_noticed() {
    let granted = granted(ModelId::new("m").unwrap(), 1, 1, 0);
    for change in [1_u128, 999] {
        let mut wrong = settlement();
        wrong.dust = wrong.dust.plus(Amount::usdcx(change)).unwrap();
        let error = postings(&granted, &Fact::Settled(Box::new(wrong))).unwrap_err();
        assert!(matches!(error, BooksError::Unbalanced { .. }), "{error}");
    }
}

#[test]
fn what_outlived_its_money_and_what_strangers_sent_is_booked_as_well() {
    let granted = granted(ModelId::new("m").unwrap(), 1, 1, 0);
    let mut odd = settlement();
    (odd.streamed, odd.topped_up) = (Amount::usdcx(2_100_000_000_000_000_000), Amount::usdcx(0));
    (odd.refund, odd.dust, odd.found) = (Amount::usdc(3), Amount::usdcx(0), Amount::usdcx(3_000_000_000_000));
    let mut books = Books::default();
    let opened = Fact::Opened { amount: Amount::usdc(2_000_000), opened_s: 1 };
    for fact in [opened, Fact::Settled(Box::new(odd))] {
        for posting in postings(&granted, &fact).unwrap() {
            books.post(&posting).unwrap();
        }
    }
    assert!(books.held().unwrap().is_zero());
    assert_eq!(books.turnover(&BookAccount::Protocol).1, Amount::usdcx(100_000_000_000_000_000));
    assert_eq!(books.turnover(&BookAccount::Strangers).1, Amount::usdcx(3_000_000_000_000));
}

#[test]
fn the_table_has_a_line_for_each_posting() {
    let granted = granted(ModelId::new("m").unwrap(), 1, 1, 0);
    let facts = [
        Fact::Authorized(Box::new(granted.clone())),
        Fact::Opened { amount: Amount::usdc(2_000_000), opened_s: 1 },
        Fact::Settled(Box::new(settlement())),
    ];
    let entries: Vec<LedgerEntry> = facts
        .iter()
        .enumerate()
        .map(|(ordinal, fact)| LedgerEntry {
            subject: granted.account.to_string(),
            ordinal: ordinal as u32,
            at_ms: 7,
            kind: fact.kind().to_owned(),
            body: serde_json::to_string(fact).unwrap(),
            concludes: ordinal == 2,
        })
        .collect();
    let table = csv_lines(&mut BTreeMap::new(), &entries).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    let columns = csv_header().trim().split(',').count();
    assert!(lines.iter().all(|line| line.split(',').count() == columns && line.starts_with("7,0x")), "{table}");
    assert!(lines[0].ends_with(",2,USDCx"), "{table}");
}
