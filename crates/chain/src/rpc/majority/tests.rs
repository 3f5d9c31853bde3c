use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, U256};
use serde_json::json;

use super::*;
use crate::rpc::endpoints::tests::{Does, Fake, over};

fn says(number: u64) -> Does {
    Does::Answer(json!(format!("{number:#x}")))
}

async fn balance(fakes: &[&Fake]) -> Result<U256, ChainError> {
    let same = |one: &U256, other: &U256| one == other;
    over(fakes).agreed("eth_getBalance", (Address::ZERO, BlockNumberOrTag::Number(1)), same).await
}

#[tokio::test(start_paused = true)]
async fn three_outvote_one_wherever_it_stands() {
    let (well, liar) = (Fake::new(1, [says(5)]), Fake::new(1, [says(6)]));
    let other = Fake::new(1, [says(5)]);
    for order in [[&liar, &well, &other], [&well, &liar, &other], [&well, &other, &liar]] {
        assert_eq!(balance(&order).await.unwrap(), U256::from(5));
    }
    let refuser = Fake::new(1, [Does::Refuse(3, "no")]);
    assert_eq!(balance(&[&refuser, &well, &other]).await.unwrap(), U256::from(5));
    let other_words = Fake::new(1, [Does::Refuse(3, "nay")]);
    assert!(matches!(balance(&[&refuser, &other_words, &well]).await, Err(ChainError::Refused { .. })));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_has_no_vote() {
    let (well, other) = (Fake::new(1, [says(5)]), Fake::new(1, [says(6)]));
    let (hangs, breaks) = (Fake::new(1, [Does::Hang]), Fake::new(1, [Does::Break]));
    assert_eq!(balance(&[&hangs, &breaks, &well]).await.unwrap(), U256::from(5));
    assert!(matches!(balance(&[&hangs, &other, &well]).await, Err(ChainError::Disagreed { .. })));
    let late = Fake::new(1, [Does::Break, says(5)]);
    assert_eq!(balance(&[&hangs, &breaks, &late]).await.unwrap(), U256::from(5), "it is asked again");
}

#[tokio::test(start_paused = true)]
async fn the_newest_block_is_one_that_most_have() {
    let [behind, well, ahead] = [3, 7, 1_000_000].map(|number| Fake::new(1, [says(number)]));
    let other = Fake::new(1, [says(7)]);
    assert_eq!(over(&[&ahead, &well, &other]).head().await.unwrap(), 7);
    assert_eq!(over(&[&behind, &well, &other]).head().await.unwrap(), 7);
    assert_eq!(over(&[&ahead, &well, &behind]).head().await.unwrap(), 7);
    let breaks = Fake::new(1, [Does::Break]);
    assert_eq!(over(&[&breaks, &well, &behind]).head().await.unwrap(), 3);
}
