//! The toll as the HTTP face meets it: quotes, vouchers good and bad, tokens, and what happens to the money.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::B256;
use computepool_core::ports::{Admission, Asked, BillPhase, Clock, Intent, Presented, SessionToken, Toll, TollRefusal};
use computepool_core::{Account, Amount, FaultCode, GenerationId, LayerRange, ModelId};
use computepool_payments::quote::QuoteKey;
use computepool_payments::testkit::{FakeChain, MemoryLedger, Mood, Payer, offer, tariff};
use computepool_payments::x402::{PaymentPayload, PaymentRequired, SettlementResponse, decode, encode};
use computepool_payments::{Payments, Ports, Serving, Settings};
use rand::SeedableRng;
use rand::rngs::StdRng;

const START_S: u64 = 1_800_000_000;

/// A clock that goes with tokio's.
struct Watch {
    start: tokio::time::Instant,
    ahead_ms: AtomicU64,
}

impl Clock for Watch {
    fn now_ms(&self) -> u64 {
        START_S * 1000 + self.start.elapsed().as_millis() as u64 + self.ahead_ms.load(Ordering::Relaxed)
    }
}

struct House {
    chain: FakeChain,
    ledger: Arc<MemoryLedger>,
    clock: Arc<Watch>,
    toll: Payments,
    payer: Payer,
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let chain = FakeChain::new(START_S);
        let (ledger, payer) = (Arc::new(MemoryLedger::default()), Payer::new(7).unwrap());
        chain.with(|world| {
            world.fund(payer.account(), 100_000_000);
            world.mine(1);
        });
        let clock = Arc::new(Watch { start: tokio::time::Instant::now(), ahead_ms: AtomicU64::new(0) });
        let mut settings = settings();
        change(&mut settings);
        let toll = start(&chain, &ledger, &clock, settings, 1).await;
        Self { chain, ledger, clock, toll, payer }
    }

    async fn required(&self) -> PaymentRequired {
        let quote = self.toll.quote(&asked(), None).await.unwrap();
        assert_eq!(serde_json::to_value(decode::<PaymentRequired>(&quote.header).unwrap()).unwrap(), quote.body);
        decode(&quote.header).unwrap()
    }

    async fn paid(&mut self) -> PaymentPayload {
        let required = self.required().await;
        self.payer.pay(&required, self.clock.now_ms() / 1000).unwrap()
    }

    async fn admit(&self, payload: &PaymentPayload) -> Result<Admission, TollRefusal> {
        self.toll.admit(&asked(), Presented::Voucher(encode(payload))).await
    }

    async fn refusal(&self, payload: &PaymentPayload) -> String {
        match self.admit(payload).await.unwrap_err() {
            TollRefusal::Pay { reason, receipt, .. } => {
                let receipt: SettlementResponse = decode(&receipt.unwrap()).unwrap();
                assert!(!receipt.success && receipt.error_reason.as_ref() == Some(&reason), "{receipt:?}");
                reason
            }
            other => panic!("{other:?}"),
        }
    }

    /// Until a session is that far.
    async fn until(&self, admission: &Admission, phase: BillPhase) {
        for _ in 0..2_000 {
            if self.toll.bill(admission.session).unwrap().phase == phase {
                return;
            }
            self.chain.with(|world| world.mine(1));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{:?}", self.toll.bill(admission.session));
    }
}

fn settings() -> Settings {
    Settings::new(vec![tariff(&asked().model)], QuoteKey::new([9; 32]))
}

async fn start(
    chain: &FakeChain,
    ledger: &Arc<MemoryLedger>,
    clock: &Arc<Watch>,
    settings: Settings,
    seed: u64,
) -> Payments {
    let ports = Ports {
        chain: Arc::new(chain.clone()),
        ledger: ledger.clone(),
        clock: clock.clone(),
        random: Box::new(StdRng::seed_from_u64(seed)),
    };
    Payments::start(ports, settings).await.unwrap()
}

