//! A payer whose orchestrator is gone for ever, with nothing but a wallet, the chain and the book of what was paid.

use alloy_primitives::{B256, U256};
use computepool_app::accounts::{Accounts, Hand, PaidSession, Standing};
use computepool_app::chains::ChainCard;
use computepool_app::paying::{KeptPayment, PaymentBook};
use computepool_app::purse::Purse;
use computepool_core::ports::{Asked, BillPhase, Presented, SessionPhase, Toll};
use computepool_core::{Amount, GenerationId};
use computepool_payments::client::{Demand, Escrow, Means, Payment, pay};

use crate::front_run::{execution, usdc};
use crate::world::{World, asked};

/// What the payer has at home.
struct Home {
    accounts: Accounts,
    hand: Hand,
    book: PaymentBook,
    _folder: tempfile::TempDir,
}

impl Home {
    fn of(world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let endpoints = vec![world.devnet.anvil.endpoint().to_owned()];
        let card = ChainCard { endpoints, book: world.devnet.book.clone() };
        let accounts = Accounts::on(card).unwrap();
        let purse = Purse { wallet: world.wallet.clone(), account: world.people.payer };
        let hand = accounts.hand(&purse, Some(folder.path().join("outbox"))).unwrap();
        let book = PaymentBook::at(folder.path().join("payments.jsonl"));
        Self { accounts, hand, book, _folder: folder }
    }

    /// Pays as our own clients do, and writes it down.
    async fn pays(&self, world: &World, number: u8) -> Payment {
        let payer = world.people.payer;
        let asked = Asked { payer: Some(payer), ..asked() };
        let quote = world.toll.quote(&asked, None).await.unwrap();
        let demand = Demand::read(Some(&quote.header), b"").unwrap();
        let book = world.devnet.book.clone();
        let means = Means {
            account: payer,
            tokens: vec![book.token()],
            most: Amount::usdc(2_000_000),
            sessions: Some(Escrow::new(book.chain_id, move |terms| book.session_account(terms))),
        };
        let now_s = world.clock.now_s();
        let payment = pay(&world.wallet, &means, &demand, now_s, B256::repeat_byte(number)).await.unwrap();
        self.book.add(&KeptPayment::new(now_s, &asked.resource, &payment).unwrap()).unwrap();
        payment
    }

    async fn sessions(&self, world: &World) -> Vec<PaidSession> {
        self.accounts.paid_sessions(world.people.payer, &self.book).await.unwrap()
    }

    /// Does what can be done for each session; returns how much that was.
    async fn fetches(&self, world: &World) -> usize {
        let mut done = 0;
        for session in self.sessions(world).await {
            if let Some(step) = self.accounts.fetch(&session).await.unwrap() {
                self.hand.take(step).await.unwrap();
                done += 1;
            }
        }
        done
    }
}

#[tokio::test]
async fn everything_that_was_not_used_is_fetched_without_the_orchestrator() {
    let mut world = World::new().await;
    let home = Home::of(&world);
    let before = world.usdc(world.people.payer).await;
    let streaming = home.pays(&world, 1).await;
    let executed = home.pays(&world, 2).await;
    let _never_shown = home.pays(&world, 3).await;
    let admission = world.toll.admit(&asked(), Presented::Voucher(streaming.header.clone())).await.unwrap();
    world.until(admission.session, BillPhase::Streaming).await;
    let generation = GenerationId([1; 16]);
    world.toll.began(admission.session, generation).unwrap();
    world.reaches(streaming.authorization.to, SessionPhase::Streaming).await;
    world.pass(5).await;
    world.toll.progressed(generation).unwrap();
    world.abandon().await;
    let voucher = home.book.read().unwrap().remove(1).voucher;
    assert_eq!(voucher.authorization, executed.authorization);
    world.does(world.people.stranger, usdc(&world), &execution(&voucher)).await;
    assert_eq!(world.usdc(world.people.payer).await, before - U256::from(4_000_000));

    let standings: Vec<Standing> = home.sessions(&world).await.into_iter().map(|it| it.standing).collect();
    assert!(matches!(standings[..], [Standing::Open(_), Standing::Unopened, Standing::Nothing]), "{standings:?}");
    assert_eq!(home.fetches(&world).await, 2, "one is stopped, and one comes back whole");
    assert_eq!(world.usdc(world.people.payer).await, before - U256::from(2_000_000));
    assert_eq!(home.fetches(&world).await, 0, "the meter has some minutes to say what it served");
    world.pass(300).await;
    assert_eq!(home.fetches(&world).await, 1);
    let on = world.on_chain(streaming.authorization.to).await.unwrap();
    assert!(on.phase == SessionPhase::Closed && on.streamed >= on.rate.times(5).unwrap(), "{on:?}");
    let back = before - U256::from(2_000_000) + on.refund.units;
    assert_eq!(world.usdc(world.people.payer).await, back);
    assert_eq!(home.fetches(&world).await, 0);
    let standings: Vec<Standing> = home.sessions(&world).await.into_iter().map(|it| it.standing).collect();
    assert!(
        matches!(standings[..], [Standing::Closed(_, false), Standing::Nothing, Standing::Nothing]),
        "{standings:?}"
    );
    // What comes there later is fetched as well.
    let gift = crate::contracts::Usdc::transferCall { to: streaming.authorization.to.0, amount: U256::from(7) };
    world.does(world.people.other, usdc(&world), &gift).await;
    assert_eq!(home.fetches(&world).await, 1);
    assert_eq!(world.usdc(world.people.payer).await, back + U256::from(7));
    // Should it come back after all, its books follow.
    world.restart().await;
    let session = world.authorized(streaming.authorization.to).await;
    world.settles(session, BillPhase::Settled).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn what_others_paid_or_paid_to_others_is_not_touched() {
    let world = World::new().await;
    let home = Home::of(&world);
    home.pays(&world, 1).await;
    let text = std::fs::read_to_string(home._folder.path().join("payments.jsonl")).unwrap();
    let mine = world.people.payer.to_string();
    let elsewhere = home.book.read().unwrap()[0].to.to_string();
    for (was, is) in [(mine, &world.people.other), (elsewhere, &world.people.stranger)] {
        std::fs::write(home._folder.path().join("payments.jsonl"), text.replace(&was, &is.to_string())).unwrap();
        assert!(home.sessions(&world).await.is_empty());
    }
}
