//! Endpoints that are wrong, late, deaf, or hostile.

use std::time::Duration;

use alloy_primitives::{B256, U256, keccak256};
use computepool_core::ports::BillPhase;
use serde_json::{Value, json};

use crate::proxy::{Proxy, Says};
use crate::world::{Reach, World, account};

/// A world whose orchestrator asks these proxies first, then as many honest endpoints.
async fn world(proxies: &[&Proxy], honest: usize) -> World {
    let mut world = World::new().await;
    let anvil = world.devnet.anvil.endpoint().to_owned();
    let mut endpoints = Vec::new();
    for proxy in proxies {
        proxy.stand_before(&anvil);
        endpoints.push(proxy.url());
    }
    endpoints.extend(std::iter::repeat_n(anvil, honest));
    world.restart_with(Reach { endpoints, ..Reach::default() }).await;
    world
}

/// A whole paid session, to the last unit.
async fn a_session_goes_well(world: &World) {
    let before = world.usdc(world.people.payer).await;
    let (session, admission) = world.opened().await;
    world.streams(session, admission.session, 5).await;
    let bill = world.closes(&admission).await;
    assert!(bill.served_ms >= 5_000, "{bill:?}");
    let spent = U256::from(2_000_000) - bill.refund.units;
    assert_eq!(world.usdc(world.people.payer).await, before - spent);
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

/// An answer with something of it replaced.
fn with(result: &Value, changes: &[(&str, Value)]) -> Says {
    let mut result = result.clone();
    if result.is_object() {
        for (name, value) in changes {
            result[*name] = value.clone();
            for log in result["logs"].as_array_mut().into_iter().flatten() {
                if log.get(*name).is_some() {
                    log[*name] = value.clone();
                }
            }
        }
    }
    Says::This(result)
}

#[tokio::test]
async fn a_lone_endpoint_that_fails_is_late_and_hears_double_changes_nothing() {
    let proxy = Proxy::new().await;
    let world = world(&[&proxy], 0).await;
    let mut count = 0;
    proxy.behave(move |_, _, _| {
        count += 1;
        match count % 7 {
            0 => Says::Fails(503),
            2 => Says::Late(Duration::from_millis(60)),
            3 | 5 => Says::Twice,
            _ => Says::Truth,
        }
    });
    a_session_goes_well(&world).await;
    assert!(proxy.asked() > 50);
}

#[tokio::test]
async fn what_an_endpoint_did_and_does_not_admit_is_not_done_again() {
    let proxy = Proxy::new().await;
    let world = world(&[&proxy], 0).await;
    // Every transaction arrives, and every first try is said to have failed.
    let mut known = Vec::new();
    proxy.behave(move |method, params, _| {
        if method != "eth_sendRawTransaction" || known.contains(params) {
            return Says::Truth;
        }
        known.push(params.clone());
        Says::Fails(500)
    });
    a_session_goes_well(&world).await;
}

#[tokio::test]
async fn answers_to_other_questions_are_taken_for_none() {
    let proxy = Proxy::new().await;
    let world = world(&[&proxy], 1).await;
    let wrong = json!(B256::repeat_byte(0x66));
    proxy.behave(move |method, _, result| match method {
        "eth_getTransactionReceipt" => with(result, &[("transactionHash", wrong.clone())]),
        "eth_getBlockByNumber" => with(result, &[("number", json!("0x1"))]),
        "eth_sendRawTransaction" => Says::This(wrong.clone()),
        _ => Says::Truth,
    });
    a_session_goes_well(&world).await;
}

#[tokio::test]
async fn receipts_that_one_endpoint_makes_up_are_not_believed() {
    for change in [("status", json!("0x0")), ("blockHash", json!(B256::repeat_byte(0x66)))] {
        let proxy = Proxy::new().await;
        let world = world(&[&proxy], 2).await;
        proxy.behave(move |method, _, result| match method {
            "eth_getTransactionReceipt" => with(result, std::slice::from_ref(&change)),
            _ => Says::Truth,
        });
        a_session_goes_well(&world).await;
    }
}

#[tokio::test]
async fn a_session_is_not_over_because_one_endpoint_says_so() {
    let proxy = Proxy::new().await;
    let world = world(&[&proxy], 2).await;
    // It says that the session is closed, and that all of the money went back.
    let selector = |signature: &str| format!("0x{}", hex::encode(&keccak256(signature)[..4]));
    let (state, streamed) = (selector("state()"), selector("streamed()"));
    let closed = keccak256("Closed(uint64,uint256,uint256,uint256,uint256,uint256,uint256)");
    let word = |number: u64| format!("{number:064x}");
    let data = format!("0x{}{}{}{}{}{}{}", word(0), word(0), word(0), word(2_000_000), word(0), word(0), word(0));
    proxy.behave(move |method, params, result| {
        let input = params[0]["input"].as_str().or_else(|| params[0]["data"].as_str()).unwrap_or_default();
        match method {
            "eth_call" if input.starts_with(&state) => Says::This(json!(format!("0x{}", word(4)))),
            "eth_call" if input.starts_with(&streamed) => Says::This(json!(format!("0x{}", word(0)))),
            "eth_getLogs" if result.as_array().is_some_and(Vec::is_empty) => {
                let log = json!({
                    "address": params[0]["address"], "topics": [closed], "data": data, "blockNumber": "0x1",
                    "blockHash": B256::ZERO, "transactionHash": B256::ZERO, "transactionIndex": "0x0",
                    "logIndex": "0x0", "removed": false,
                });
                Says::This(json!([log]))
            }
            _ => Says::Truth,
        }
    });
    a_session_goes_well(&world).await;
}

#[tokio::test]
async fn a_voucher_is_not_void_because_one_endpoint_says_so() {
    let proxy = Proxy::new().await;
    let world = world(&[&proxy], 2).await;
    let payload = world.paid().await;
    let admission = world.admit(&payload).await.unwrap();
    // It says that the voucher was used, and that there is neither money nor a session at the account.
    let used = format!("0x{}", hex::encode(&keccak256("authorizationState(address,bytes32)")[..4]));
    let session = account(&payload).to_string().to_lowercase();
    proxy.behave(move |method, params, _| {
        let input = params[0]["input"].as_str().or_else(|| params[0]["data"].as_str()).unwrap_or_default();
        match method {
            "eth_call" if input.starts_with(&used) => Says::This(json!(format!("0x{:064x}", 1))),
            "eth_call" if input.contains(&session[2..]) => Says::This(json!(format!("0x{:064x}", 0))),
            "eth_getCode" if params[0].as_str().is_some_and(|of| of.eq_ignore_ascii_case(&session)) => {
                Says::This(json!("0x"))
            }
            _ => Says::Truth,
        }
    });
    world.until(admission.session, BillPhase::Streaming).await;
    world.serves(admission.session, 1, 5).await;
    world.closes(&admission).await;
    assert_eq!(world.assert_adds_up().await.len(), 1);
}

#[tokio::test]
async fn endpoints_that_are_away_or_deaf_hold_nobody_up() {
    let (deaf, away) = (Proxy::new().await, Proxy::new().await);
    let world = world(&[&deaf, &away], 1).await;
    away.behave(|_, _, _| Says::Fails(502));
    deaf.lose_transactions(true);
    a_session_goes_well(&world).await;
}
