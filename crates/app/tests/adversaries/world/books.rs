//! Where every unit is.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::U256;
use computepool_core::ports::{Chain, ChainEventKind, Cursor, Ledger, LedgerEntry, SessionOnChain, SessionPhase};
use computepool_core::{Account, Asset};
use computepool_payments::ledger::{BookAccount, Books, Fact, Settlement, postings};

use super::World;
use crate::contracts::{Coalition, Distribution, Pool, Session, Usdc};

/// Wei of USDCx in a unit of USDC.
const WEI_PER_UNIT: u64 = 1_000_000_000_000;
/// No test has more entries, or more events.
const PAGE: u32 = 10_000;

impl World {
    /// Reads from the chain that every session is closed and what came in is what went out, that nothing streams, that the
    /// members of the pool got what sessions paid and people together have what they had; and from the ledger that its
    /// books say the same. Returns the sessions that were ever opened.
    pub(crate) async fn assert_adds_up(&self) -> BTreeMap<Account, SessionOnChain> {
        let sessions = self.all_sessions().await;
        let mut paid = U256::ZERO;
        let mut pools = BTreeSet::new();
        for (account, on) in &sessions {
            assert_eq!(on.phase, SessionPhase::Closed, "{account} was left open: {on:?}");
            let wei = |units: U256| units * U256::from(WEI_PER_UNIT);
            assert_eq!(
                wei(on.amount.units) + on.found.units,
                on.streamed.units + on.topped_up.units + wei(on.refund.units) + on.dust.units + on.lost.units,
                "{account}: {on:?}"
            );
            paid += on.streamed.units + on.topped_up.units;
            let pool = self.ask(*account, &Session::poolCall {}).await;
            pools.insert(pool);
            let (token, from) = (self.devnet.book.usdcx.0, account.0);
            let flow =
                self.ask(self.devnet.book.superfluid.gda, &Distribution::getFlowCall { token, from, pool }).await;
            assert!(flow.rate.is_zero() && flow.buffer.is_zero(), "{account} still streams {}", flow.rate);
            let rest = self.ask(self.devnet.book.usdcx, &Usdc::balanceOfCall { account: account.0 }).await;
            assert!(rest.is_zero() && self.usdc(*account).await.is_zero(), "{account} still holds something");
        }
        let mut received = U256::ZERO;
        for pool in pools.into_iter().map(Account) {
            assert!(self.ask(pool, &Pool::getTotalFlowRateCall {}).await.is_zero(), "the pool is still streamed to");
            for member in self.people.paid() {
                received += self.received(pool, member).await;
            }
        }
        assert_eq!(received, paid, "what operators got is not what sessions paid");
        assert_eq!(self.wealth_now().await, self.wealth, "something was lost or made up");
        self.assert_books_agree(&sessions).await;
        sessions
    }

    /// What a member of the pool ever got, claimed or not, in wei.
    pub(crate) async fn received(&self, pool: Account, member: Account) -> U256 {
        self.ask(pool, &Pool::getTotalAmountReceivedByMemberCall { member: member.0 }).await
    }

    /// Every session that was ever opened, by anybody.
    pub(crate) async fn all_sessions(&self) -> BTreeMap<Account, SessionOnChain> {
        let mut cursor = Cursor::default();
        let mut sessions = BTreeMap::new();
        loop {
            let said = self.witness.events(cursor, PAGE).await.unwrap();
            for event in &said.events {
                if let ChainEventKind::Opened { session, .. } = event.kind {
                    let on = self.on_chain(session).await.unwrap();
                    assert!(sessions.insert(session, on).is_none(), "{session} was opened twice");
                }
            }
            if said.next == cursor {
                return sessions;
            }
            cursor = said.next;
        }
    }

    /// All that people have: in USDC, in USDCx, as stakes, and unclaimed in the pool; in wei.
    pub(super) async fn wealth_now(&self) -> U256 {
        let (usdc, usdcx) = (self.devnet.book.usdc, self.devnet.book.usdcx);
        let mut wealth = U256::ZERO;
        for account in self.people.all().into_iter().chain([self.devnet.book.coalition]) {
            let units = self.ask(usdc, &Usdc::balanceOfCall { account: account.0 }).await;
            let wei = self.ask(usdcx, &Usdc::balanceOfCall { account: account.0 }).await;
            wealth += units * U256::from(WEI_PER_UNIT) + wei;
        }
        let offer = Coalition::offerCall { id: self.coalition.0 };
        let pool = Account(self.ask(self.devnet.book.coalition, &offer).await.pool);
        for member in self.people.paid() {
            let unclaimed = self.ask(pool, &Pool::getClaimableNowCall { member: member.0 }).await;
            wealth += U256::try_from(unclaimed.claimable).unwrap();
        }
        wealth
    }

    /// Everything that was written down.
    pub(crate) async fn ledger(&self) -> Vec<(Account, Fact)> {
        let entries: Vec<LedgerEntry> = self.store.page(0, PAGE).await.unwrap();
        entries.iter().map(|entry| Fact::read(entry).unwrap()).collect()
    }

    /// The same of one session.
    pub(crate) async fn ledger_of(&self, account: Account) -> Vec<Fact> {
        self.ledger().await.into_iter().filter_map(|(of, fact)| (of == account).then_some(fact)).collect()
    }

    async fn assert_books_agree(&self, sessions: &BTreeMap<Account, SessionOnChain>) {
        let open = self.store.unconcluded().await.unwrap();
        assert!(open.is_empty(), "the ledger has not concluded everything: {open:?}");
        let (mut granted, mut settled, mut rejected) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut books = Books::default();
        for (account, fact) in self.ledger().await {
            match &fact {
                Fact::Authorized(first) => {
                    assert!(granted.insert(account, (**first).clone()).is_none(), "{account} was authorized twice");
                }
                Fact::Settled(settlement) => {
                    assert!(settled.insert(account, (**settlement).clone()).is_none(), "{account} was settled twice");
                }
                Fact::Rejected { .. } => assert!(rejected.insert(account), "{account} was rejected twice"),
                _ => {}
            }
            for posting in postings(&granted[&account], &fact).unwrap() {
                books.post(&posting).unwrap();
            }
        }
        assert!(books.held().unwrap().is_zero(), "a session keeps money in the books");
        for (account, first) in &granted {
            let payer = first.voucher.authorization.from;
            match sessions.get(account).filter(|on| on.payer == payer) {
                Some(on) => assert_eq!(settled.get(account), Some(&settlement(on)), "{account}"),
                None => assert!(rejected.contains(account) && !settled.contains_key(account), "{account}"),
            }
        }
        let went =
            books.accounts().filter(|account| matches!(account, BookAccount::Operators(_) | BookAccount::Royalty(_)));
        let booked: U256 = went.map(|account| books.turnover(&account).0.units).sum();
        let ours = sessions.iter().filter(|(account, _)| settled.contains_key(*account));
        let paid: U256 = ours.map(|(_, on)| on.streamed.units + on.topped_up.units).sum();
        assert_eq!(booked, paid, "the books have other earnings than the chain");
    }
}

/// How the books should have it.
fn settlement(on: &SessionOnChain) -> Settlement {
    assert_eq!((on.amount.asset, on.streamed.asset), (Asset::Usdc, Asset::Usdcx));
    Settlement {
        paid_in: on.amount,
        streamed: on.streamed,
        topped_up: on.topped_up,
        refund: on.refund,
        dust: on.dust,
        lost: on.lost,
        found: on.found,
        served_ms: on.served_ms,
    }
}
