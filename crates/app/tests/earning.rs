//! What operators earn, claimed and withdrawn with real wallets on a devnet with the real contracts.
#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

use std::time::Duration;

use computepool_app::accounts::Accounts;
use computepool_app::chains::ChainCard;
use computepool_app::devnet::{DevnetAddress, DevnetSettings, RunningDevnet};
use computepool_app::earnings::{PayoutKind, Question, Statement};
use computepool_app::purse::{Purse, PurseSettings};
use computepool_chain::Sessions;
use computepool_chain::coalitions::{Founding, membership};
use computepool_chain::sender::{Forgetful, Sender, SenderOptions};
use computepool_core::coalition::{CoalitionTerms, Commitment, FoundedPlace};
use computepool_core::money::{B256, Bytes};
use computepool_core::ports::{
    Authorization, Chain as _, CoalitionId, Delivery, Intent, Purpose, SessionTerms, SigningContent, SigningRequest,
    StepId, Voucher,
};
use computepool_core::{Account, Amount, Asset, ContentHash, LayerRange};
use serde_json::{Value, json};

/// A devnet, and the people on it.
struct World {
    devnet: RunningDevnet,
    card: ChainCard,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = DevnetSettings { port: 0, block_time: None, folder: folder.path().join("devnet"), operators: 2 };
        let devnet = RunningDevnet::start(settings).await.unwrap();
        let card = ChainCard::read(&devnet.address().chain).unwrap();
        Self { devnet, card, folder }
    }

    async fn purse(&self, wallet: &str) -> Purse {
        let DevnetAddress { wallets, passphrase_file, .. } = self.devnet.address().clone();
        let settings =
            PurseSettings { folder: Some(wallets), wallet: wallet.to_owned(), passphrase_file: Some(passphrase_file) };
        let contracts = self.card.contracts();
        tokio::task::spawn_blocking(move || Purse::open(&settings, contracts)).await.unwrap().unwrap()
    }

    async fn ask(&self, method: &'static str, params: Value) -> Value {
        self.card.rpc().unwrap().request(method, params).await.unwrap()
    }

    fn sender(&self, purse: &Purse) -> Sender {
        let options = SenderOptions::of(&self.card.network());
        let outbox = Box::new(Forgetful::default());
        Sender::start(self.card.rpc().unwrap(), purse.vault(), purse.account.0, outbox, options).unwrap()
    }

    /// A coalition of both operators: the first has put its stake up, the second builds it from what it earns.
    async fn coalition(&self, founding: &Founding, meter: Account, operators: &[Purse; 2]) -> CoalitionId {
        let place = |start, end, holder: &Purse, bond| FoundedPlace {
            layers: LayerRange::new(start, end).unwrap(),
            holder: holder.account,
            bond,
        };
        let terms = CoalitionTerms {
            model: ContentHash([2; 32]),
            places: vec![place(0, 5, &operators[0], false), place(5, 8, &operators[1], true)],
            unit_rate: Amount::usdcx(10_000_000_000),
            fee_bps: founding.fee_bps().await.unwrap(),
            royalty_bps: 0,
            owner: Account::ZERO,
            stake: Amount::usdc(4_000),
            arbiter: Account::ZERO,
            meter,
            exit_delay_s: 86_400,
            deadline_s: founding.now_s().await.unwrap() + 86_400,
            salt: B256::ZERO,
        };
        let id = founding.propose(&terms).await.unwrap();
        // The stake is drawn by allowance, and anvil gives that in the operator's name.
        let spender = hex::encode(self.card.book.coalition.0);
        let input = format!("0x095ea7b3{spender:0>64}{:064x}", 4_000);
        let first = operators[0].account;
        self.ask("anvil_impersonateAccount", json!([first])).await;
        let approve = json!({ "from": first, "to": self.card.book.usdc, "input": input });
        let hash = self.ask("eth_sendTransaction", json!([approve])).await;
        // Anvil says the hash before it makes the block.
        let mut looks = 0;
        while self.ask("eth_getTransactionReceipt", json!([hash])).await.is_null() {
            looks += 1;
            assert!(looks < 600, "the approval is in no block");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (place, purse) in (0..).zip(operators) {
            let text = membership(founding.chain(), founding.contract(), id, place, purse.account);
            let signature = signed(purse, Purpose::Coalition, SigningContent::TypedData(text)).await;
            founding.sign(id, place, purse.account, Commitment { signature, stake: None }).await.unwrap();
        }
        founding.activate(id).await.unwrap();
        id
    }

    /// A session that was paid for and served for half a minute; what all operators together got of it, in USDCx.
    async fn session(&self, sessions: &Sessions, coalition: CoalitionId, user: &Purse) -> Amount {
        let now = self.card.rpc().unwrap().time().await.unwrap();
        let terms = SessionTerms {
            coalition,
            amount: Amount::usdc(250_000),
            lifetime_s: 3600,
            expires_s: now + 3600,
            payer: user.account,
            salt: B256::repeat_byte(5),
        };
        let account = sessions.session_account(&terms);
        let authorization = Authorization {
            from: user.account,
            to: account,
            value: terms.amount,
            valid_after: 0,
            valid_before: now + 300,
            nonce: terms.salt,
        };
        let content = SigningContent::Authorization { token: sessions.token(), authorization };
        let voucher = Voucher { authorization, signature: signed(user, Purpose::Voucher, content).await };
        let submit = async |number, intent| {
            let delivery = sessions.submit(StepId(B256::repeat_byte(number)), intent).await;
            assert!(matches!(delivery, Delivery::Landed { .. }), "{delivery:?}");
        };
        submit(1, Intent::Open { terms, voucher, start: true }).await;
        self.ask("evm_increaseTime", json!([30])).await;
        submit(2, Intent::Close { session: account, served_ms: 32_500 }).await;
        let end = sessions.session(account).await.unwrap().settled.unwrap();
        end.streamed.plus(end.topped_up).unwrap()
    }
}

