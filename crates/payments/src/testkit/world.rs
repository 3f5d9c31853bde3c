//! The contract's rules, with time and blocks to be moved by hand.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, U256, keccak256};
use computepool_core::ports::{
    Block, Intent, Refused, SessionOnChain, SessionPhase, SessionTerms, SessionView, Voucher, VoucherState,
};
use computepool_core::{Account, Amount, Asset};

use super::offer;

/// Seconds before the opening that the contract pays for.
const HEAD_START_S: u64 = 30;
/// Blocks on top of one that make it final.
const DEPTH: usize = 2;

/// What a chain knows of our contracts.
#[derive(Clone, Debug)]
pub struct World {
    now: Chapter,
    /// What it knew at every block so far, the newest last.
    past: Vec<Chapter>,
    /// The newest of these that is final.
    firm: usize,
}

#[derive(Clone, Debug)]
struct Chapter {
    block: Block,
    usdc: BTreeMap<Account, u128>,
    used: BTreeSet<(Account, B256)>,
    sessions: BTreeMap<Account, SessionOnChain>,
    flows_since: BTreeMap<Account, u64>,
    openings: u32,
}

impl World {
    /// A chain that begins at this time.
    pub fn new(time_s: u64) -> Self {
        let block = Block { number: 1, hash: B256::with_last_byte(1), time_s };
        let now = Chapter {
            block,
            usdc: BTreeMap::new(),
            used: BTreeSet::new(),
            sessions: BTreeMap::new(),
            flows_since: BTreeMap::new(),
            openings: 0,
        };
        Self { past: vec![now.clone()], now, firm: 0 }
    }

    /// Where sessions are.
    pub fn account_of(terms: &SessionTerms) -> Account {
        let text = serde_json::to_vec(terms).unwrap_or_default();
        Account(alloy_primitives::Address::from_word(keccak256(text)))
    }

    /// Gives somebody USDC.
    pub fn fund(&mut self, account: Account, units: u128) {
        *self.now.usdc.entry(account).or_default() += units;
        self.keep();
    }

    /// What somebody has in USDC, in units.
    pub fn balance(&self, account: &Account) -> u128 {
        self.now.usdc.get(account).copied().unwrap_or(0)
    }

    /// Takes an authorization back before it is executed.
    pub fn cancel(&mut self, payer: Account, nonce: B256) {
        self.now.used.insert((payer, nonce));
        self.mine(1);
    }

    /// The newest block.
    pub fn head(&self) -> Block {
        self.now.block
    }

