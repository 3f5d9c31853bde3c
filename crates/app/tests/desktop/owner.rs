//! What the owner sets and says, and what comes of it.

use std::time::Duration;

use computepool_sensors::{AppName, Observation};
use serde_json::{Value, json};

use crate::kit::Bench;

/// Agreed, switched on, and nobody there.
async fn sharing() -> Bench {
    let bench = Bench::start();
    bench.call("consent_give", json!({"scope": "share", "version": "1"})).await.unwrap();
    bench.call("earn_set", json!({"on": true})).await.unwrap();
    bench.until("free", |status| status["reason"]["code"] == "free").await;
    bench
}

#[tokio::test]
async fn nothing_is_shared_before_it_was_agreed_to_and_revoking_ends_it() {
    let bench = Bench::start();
    bench.call("earn_set", json!({"on": true})).await.unwrap();
    let status = bench.until("not agreed", |status| status["reason"]["code"] == "not_agreed").await;
    assert_eq!(status["face"], "attention");
    let old = json!({"scope": "share", "version": "0"});
    assert!(bench.call("consent_give", old).await.is_err(), "the text has another version");
    bench.call("consent_give", json!({"scope": "share", "version": "1"})).await.unwrap();
    bench.until("free", |status| status["reason"]["code"] == "free").await;
    bench.call("consent_revoke", json!({"scope": "share"})).await.unwrap();
    bench.until("not agreed", |status| status["reason"]["code"] == "not_agreed").await;
    let history = bench.call("consent_history", Value::Null).await.unwrap();
    let said: Vec<&Value> = history.as_array().unwrap().iter().map(|record| &record["agreed"]).collect();
    assert_eq!(said, [true, false]);
}

#[tokio::test]
async fn a_verdict_follows_what_is_seen_and_always_has_its_reason() {
    let bench = sharing().await;
    let game = Observation { fullscreen: Some(AppName::from("Hades.exe")), ..bench.seen.borrow().clone() };
    bench.seen.send_replace(game);
    let status = bench.until("a game", |status| status["reason"]["code"] == "fullscreen").await;
    assert_eq!(status["sentence"], "Paused: hades is in full screen");
    assert_eq!(status["face"], "paused");
    bench.seen.send_replace(Observation { idle: Some(Duration::ZERO), ..Observation::default() });
    let status = bench.until("two reasons", |status| status["further"][0]["code"] == "in_use").await;
    assert_eq!(status["reason"]["code"], "fullscreen", "a game counts for a while after");
}

#[tokio::test]
async fn a_pause_outlives_a_restart_and_an_ended_one_is_told() {
    let bench = sharing().await;
    bench.call("pause", json!({"length": {"kind": "until_resumed"}, "finish": true})).await.unwrap();
    bench.until("paused", |status| status["reason"] == json!({"code": "paused", "until_ms": null})).await;
    bench.desktop.quit().await;
    let Bench { folder, .. } = bench;
    let bench = Bench::within(folder);
    bench.until("paused still", |status| status["reason"]["code"] == "paused" && status["earn"] == true).await;
    bench.call("resume", Value::Null).await.unwrap();
    bench.until("free", |status| status["reason"]["code"] == "free").await;

    bench.call("pause", json!({"length": {"kind": "tomorrow"}, "finish": false})).await.unwrap();
    bench.until("paused", |status| status["reason"]["until_ms"].is_number()).await;
    // The time comes.
    let over = |settings: &mut computepool_app::desktop::Settings| {
        settings.sharing.pause = Some(computepool_app::policy::Pause { until_ms: Some(1), finish: false });
    };
    bench.desktop.set(over).unwrap();
    bench.until("free", |status| status["reason"]["code"] == "free" && status["pause"].is_null()).await;
    let notices = bench.host.notices.lock().unwrap().clone();
    assert_eq!(notices.iter().map(|notice| notice.code.as_str()).collect::<Vec<_>>(), ["pause_ended"]);
}

#[tokio::test]
async fn a_link_invites_and_joins_nothing_by_itself() {
    let bench = Bench::start();
    let link = "computepool://join/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN?at=/ip4/127.0.0.1/tcp/9";
    assert!(bench.desktop.offer_invite("computepool://join/nobody").is_err());
    bench.desktop.offer_invite(link).unwrap();
    let status = bench.call("status", Value::Null).await.unwrap();
    assert_eq!(status["invited"], link);
    let joined = async || bench.call("settings_get", Value::Null).await.unwrap()["sharing"]["invite"].clone();
    assert_eq!(joined().await, Value::Null);
    let status = bench.call("invite_answer", json!({"join": false})).await.unwrap();
    assert_eq!((&status["invited"], joined().await), (&Value::Null, Value::Null));
    // Nothing is left to be joined.
    bench.call("invite_answer", json!({"join": true})).await.unwrap();
    assert_eq!(joined().await, Value::Null);
    bench.desktop.offer_invite(link).unwrap();
    bench.call("invite_answer", json!({"join": true})).await.unwrap();
    assert_eq!(joined().await, link);
}

#[tokio::test]
async fn settings_are_written_down_before_they_hold_and_a_full_disk_changes_nothing() {
    let bench = sharing().await;
    let mut settings = bench.call("settings_get", Value::Null).await.unwrap();
    settings["rules"]["max_temperature_c"] = json!(70);
    bench.call("settings_set", json!({ "settings": settings })).await.unwrap();
    // Where the fresh file would be there is a folder: nobody can write there.
    std::fs::create_dir(bench.folder.path().join("data/settings.toml.new")).unwrap();
    let fault = bench.call("earn_set", json!({"on": false})).await.unwrap_err();
    assert!(fault.hint.is_some(), "{fault}");
    let held = bench.call("settings_get", Value::Null).await.unwrap();
    assert_eq!((&held["sharing"]["earn"], &held["rules"]["max_temperature_c"]), (&json!(true), &json!(70)));
}