fn asked() -> Asked {
    Asked {
        model: ModelId::new("m").unwrap(),
        resource: "https://pool.example/v1/chat/completions".into(),
        payer: None,
    }
}

fn generation(number: u8) -> GenerationId {
    GenerationId([number; 16])
}

#[tokio::test(start_paused = true)]
async fn a_voucher_opens_a_session_in_which_many_generations_run() {
    let mut house = House::new().await;
    let payload = house.paid().await;
    let admission = house.admit(&payload).await.unwrap();
    let receipt: SettlementResponse = decode(admission.receipt.as_ref().unwrap()).unwrap();
    assert!(receipt.success && receipt.amount.as_deref() == Some("2000000"), "{receipt:?}");
    let token = admission.token.clone().unwrap();
    for number in 1..=3 {
        let again = house.toll.admit(&asked(), Presented::Token(token.clone())).await.unwrap();
        assert_eq!((again.session, again.token), (admission.session, None));
        house.toll.began(admission.session, generation(number)).unwrap();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            house.chain.with(|world| world.mine(1));
            house.toll.progressed(generation(number)).unwrap();
        }
        house.toll.ended(generation(number));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    house.toll.close(&token).await.unwrap();
    house.until(&admission, BillPhase::Settled).await;
    let bill = house.toll.bill(admission.session).unwrap();
    assert!((30_000..30_200).contains(&bill.served_ms), "{bill:?}");
    let back = bill.refund.convert(computepool_core::Asset::Usdcx).unwrap().plus(bill.dust).unwrap();
    assert_eq!(bill.paid_out.plus(back).unwrap(), Amount::usdcx(2_000_000_000_000_000_000));
    assert!(bill.paid_out >= bill.rate.times(30).unwrap(), "{bill:?}");
    let intents = house.chain.submitted();
    assert_eq!(intents.iter().filter(|intent| matches!(intent, Intent::Open { .. })).count(), 1);
    let again = house.toll.admit(&asked(), Presented::Token(token)).await.unwrap_err();
    assert!(matches!(again, TollRefusal::Pay { .. }), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn bad_vouchers_are_refused_by_name() {
    let mut house = House::new().await;
    let good = house.paid().await;
    type Change = fn(&mut PaymentPayload);
    let changes: [(&str, Change); 13] = [
        ("invalid_x402_version", |p| p.x402_version = 1),
        ("invalid_scheme", |p| p.accepted.scheme = "upto".into()),
        ("invalid_network", |p| p.accepted.network = "eip155:1".into()),
        ("invalid_exact_evm_payload_asset", |p| p.accepted.asset = p.accepted.pay_to.clone()),
        ("invalid_payment_requirements", |p| p.accepted.amount = "1".into()),
        ("invalid_payment_requirements", |p| p.accepted.extra.computepool.expires += 1),
        ("invalid_payment_requirements", |p| p.accepted.extra.computepool.lifetime += 1),
        ("invalid_exact_evm_payload_recipient_mismatch", |p| p.accepted.pay_to = p.accepted.asset.clone()),
        ("invalid_exact_evm_payload_recipient_mismatch", |p| p.payload.authorization.to = p.accepted.asset.clone()),
        ("invalid_exact_evm_payload_authorization_value_mismatch", |p| p.payload.authorization.value = "1".into()),
        ("invalid_exact_evm_payload_authorization_valid_after", |p| {
            p.payload.authorization.valid_after = (START_S + 1_000).to_string();
        }),
        ("invalid_payload", |p| p.payload.authorization.valid_before = "1e9".into()),
        ("invalid_exact_evm_payload_signature", |p| {
            p.payload.authorization.nonce = format!("0x{}", "77".repeat(32));
        }),
    ];
    for (reason, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(house.refusal(&bad).await, reason);
    }
    for header in ["", "!", "e30=", &"A".repeat(20_000)] {
        let refusal = house.toll.admit(&asked(), Presented::Voucher(header.to_owned())).await.unwrap_err();
        assert!(matches!(refusal, TollRefusal::Malformed(_)), "{refusal:?}");
    }
    assert!(house.ledger.all().is_empty());
    house.admit(&good).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_voucher_is_for_one_resource_and_one_time() {
    let mut house = House::new().await;
    let payload = house.paid().await;
    let elsewhere = Asked { resource: "https://pool.example/v1/completions".into(), ..asked() };
    let refusal = house.toll.admit(&elsewhere, Presented::Voucher(encode(&payload))).await.unwrap_err();
    assert!(matches!(&refusal, TollRefusal::Pay { reason, .. } if reason == "invalid_payment_requirements"));
    let admission = house.admit(&payload).await.unwrap();
    let again = house.refusal(&payload).await;
    assert!(again == "payment_quote_already_used" || again == "invalid_exact_evm_nonce_already_used", "{again}");
    house.until(&admission, BillPhase::Streaming).await;
    assert_eq!(house.refusal(&payload).await, "invalid_exact_evm_nonce_already_used");
    // Not even by another life.
    house.toll.drain(Duration::ZERO).await;
    let toll = start(&house.chain, &house.ledger, &house.clock, settings(), 2).await;
    assert!(toll.admit(&asked(), Presented::Voucher(encode(&payload))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn late_poor_and_cancelled_vouchers_are_refused() {
    let mut house = House::new().await;
    let late = house.paid().await;
    house.clock.ahead_ms.store(296_000, Ordering::Relaxed);
    assert_eq!(house.refusal(&late).await, "invalid_exact_evm_payload_authorization_valid_before");
    house.clock.ahead_ms.store(500_000, Ordering::Relaxed);
    assert_eq!(house.refusal(&late).await, "payment_expired");
    house.clock.ahead_ms.store(0, Ordering::Relaxed);

    let mut poor = Payer::new(8).unwrap();
    let required = house.required().await;
    let payload = poor.pay(&required, START_S).unwrap();
    assert_eq!(house.refusal(&payload).await, "insufficient_funds");

    let cancelled = house.paid().await;
    let nonce: B256 = cancelled.payload.authorization.nonce.parse().unwrap();
    house.chain.with(|world| world.cancel(house.payer.account(), nonce));
    assert_eq!(house.refusal(&cancelled).await, "invalid_exact_evm_nonce_already_used");
    // The chain's clock counts as well.
    let early = house.paid().await;
    house.chain.with(|world| world.mine(400));
    assert_eq!(house.refusal(&early).await, "invalid_exact_evm_payload_authorization_valid_before");
    assert!(house.ledger.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_slow_chain_delays_nobody_within_limits() {
    let mut house = House::new().await;
    let payload = house.paid().await;
    house.chain.behave(Mood::Slow(Duration::from_secs(5)));
    let before = tokio::time::Instant::now();
    let admission = house.admit(&payload).await.unwrap();
    assert!(before.elapsed() <= Duration::from_millis(50), "{:?}", before.elapsed());
    house.toll.began(admission.session, generation(1)).unwrap();
    house.until(&admission, BillPhase::Streaming).await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_be_trusted_waits_for_the_chain() {
    let mut house = House::with(|settings| settings.policy.exposed_by_all = Amount::usdcx(1)).await;
    let payload = house.paid().await;
    house.chain.behave(Mood::Slow(Duration::from_secs(2)));
    let before = tokio::time::Instant::now();
    let admission = house.admit(&payload).await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(2));
    assert_eq!(house.toll.bill(admission.session).unwrap().phase, BillPhase::Streaming);
}

#[tokio::test(start_paused = true)]
async fn a_payer_who_cancels_behind_our_back_is_served_no_more() {
    let mut house = House::new().await;
    let payload = house.paid().await;
    house.chain.behave(Mood::Slow(Duration::from_secs(3)));
    let nonce: B256 = payload.payload.authorization.nonce.parse().unwrap();
    let admission = house.admit(&payload).await.unwrap();
    house.toll.began(admission.session, generation(1)).unwrap();
    house.chain.with(|world| world.cancel(house.payer.account(), nonce));
    house.until(&admission, BillPhase::Rejected).await;
    let fault = house.toll.progressed(generation(1)).unwrap_err();
    assert_eq!(fault.code, FaultCode::PaymentRefused, "{fault}");
}

#[tokio::test(start_paused = true)]
async fn the_money_ends_the_generation_and_closes_the_session() {
    let mut house = House::new().await;
    let payload = house.paid().await;
    let admission = house.admit(&payload).await.unwrap();
    house.toll.began(admission.session, generation(1)).unwrap();
    let mut tokens = 0;
    let fault = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        house.chain.with(|world| world.mine(1));
        match house.toll.progressed(generation(1)) {
            Ok(()) => tokens += 1,
            Err(fault) => break fault,
        }
    };
    // 2 USDC less 0.9 that stay in the account, at 0.01 a second.
    assert_eq!((fault.code, tokens), (FaultCode::BudgetSpent, 109));
    house.toll.ended(generation(1));
    house.until(&admission, BillPhase::Settled).await;
    let bill = house.toll.bill(admission.session).unwrap();
    assert_eq!(bill.served_ms, 110_000);
    assert!(bill.paid_out >= bill.rate.times(110).unwrap() && !bill.refund.is_zero(), "{bill:?}");
}

#[tokio::test(start_paused = true)]
async fn another_life_finishes_what_the_first_began() {
    let mut house = House::new().await;
    let payload = house.paid().await;
    house.chain.behave(Mood::Mute);
    let admission = house.admit(&payload).await.unwrap();
    let token = admission.token.clone().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.toll.drain(Duration::ZERO).await;
    house.chain.behave(Mood::Well);
    house.toll = start(&house.chain, &house.ledger, &house.clock, settings(), 4).await;
    house.until(&admission, BillPhase::Streaming).await;
    assert_eq!(house.toll.session_of(&token), Some(admission.session), "its token is still good");
    house.until(&admission, BillPhase::Settled).await;
    assert_eq!(house.toll.bill(admission.session).unwrap().refund, Amount::usdc(2_000_000));
    assert_eq!(house.chain.with(|world| world.openings()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_nodes_units_go_to_its_stand_in() {
    let house = House::new().await;
    let (layers, operator) = (offer().places[1].layers, Account::new([9; 20]));
    let first = Serving { layers: offer().places[0].layers, operator: offer().places[0].operator.unwrap() };
    let serving = [first, Serving { layers, operator }];
    let coalition = tariff(&asked().model).coalition;
    assert_eq!(house.toll.pay_who_serves(coalition, &serving).await.unwrap(), 1);
    assert_eq!(house.chain.submitted(), [Intent::Reassign { coalition, place: 1, operator }]);
    // Units follow places; another cut has none.
    let elsewhere = [Serving { layers: LayerRange::new(0, 7).unwrap(), operator }];
    assert_eq!(house.toll.pay_who_serves(coalition, &elsewhere).await.unwrap(), 0);
    house.chain.behave(Mood::Away);
    assert_eq!(house.toll.pay_who_serves(coalition, &serving).await.unwrap_err().code, FaultCode::ChainUnavailable);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_not_guessed_or_shown() {
    let house = House::new().await;
    assert!(SessionToken::new("cps_short").is_none());
    let guess = SessionToken::new(&format!("cps_{}", "A".repeat(43))).unwrap();
    let refusal = house.toll.admit(&asked(), Presented::Token(guess.clone())).await.unwrap_err();
    assert!(matches!(&refusal, TollRefusal::Pay { reason, .. } if reason == "session_over"), "{refusal:?}");
    assert!(!format!("{guess:?}").contains("AAA"));
}
