//! A payer who asks our own toll, and one who is told nonsense.

use std::sync::Arc;

use alloy_primitives::{B256, hex};
use computepool_core::ports::{
    Admission, Asked, Authorization, Chain, Clock, Presented, SigningContent, SystemClock, Toll, TollRefusal, Vault,
};
use computepool_core::{Account, Amount, Fault, FaultCode, ModelId};
use computepool_payments::client::{
    Demand, Draft, Escrow, LONGEST_S, Means, Offer, PayError, Payment, Settlement, Unfit, pay,
};
use computepool_payments::quote::QuoteKey;
use computepool_payments::testkit::{FakeChain, MemoryLedger, Payer, tariff, token_domain};
use computepool_payments::voucher::signing_hash;
use computepool_payments::x402::{PaymentPayload, decode};
use computepool_payments::{Payments, Ports, Settings};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

fn asked() -> Asked {
    Asked {
        model: ModelId::new("m").unwrap(),
        resource: "https://pool.example/v1/chat/completions".into(),
        payer: None,
    }
}

fn now_s() -> u64 {
    SystemClock.now_ms() / 1000
}

async fn toll(payer: &Payer) -> Payments {
    let chain = FakeChain::new(now_s());
    chain.with(|world| world.fund(payer.account(), 100_000_000));
    let ports = Ports {
        chain: Arc::new(chain),
        ledger: Arc::new(MemoryLedger::default()),
        clock: Arc::new(SystemClock),
        random: Box::new(StdRng::seed_from_u64(1)),
    };
    Payments::start(ports, Settings::new(vec![tariff(&asked().model)], QuoteKey::new([9; 32]))).await.unwrap()
}

fn means(payer: &Payer) -> Means {
    Means { account: payer.account(), tokens: vec![token_domain()], most: Amount::usdc(2_000_000), sessions: None }
}

async fn demand(toll: &Payments) -> Demand {
    Demand::read(Some(&toll.quote(&asked(), None).await.unwrap().header), b"").unwrap()
}

async fn present(toll: &Payments, payment: &Payment) -> Result<Admission, TollRefusal> {
    toll.admit(&asked(), Presented::Voucher(payment.header.clone())).await
}

#[tokio::test]
async fn our_own_toll_takes_what_the_payer_signs_once() {
    let payer = Payer::new(7).unwrap();
    let toll = toll(&payer).await;
    let demand = demand(&toll).await;
    let payment = pay(&payer, &means(&payer), &demand, now_s(), B256::repeat_byte(1)).await.unwrap();
    let admission = present(&toll, &payment).await.unwrap();
    let settlement = Settlement::read(&admission.receipt.unwrap(), &payment).unwrap();
    assert!(settlement.taken, "{settlement:?}");
    assert_eq!(settlement.units, Some(payment.authorization.value.units));
    assert_eq!(settlement.extensions["computepool"]["account"], payment.authorization.to.to_string());

    let Err(TollRefusal::Pay { receipt: Some(receipt), .. }) = present(&toll, &payment).await else {
        panic!("it was taken twice")
    };
    let again = Settlement::read(&receipt, &payment).unwrap();
    assert!(!again.taken && again.reason.is_some(), "{again:?}");
}

#[tokio::test]
async fn a_payer_signs_what_it_knows_for_as_long_as_it_likes() {
    let payer = Payer::new(7).unwrap();
    let demand = demand(&toll(&payer).await).await;
    let means = means(&payer);
    let (offer, token) = means.choose(&demand).unwrap();
    let forever = Offer { timeout_s: u64::MAX, ..offer.clone() };
    let draft = Draft::new(&demand, &forever, token, means.account, 10_000, B256::ZERO);
    assert_eq!((draft.authorization.valid_after, draft.authorization.valid_before), (9_400, 10_000 + LONGEST_S));
    let request = draft.request();
    let SigningContent::Authorization { token, authorization } = &request.content else { panic!("{request:?}") };
    assert_eq!((token, authorization.value), (&token_domain(), Amount::usdc(2_000_000)));
    let signature = Vault::sign(&payer, &request).await.unwrap();
    let signed = draft.clone().signed(&signature);
    let sent: PaymentPayload = decode(&signed.header).unwrap();
    let bytes = hex::decode(sent.payload.signature).unwrap();
    assert!(bytes.len() == 65 && matches!(bytes[64], 27 | 28));
    let hash = signing_hash(token, authorization);
    assert_eq!(signature.recover_address_from_prehash(&hash).unwrap(), payer.account().0);
    assert_eq!(serde_json::to_value(sent.accepted).unwrap(), forever.said, "word for word");
}