async fn signed(purse: &Purse, purpose: Purpose, content: SigningContent) -> Bytes {
    let request = SigningRequest { account: purse.account, purpose, content };
    Bytes::from(purse.vault().sign(&request).await.unwrap().as_bytes().to_vec())
}

#[tokio::test]
async fn what_was_earned_is_claimed_and_withdrawn_to_the_last_unit() {
    let world = World::start().await;
    let (meter, user) = (world.purse("meter").await, world.purse("user").await);
    let operators = [world.purse("operator-1").await, world.purse("operator-2").await];
    let sender = world.sender(&meter);
    let founding = Founding::new(sender.clone(), &world.card.book);
    let coalition = world.coalition(&founding, meter.account, &operators).await;
    let sessions = Sessions::new(world.card.network(), world.card.book.clone(), sender);
    let paid = world.session(&sessions, coalition, &user).await;

    let accounts = Accounts::on(world.card.clone()).unwrap();
    let statement =
        async |purse: &Purse| Statement::ask(&world.card, purse.account, &Question::default()).await.unwrap();
    let zero = Amount::zero(Asset::Usdcx);
    let mut parts = Vec::new();
    for (purse, layers) in operators.iter().zip([5, 3]) {
        let said = statement(purse).await;
        let sums = said.total().unwrap();
        assert_eq!((sums.settled, sums.per_hour), (zero, zero));
        assert_eq!(sums.pending.times(8).unwrap(), paid.times(layers).unwrap(), "{said:?}");
        assert_eq!(said.record.sessions.iter().map(|session| session.amount).collect::<Vec<_>>(), [sums.pending]);
        parts.push(sums.pending);
    }
    assert_eq!(parts[0].plus(parts[1]).unwrap(), paid);

    // Claimed, it is settled; unwrapped, it is USDC but for the dust.
    let [first, second] = &operators;
    let before = accounts.balances(first.account).await.unwrap();
    let hand = accounts.hand(first, Some(world.folder.path().join("outbox"))).unwrap();
    let said = statement(first).await;
    let claim = accounts.claim(first.account, &said.seats[0]).await.unwrap().unwrap();
    hand.take(claim).await.unwrap();
    let said = statement(first).await;
    let sums = said.total().unwrap();
    assert_eq!((sums.settled, sums.pending), (parts[0], zero));
    assert!(accounts.claim(first.account, &said.seats[0]).await.unwrap().is_none(), "nothing waits any more");
    let [payout] = said.record.payouts.as_slice() else { panic!("{said:?}") };
    assert_eq!((payout.kind, payout.amount), (PayoutKind::Paid, parts[0]));
    let lines = said.csv();
    assert_eq!(lines.matches(&format!(",{},USDCx\r\n", parts[0].to_decimal())).count(), 2, "{lines}");
    let unwrap = accounts.unwrap(first.account).await.unwrap().unwrap();
    hand.take(unwrap).await.unwrap();
    let after = accounts.balances(first.account).await.unwrap();
    let (whole, dust) = parts[0].split(Asset::Usdc).unwrap();
    assert_eq!((after.usdc, after.usdcx), (before.usdc.plus(whole).unwrap(), dust));
    assert!(accounts.unwrap(first.account).await.unwrap().is_none());

    // Who builds a stake from earnings gets what is more than the stake.
    let hand = accounts.hand(second, Some(world.folder.path().join("outbox"))).unwrap();
    let said = statement(second).await;
    let claim = accounts.claim(second.account, &said.seats[0]).await.unwrap().unwrap();
    hand.take(claim).await.unwrap();
    let said = statement(second).await;
    let sums = said.total().unwrap();
    assert_eq!(said.seats[0].staked, Amount::usdc(4_000));
    let stake = Amount::usdc(4_000).convert(Asset::Usdcx).unwrap();
    assert_eq!((sums.settled, sums.pending), (parts[1].minus(stake).unwrap(), zero));
    assert_eq!(accounts.balances(second.account).await.unwrap().usdcx, sums.settled);
    world.devnet.leave().await;
}