    /// How many sessions were ever opened.
    pub fn openings(&self) -> u32 {
        self.now.openings
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (&Account, &SessionOnChain)> {
        self.now.sessions.iter()
    }

    /// Another block, so many seconds later.
    pub fn mine(&mut self, seconds: u64) {
        let Block { number, time_s, .. } = self.now.block;
        let (number, time_s) = (number + 1, time_s + seconds);
        self.now.block = Block { number, time_s, hash: B256::from(U256::from(number * 1_000_003 + time_s)) };
        self.past.push(self.now.clone());
        self.firm = self.firm.max(self.past.len().saturating_sub(1 + DEPTH));
    }

    /// Undoes the newest blocks, as far as they are not final; their time stays passed.
    pub fn reorganise(&mut self, blocks: usize) {
        let time_s = self.now.block.time_s;
        let kept = self.past.len().saturating_sub(blocks).max(self.firm + 1);
        self.past.truncate(kept);
        if let Some(last) = self.past.last() {
            self.now = last.clone();
        }
        let seconds = time_s.saturating_sub(self.now.block.time_s).max(1);
        self.mine(seconds);
    }

    /// Carries out an intent in a block of its own.
    pub fn execute(&mut self, intent: &Intent) -> Result<Block, Refused> {
        self.try_execute(intent, true)?;
        self.mine(1);
        Ok(self.now.block)
    }

    /// What the chain says of a session.
    pub fn view(&self, account: &Account) -> SessionView {
        let firm = &self.past[self.firm];
        SessionView {
            head: self.now.block,
            newest: self.now.session(account),
            firm: firm.block,
            settled: firm.session(account),
        }
    }

    /// What the chain says of a voucher.
    pub fn voucher(&self, terms: &SessionTerms, voucher: &Voucher) -> VoucherState {
        let authorization = &voucher.authorization;
        let start = false;
        let open = Intent::Open { terms: *terms, voucher: voucher.clone(), start };
        let refused = match self.now.sessions.contains_key(&Self::account_of(terms)) {
            true => None,
            false => self.clone().try_execute(&open, true).err(),
        };
        VoucherState {
            at: self.now.block,
            balance: Amount::new(U256::from(self.balance(&authorization.from)), Asset::Usdc),
            used: self.now.used.contains(&(authorization.from, authorization.nonce)),
            at_account: Amount::new(U256::from(self.balance(&Self::account_of(terms))), Asset::Usdc),
            contract: false,
            refused,
        }
    }

    /// Somebody who is not the meter closes a session.
    pub fn stop(&mut self, account: &Account) {
        if self.now.sessions.get(account).is_some_and(|on| on.phase != SessionPhase::Closed) {
            self.now.stop(account);
            if let Some(on) = self.now.sessions.get_mut(account) {
                on.phase = SessionPhase::Ending;
            }
            self.mine(1);
        }
    }

    fn keep(&mut self) {
        if let Some(last) = self.past.last_mut() {
            *last = self.now.clone();
        }
    }

    fn try_execute(&mut self, intent: &Intent, by_meter: bool) -> Result<(), Refused> {
        let now = &mut self.now;
        let phase = |now: &Chapter, account: &Account| {
            now.sessions.get(account).map(|on| on.phase).ok_or_else(|| refused("NoSession"))
        };
        match intent {
            Intent::Open { terms, voucher, start } => now.open(terms, voucher, *start),
            Intent::Start { session } => {
                if phase(now, session)? != SessionPhase::Paused {
                    return Err(refused("WrongState"));
                }
                now.start(session);
                Ok(())
            }
            Intent::Pause { session, served_ms } => {
                if !matches!(phase(now, session)?, SessionPhase::Paused | SessionPhase::Streaming) {
                    return Err(refused("WrongState"));
                }
                now.stop(session);
                now.settle(session, *served_ms);
                Ok(())
            }
            Intent::Close { session, served_ms } => {
                if phase(now, session)? == SessionPhase::Closed {
                    return Err(refused("WrongState"));
                }
                now.stop(session);
                now.settle(session, *served_ms);
                now.finish(session);
                Ok(())
            }
            Intent::Reclaim { terms, voucher } => now.reclaim(terms, voucher),
            Intent::Sweep { .. } | Intent::Reassign { .. } if by_meter => Ok(()),
            _ => Err(refused("Unheard")),
        }
    }
}

impl Chapter {
    fn session(&self, account: &Account) -> Option<SessionOnChain> {
        let mut on = *self.sessions.get(account)?;
        if let Some(since) = self.flows_since.get(account) {
            on.streamed = flowed(&on, since, self.block.time_s);
        }
        Some(on)
    }

    fn execute(&mut self, voucher: &Voucher) -> Result<(), Refused> {
        let authorization = &voucher.authorization;
        if !(authorization.valid_after < self.block.time_s && self.block.time_s < authorization.valid_before) {
            return Err(refused("ERC3009InvalidAuthorizationTime"));
        }
        let units = u128::try_from(authorization.value.units).map_err(|_| refused("TooMuch"))?;
        let from = self.usdc.entry(authorization.from).or_default();
        *from = from.checked_sub(units).ok_or_else(|| refused("ERC20InsufficientBalance"))?;
        *self.usdc.entry(authorization.to).or_default() += units;
        self.used.insert((authorization.from, authorization.nonce));
        Ok(())
    }

