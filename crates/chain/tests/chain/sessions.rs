use std::sync::Arc;

use alloy::primitives::{B256, Bytes};
use alloy::sol;
use computepool_chain::Sessions;
use computepool_chain::deployment::deploy;
use computepool_core::money::{Account, Amount};
use computepool_core::ports::{
    Authorization, Chain as _, CoalitionId, Cursor, Delivery, Intent, SessionTerms, StepId, Voucher,
};

use crate::Chain;

sol! {
    struct Quote {
        bytes32 coalition;
        uint64 amount;
        uint32 lifetime;
        uint64 expires;
        address payer;
        bytes32 salt;
    }
    function account(Quote calldata quote) external view returns (address);
}

fn terms() -> SessionTerms {
    SessionTerms {
        coalition: CoalitionId(B256::repeat_byte(1)),
        amount: Amount::usdc(1_250_000),
        lifetime_s: 3_600,
        expires_s: 4_000_000_000,
        payer: Account::new([5; 20]),
        salt: B256::repeat_byte(9),
    }
}

#[tokio::test]
async fn accounts_are_where_the_escrow_puts_them_and_nothing_is_made_up() {
    let chain = Chain::start().await;
    let meter = chain.sender();
    let (book, _) = deploy(&meter, &chain.network, &|_, _| {}).await.unwrap();
    let sessions = Arc::new(Sessions::new(chain.network.clone(), book.clone(), meter));
    let terms = terms();
    let quote = Quote {
        coalition: terms.coalition.0,
        amount: 1_250_000,
        lifetime: terms.lifetime_s,
        expires: terms.expires_s,
        payer: terms.payer.0,
        salt: terms.salt,
    };
    let session = sessions.session_account(&terms);
    assert_eq!(session.0, chain.rpc.call(book.session_escrow.0, &accountCall { quote }).await.unwrap());
    assert_eq!(sessions.session(session).await.unwrap().newest, None);

    // A coalition that nobody proposed offers nothing, and a voucher that nobody signed opens nothing.
    assert!(!sessions.coalition(terms.coalition).await.is_ok_and(|offer| offer.open));
    let authorization = Authorization {
        from: terms.payer,
        to: session,
        value: terms.amount,
        valid_after: 0,
        valid_before: 4_000_000_000,
        nonce: B256::repeat_byte(7),
    };
    let voucher = Voucher { authorization, signature: Bytes::from(vec![1; 65]) };
    let state = sessions.voucher(&terms, &voucher).await.unwrap();
    assert!(state.balance.is_zero() && !state.used && state.refused.is_some(), "{state:?}");
    let opening = Intent::Open { terms, voucher, start: false };
    let delivery = sessions.submit(StepId(B256::repeat_byte(8)), opening).await;
    assert!(matches!(delivery, Delivery::Refused(_)), "{delivery:?}");

    let said = sessions.events(Cursor::default(), 10).await.unwrap();
    assert!(said.events.is_empty());
    assert_eq!(said.next.block, chain.rpc.head().await.unwrap());
}
