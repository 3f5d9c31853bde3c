//! Afterwards: every unit, read from the chain.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use computepool_chain::tokens::Tokens;
use computepool_core::ports::{SessionOnChain, SessionPhase};
use computepool_core::{Account, Amount, Asset};

use crate::blows::Blows;
use crate::clients::{Clients, Seen};
use crate::world::{Books, World};

/// How long sessions may take that nobody closed: they close by themselves after two idle minutes.
const CLOSING: Duration = Duration::from_secs(300);

/// Counts, prints, and says whether everything adds up.
pub(crate) async fn audit(world: &World, before: &Books, clients: &Clients, blows: &Blows, began: Instant) -> bool {
    let signed = world.vault.signed();
    let mut accounts: Vec<Account> = signed.iter().map(|authorization| authorization.to).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let sessions = closed(world, &accounts).await;
    let after = world.books().await;
    let seen = clients.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();

    let mut wrong = Vec::new();
    let wei = |amount: Amount| amount.convert(Asset::Usdcx).unwrap();
    let sum = |amounts: Vec<Amount>| Amount::sum(Asset::Usdcx, amounts).unwrap();
    let opened: Vec<&(Account, SessionOnChain)> = sessions.iter().collect();
    for (account, session) in &opened {
        let out = sum(vec![session.streamed, session.topped_up, wei(session.refund), session.dust, session.lost]);
        if out != wei(session.amount) {
            wrong.push(format!("session {account}: paid in {}, paid out {out}", session.amount));
        }
        if session.phase != SessionPhase::Closed {
            wrong.push(format!("session {account} is not closed: {:?}", session.phase));
        }
        let seen = seen.get(account).cloned().unwrap_or_default();
        if let Some(short) = unpaid(session, &seen) {
            wrong.push(format!(
                "session {account}: {short:?} of {:?} that were served were not paid: {:?}",
                seen.served, seen.answers
            ));
        }
    }
    let never: Vec<Account> = accounts.iter().filter(|it| sessions.iter().all(|(at, _)| at != *it)).copied().collect();
    let card = world.card();
    let tokens = Tokens::new(card.rpc().unwrap(), &card.book);
    for account in &never {
        let left = tokens.balances(*account).await.unwrap();
        if !left.of(Asset::Usdc).is_zero() {
            wrong.push(format!("{} lies at {account}, where no session was opened", left.of(Asset::Usdc)));
        }
    }
    let figure = |pick: fn(&SessionOnChain) -> Amount| sum(opened.iter().map(|(_, it)| wei(pick(it))).collect());
    let (paid_in, refund, dust) = (figure(|it| it.amount), figure(|it| it.refund), figure(|it| it.dust));
    let (paid, lost) = (sum(vec![figure(|it| it.streamed), figure(|it| it.topped_up)]), figure(|it| it.lost));
    // The user's own balances tell the same as the sessions' books.
    let spent = wei(before.user.of(Asset::Usdc)).minus(wei(after.user.of(Asset::Usdc))).unwrap();
    let found = figure(|it| it.found);
    if spent != paid_in.minus(refund).unwrap() {
        wrong.push(format!("the user spent {spent}, and should have spent {}", paid_in.minus(refund).unwrap()));
    }
    let came_back = after.user.of(Asset::Usdcx).minus(before.user.of(Asset::Usdcx)).unwrap();
    if came_back != sum(vec![dust, found]) {
        wrong.push(format!("{came_back} of dust came back, and not {dust}"));
    }
    // And so does what the operators got.
    let received = |books: &Books| sum(books.shares.iter().map(|share| share.received).collect());
    let earned = received(&after).minus(received(before)).unwrap();
    if earned != paid {
        wrong.push(format!("the operators got {earned}, and the sessions paid {paid}"));
    }
    if let Some(share) = after.shares.iter().find(|share| !share.flowing.is_zero()) {
        wrong.push(format!("{} a second still flow to {}", share.flowing, share.operator));
    }
    let counts = &clients.counts;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
    let served: Duration = seen.values().map(|seen| seen.served).sum();
    println!(
        "\npaid in        {:>24} wei\nto operators   {:>24} wei\nrefunded       {:>24} wei\nlost           {:>24} wei",
        paid_in.units,
        paid.units,
        sum(vec![refund, dust]).units,
        lost.units
    );
    println!("answers were coming for {served:?}, as their clients saw it\n");
    for what in &wrong {
        println!("WRONG: {what}");
    }
    println!(
        "generations={} whole={} broken={} asked_in_vain={} tokens={} blows={} vouchers={} sessions={} never_opened={} \
         paid_in={} operators={} refund={} lost={} wrong={} seconds={}",
        count(&counts.whole) + count(&counts.broken),
        count(&counts.whole),
        count(&counts.broken),
        count(&counts.refused),
        count(&counts.tokens),
        blows.count(),
        signed.len(),
        opened.len(),
        never.len(),
        paid_in.units,
        paid.units,
        sum(vec![refund, dust]).units,
        lost.units,
        wrong.len(),
        began.elapsed().as_secs(),
    );
    wrong.is_empty() && lost.is_zero()
}

/// What of the time that a client saw itself served was not paid for.
fn unpaid(session: &SessionOnChain, seen: &Seen) -> Option<Duration> {
    let out = session.streamed.plus(session.topped_up).unwrap();
    let paid_ms = u64::try_from(out.times(1000).unwrap().units / session.rate.units).unwrap();
    let short = seen.served.checked_sub(Duration::from_millis(paid_ms))?;
    (!short.is_zero()).then_some(short)
}

/// The sessions that were opened, once all of them are closed or the patience is at its end.
async fn closed(world: &World, accounts: &[Account]) -> Vec<(Account, SessionOnChain)> {
    let (onlooker, deadline) = (world.onlooker(), Instant::now() + CLOSING);
    loop {
        let mut sessions = Vec::new();
        for account in accounts {
            if let Some(session) = onlooker.session(*account).await.unwrap() {
                sessions.push((*account, session));
            }
        }
        if sessions.iter().all(|(_, session)| session.phase == SessionPhase::Closed) || Instant::now() > deadline {
            return sessions;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