    fn open(&mut self, terms: &SessionTerms, voucher: &Voucher, start: bool) -> Result<(), Refused> {
        let account = World::account_of(terms);
        if self.sessions.contains_key(&account) {
            return Err(refused("SessionExists"));
        }
        if self.block.time_s > terms.expires_s {
            return Err(refused("QuoteExpired"));
        }
        if !self.used.contains(&(voucher.authorization.from, voucher.authorization.nonce)) {
            self.execute(voucher)?;
        }
        let units = u128::try_from(terms.amount.units).map_err(|_| refused("TooMuch"))?;
        let held = self.usdc.entry(account).or_default();
        *held = held.checked_sub(units).ok_or_else(|| refused("AccountShort"))?;
        self.openings += 1;
        let zero = Amount::zero(Asset::Usdcx);
        let on = SessionOnChain {
            payer: voucher.authorization.from,
            phase: SessionPhase::Paused,
            amount: terms.amount,
            rate: offer().rate,
            opened_s: self.block.time_s,
            served_ms: 0,
            streamed: zero,
            topped_up: zero,
            refund: Amount::zero(Asset::Usdc),
            dust: zero,
            lost: zero,
            found: zero,
        };
        self.sessions.insert(account, on);
        if start {
            self.start(&account);
        }
        Ok(())
    }

    fn reclaim(&mut self, terms: &SessionTerms, voucher: &Voucher) -> Result<(), Refused> {
        let account = World::account_of(terms);
        if self.sessions.contains_key(&account) {
            return Err(refused("SessionExists"));
        }
        let held = self.usdc.remove(&account).unwrap_or(0);
        *self.usdc.entry(voucher.authorization.from).or_default() += held;
        let zero = Amount::zero(Asset::Usdcx);
        let on = SessionOnChain {
            payer: voucher.authorization.from,
            phase: SessionPhase::Closed,
            amount: Amount::zero(Asset::Usdc),
            rate: zero,
            opened_s: 0,
            served_ms: 0,
            streamed: zero,
            topped_up: zero,
            refund: Amount::new(U256::from(held), Asset::Usdc),
            dust: zero,
            lost: zero,
            found: zero,
        };
        self.sessions.insert(account, on);
        Ok(())
    }

    fn start(&mut self, account: &Account) {
        if let Some(on) = self.sessions.get_mut(account) {
            on.phase = SessionPhase::Streaming;
            self.flows_since.insert(*account, self.block.time_s);
        }
    }

    fn stop(&mut self, account: &Account) {
        let Some(on) = self.sessions.get_mut(account) else { return };
        if let Some(since) = self.flows_since.remove(account) {
            on.streamed = flowed(on, &since, self.block.time_s);
            on.phase = SessionPhase::Paused;
        }
    }

    /// Seconds that were begun are paid, up to the time since the opening and a head start, and to what is left.
    fn settle(&mut self, account: &Account, served_ms: u64) {
        let Some(on) = self.sessions.get_mut(account) else { return };
        let most = (self.block.time_s - on.opened_s + HEAD_START_S) * 1000;
        on.served_ms = on.served_ms.max(served_ms.min(most));
        let due = on.rate.units * U256::from(on.served_ms.div_ceil(1000));
        let paid = on.streamed.units + on.topped_up.units;
        let missing = due.saturating_sub(paid).min(budget(on).saturating_sub(paid));
        on.topped_up.units += missing;
    }

    fn finish(&mut self, account: &Account) {
        let Some(on) = self.sessions.get_mut(account) else { return };
        let rest = budget(on).saturating_sub(on.streamed.units + on.topped_up.units);
        let (refund, dust) = rest.div_rem(U256::from(1_000_000_000_000_u64));
        (on.refund.units, on.dust.units, on.phase) = (refund, dust, SessionPhase::Closed);
        *self.usdc.entry(on.payer).or_default() += u128::try_from(refund).unwrap_or(0);
    }
}

fn budget(on: &SessionOnChain) -> U256 {
    on.amount.units * U256::from(1_000_000_000_000_u64)
}

/// What has streamed by `now_s`; somebody closes it before it outlives its money.
fn flowed(on: &SessionOnChain, since_s: &u64, now_s: u64) -> Amount {
    let more = on.rate.units * U256::from(now_s - since_s);
    let most = budget(on).saturating_sub(on.topped_up.units);
    Amount::new((on.streamed.units + more).min(most), Asset::Usdcx)
}

fn refused(name: &str) -> Refused {
    Refused { name: name.to_owned(), why: format!("the contract says {name}") }
}