#[tokio::test]
async fn nothing_is_signed_above_the_limit_or_for_others() {
    let payer = Payer::new(7).unwrap();
    let demand = demand(&toll(&payer).await).await;
    let mut poor = means(&payer);
    poor.most = Amount::usdc(1_999_999);
    let fault = Fault::from(pay(&payer, &poor, &demand, now_s(), B256::ZERO).await.unwrap_err());
    assert_eq!(fault.code, FaultCode::SpendLimit, "{fault}");
    let other = Means { account: Payer::new(8).unwrap().account(), ..means(&payer) };
    let error = pay(&payer, &other, &demand, now_s(), B256::ZERO).await.unwrap_err();
    assert!(matches!(error, PayError::NotSigned(_)), "{error}");
    assert_eq!(Fault::from(error).code, FaultCode::Unauthorized);
}

/// A payer that pays sessions of its own only.
fn wary(payer: &Payer) -> Means {
    let chain = FakeChain::new(now_s());
    let escrow = Escrow::new(token_domain().chain, move |terms| chain.session_account(terms));
    Means { sessions: Some(escrow), ..means(payer) }
}

#[tokio::test]
async fn a_wary_payer_pays_what_names_it_and_nothing_else() {
    let payer = Payer::new(7).unwrap();
    let toll = toll(&payer).await;
    let why = |error: PayError| match error {
        PayError::NothingFits(why) => why.into_iter().next().unwrap(),
        other => panic!("{other}"),
    };
    let nameless = demand(&toll).await;
    let refused = pay(&payer, &wary(&payer), &nameless, now_s(), B256::repeat_byte(1)).await.unwrap_err();
    assert!(matches!(why(refused), Unfit::NoSession(_)));

    let asked = Asked { payer: Some(payer.account()), ..asked() };
    let named = Demand::read(Some(&toll.quote(&asked, None).await.unwrap().header), b"").unwrap();
    let payment = pay(&payer, &wary(&payer), &named, now_s(), B256::repeat_byte(1)).await.unwrap();
    present(&toll, &payment).await.unwrap();

    // The same offer with one thing changed, by a server that would keep the rest.
    let offer = named.offers[0].clone().unwrap();
    let other = Account::new([6; 20]);
    let mut pays_itself = offer.clone();
    pays_itself.pay_to = other;
    let mut longer = offer.clone();
    longer.said["extra"]["computepool"]["lifetime"] = 7_200.into();
    let mut renamed = offer.clone();
    renamed.said["extra"]["computepool"]["payer"] = other.to_string().into();
    let mut dearer = offer.clone();
    dearer.units -= alloy_primitives::U256::from(1);
    let mut bare = offer;
    bare.said["extra"]["computepool"].take();
    for changed in [pays_itself, longer, renamed, dearer, bare] {
        let demand = Demand { offers: vec![Ok(changed.clone())], ..named.clone() };
        let refused = pay(&payer, &wary(&payer), &demand, now_s(), B256::repeat_byte(2)).await.unwrap_err();
        assert!(matches!(why(refused), Unfit::NoSession(_)), "{changed:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::walk::cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_asks_for_nothing(header in ".{0,80}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Demand::read(Some(&header), &body).is_err());
        prop_assert!(Demand::read(None, &body).is_err());
    }

    #[test]
    fn mutated_demands_cost_no_more(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let payer = Payer::new(7).unwrap();
        let mut text = DEMAND.as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        let Ok(demand) = Demand::read(None, &text) else { return Ok(()) };
        if let Ok((offer, token)) = means(&payer).choose(&demand) {
            let draft = Draft::new(&demand, offer, token, payer.account(), 1_800_000_000, B256::ZERO);
            prop_assert!(draft.authorization.value.units <= means(&payer).most.units);
            prop_assert_eq!(draft.token, token_domain());
        }
    }

    #[test]
    fn garbage_settles_nothing(header in ".{0,120}") {
        let payment = Payment {
            token: token_domain(),
            authorization: Authorization {
                from: Payer::new(7).unwrap().account(),
                to: Payer::new(8).unwrap().account(),
                value: Amount::usdc(1),
                valid_after: 0,
                valid_before: 1,
                nonce: B256::ZERO,
            },
            session: None,
            signature: vec![7; 65].into(),
            header: String::new(),
        };
        prop_assert!(Settlement::read(&header, &payment).is_err());
    }
}

/// What some other server asks for.
const DEMAND: &str = r#"{"x402Version":2,"resource":{"url":"http://x/"},"accepts":[{"scheme":"exact",
"network":"eip155:31337","amount":"1000000","asset":"0xcccccccccccccccccccccccccccccccccccccccc",
"payTo":"0x209693bc6afc0c5328ba36faf03c514ef312287c","maxTimeoutSeconds":60,
"extra":{"name":"USD Coin","version":"2"}}]}"#;
