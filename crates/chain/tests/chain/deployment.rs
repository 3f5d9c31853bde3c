use std::sync::atomic::Ordering;

use computepool_chain::ChainError;
use computepool_chain::deployment::{Plan, deploy, verify, wiring};
use computepool_chain::gas::TRANSACTION_GAS;
use computepool_core::money::{Account, Amount, Asset};

use crate::Chain;
use crate::anvils::trial;

#[tokio::test]
async fn everything_is_deployed_once_and_a_session_is_paid() {
    let chain = Chain::start().await;
    let sender = chain.sender();
    let (book, first) = deploy(&sender, &chain.network, &|_, _| {}).await.unwrap();
    assert_eq!(book, Plan::new(&chain.network, sender.account()).unwrap().book);
    assert!(first.largest < TRANSACTION_GAS, "{first:?}");

    let signed = chain.key.signed.load(Ordering::SeqCst);
    let (again, second) = deploy(&chain.sender(), &chain.network, &|_, done| assert!(done)).await.unwrap();
    assert_eq!(again, book);
    assert_eq!(second.transactions, 0);
    assert_eq!(chain.key.signed.load(Ordering::SeqCst), signed);

    let trial = trial(&chain.rpc, 1).await;
    let paid = verify(&sender, &chain.network, &book, Some(&trial)).await.unwrap().paid.unwrap();
    // At least two seconds of a hundred-thousandth; the rest came back.
    assert!(paid.received.units >= Amount::usdcx(20_000_000_000_000).units, "{paid:?}");
    assert_eq!(paid.received.plus(paid.refund).unwrap(), paid.paid_in);
    assert_eq!(paid.paid_in, Amount::usdc(250_000).convert(Asset::Usdcx).unwrap());

    // What is not wired as it should be is noticed, whichever part it is.
    let mut wrong = book.clone();
    wrong.superfluid.gda = book.superfluid.cfa;
    assert!(matches!(wiring(&chain.rpc, &chain.network, &wrong).await, Err(ChainError::Wiring { .. })));
    let mut missing = book;
    missing.session_escrow = Account::new([7; 20]);
    assert!(matches!(wiring(&chain.rpc, &chain.network, &missing).await, Err(ChainError::Wiring { .. })));
}
