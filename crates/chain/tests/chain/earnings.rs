use alloy::primitives::{Address, B256};
use computepool_chain::Sessions;
use computepool_chain::deployment::deploy;
use computepool_chain::earnings::{Earnings, PayoutKind};
use computepool_chain::sender::Until;
use computepool_chain::tokens::Tokens;
use computepool_core::money::{Account, Amount, Asset};
use computepool_core::ports::{Chain as _, Delivery, Intent, SessionTerms, StepId};

use crate::Chain;
use crate::sessions::{coalition, terms, voucher};

#[tokio::test]
async fn what_operators_earned_is_what_their_sessions_paid_to_the_last_wei() {
    let chain = Chain::start().await;
    let meter = chain.sender();
    let (book, _) = deploy(&meter, &chain.network, &|_, _| {}).await.unwrap();
    let earnings = Earnings::new(chain.rpc.clone(), &book);
    let tokens = Tokens::new(chain.rpc.clone(), &book);
    let others: Vec<Address> = chain.rpc.request("eth_accounts", ()).await.unwrap();
    let operators = [Account(others[1]), Account(others[2])];
    assert_eq!(earnings.record(operators[0], None).await.unwrap().coalitions, []);

    let coalition = coalition(&chain, &book, &meter).await;
    // Coin for the faucet's call, which nobody signs.
    tokens.devnet_gift(chain.key.account, Amount::zero(Asset::Native)).await.unwrap();
    let again = tokens.devnet_gift(chain.key.account, Amount::zero(Asset::Native)).await;
    assert!(again.is_err(), "once an hour");
    let sessions = Sessions::new(chain.network.clone(), book, meter.clone());
    let mut step = 0;
    let mut submit = async |intent| {
        step += 1;
        let delivery = sessions.submit(StepId(B256::repeat_byte(step)), intent).await;
        assert!(matches!(delivery, Delivery::Landed { .. }), "{delivery:?}");
    };
    // One session that is over, and one that streams.
    let mut accounts = Vec::new();
    for salt in [1, 2] {
        let terms = SessionTerms { coalition, salt: B256::repeat_byte(salt), ..terms() };
        let voucher = voucher(&chain, &sessions, &terms);
        submit(Intent::Open { terms, voucher, start: true }).await;
        accounts.push(sessions.session_account(&terms));
    }
    chain.tell("evm_increaseTime", (20,)).await;
    submit(Intent::Pause { session: accounts[0], served_ms: 25_000 }).await;
    submit(Intent::Close { session: accounts[0], served_ms: 25_000 }).await;

    let end = sessions.session(accounts[0]).await.unwrap().settled.unwrap();
    let (paid, mut sum) = (end.streamed.plus(end.topped_up).unwrap(), Amount::zero(Asset::Usdcx));
    assert!(!end.topped_up.is_zero() && !end.streamed.is_zero(), "{end:?}");
    for (operator, layers) in operators.into_iter().zip([5, 3]) {
        let record = earnings.record(operator, None).await.unwrap();
        assert_eq!((record.coalitions.as_slice(), record.payouts.len()), (&[coalition][..], 0));
        let [over, open] = record.sessions.as_slice() else { panic!("{record:?}") };
        assert_eq!((over.session, over.closed.is_some(), over.payer), (accounts[0], true, terms().payer));
        assert_eq!((open.session, open.closed), (accounts[1], None));
        assert!(open.amount.times(8).unwrap() >= end.rate.times(20 * layers).unwrap(), "{open:?}");
        sum = sum.plus(over.amount).unwrap();

        let seat = earnings.seat(coalition, operator).await.unwrap();
        assert!(seat.bonding && seat.payee != operator && seat.staked.is_zero(), "{seat:?}");
        assert_eq!(seat.flowing.times(8).unwrap(), end.rate.times(layers).unwrap());
        assert_eq!((seat.units.0 * 8, seat.bonded), (seat.units.1 * u128::from(layers), Amount::zero(Asset::Usdcx)));
        assert!(seat.received >= over.amount.plus(open.amount).unwrap(), "{seat:?}");
        assert!(seat.received >= seat.claimable);
    }
    assert_eq!(sum, paid, "nobody else got anything of the session that is over");

    // What was earned becomes stake: the bond account keeps what it lacks.
    let seat = earnings.seat(coalition, operators[0]).await.unwrap();
    meter.send(tokens.fill(seat.payee), Until::Final).await.unwrap();
    let payouts = earnings.record(operators[0], None).await.unwrap().payouts;
    let kinds: Vec<PayoutKind> = payouts.iter().map(|payout| payout.kind).collect();
    assert_eq!(kinds, [PayoutKind::Collected, PayoutKind::Staked]);
    let (units, dust) = payouts[0].amount.split(Asset::Usdc).unwrap();
    let after = earnings.seat(coalition, operators[0]).await.unwrap();
    assert_eq!((payouts[1].amount, after.staked), (units, units));
    assert_eq!(after.bonded, dust, "less than a unit stays");
}
