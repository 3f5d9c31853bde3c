//! A page that was taken over: every command, with everything that it should not be given.

use computepool_app::desktop::commands::COMMANDS;
use computepool_core::FaultCode;
use serde_json::{Value, json};

use crate::kit::Bench;

/// Values that are not what anybody asked for.
fn nonsense() -> Vec<Value> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let mut all = vec![
        json!([]),
        json!("status"),
        json!(-1),
        json!(true),
        json!({"unexpected": 1}),
        json!({"__proto__": {"on": true}}),
        json!({"name": null}),
        json!({"name": 7}),
        deep,
    ];
    let texts =
        ["", "../../etc/passwd", "a\0b", "C:\\Windows", "%2e%2e", "\u{202e}x", "'; DROP TABLE x", "é", "${HOME}"];
    for text in texts.map(str::to_owned).into_iter().chain(["x".repeat(100_000)]) {
        for key in ["name", "id", "answer", "query", "scope", "wallet", "to", "session"] {
            all.push(json!({ key: text }));
        }
        all.push(json!({"name": text, "passphrase": text}));
        all.push(json!({"name": text, "place": "file", "passphrase": text}));
        all.push(json!({"name": text, "passphrase": null, "answers": [text]}));
        all.push(json!({"name": text, "to": text, "amount": text, "asset": text}));
        all.push(json!({"name": "main", "to": text, "amount": "-1", "asset": "USDC"}));
        all.push(json!({"name": text, "preset": text}));
        all.push(json!({"name": text, "session": text}));
        all.push(json!({"scope": text, "version": text}));
        all.push(json!({"thread": {"id": text, "title": text, "updated_ms": 1, "body": text}}));
        all.push(
            json!({"answer": text, "model": text, "messages": [{"role": "user", "content": text}], "sampling": {}}),
        );
        all.push(json!({"settings": {"sharing": {"name": text, "wallet": text, "invite": text}}}));
        all.push(json!({"settings": {"using": {"endpoint": text}}}));
    }
    all.push(json!({"length": {"kind": "minutes", "minutes": 4_000_000_000_u64}, "finish": false}));
    all.push(json!({"length": {"kind": "for_ever"}, "finish": false}));
    all.push(json!({"settings": {"rules": {"max_fan_percent": 101}}}));
    all.push(json!({"tokens": -1}));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_does_anything_with_what_it_should_not_be_given() {
    let bench = Bench::start();
    let before = bench.call("settings_get", Value::Null).await.unwrap();
    let (mut refused, mut answered) = (0, 0);
    for command in COMMANDS {
        for arguments in nonsense() {
            match bench.call(command, arguments.clone()).await {
                Ok(_) => answered += 1,
                Err(fault) => {
                    refused += 1;
                    let shown: String = arguments.to_string().chars().take(200).collect();
                    assert_ne!(fault.code, FaultCode::Internal, "{command} {shown}: {fault}");
                    assert!(fault.message.len() < 2_000, "{command} {shown}: says too much");
                    assert!(!fault.message.contains("root:"), "{command} {shown}: {fault}");
                }
            }
        }
    }
    assert!(refused > 20 * COMMANDS.len(), "{refused} refused, {answered} answered");
    // What some of it may do is to look for a text, to keep a conversation of a decent name, and to have none to delete.
    assert_eq!(bench.call("settings_get", Value::Null).await.unwrap(), before);
    let status = bench.call("status", Value::Null).await.unwrap();
    assert_eq!((&status["earn"], &status["pause"]), (&json!(false), &Value::Null));
    let consents = bench.call("consents", Value::Null).await.unwrap();
    assert!(consents.as_array().unwrap().iter().all(|card| card["agreed"] == false));
    assert!(bench.host.secrets.lock().unwrap().is_empty());
    assert_eq!(bench.call("wallets", Value::Null).await.unwrap(), json!([]));
    // And nothing was written but what belongs to the application.
    let outside: Vec<_> =
        std::fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["data"]);
}

#[tokio::test]
async fn there_is_no_command_but_those_of_the_table() {
    let bench = Bench::start();
    for name in ["", "Status", "status ", "../status", "eval", "wallet_export"] {
        assert_eq!(bench.call(name, Value::Null).await.unwrap_err().code, FaultCode::InvalidRequest, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_words_are_shown_beside_the_page_and_asked_back_in_it() {
    let bench = Bench::start();
    let opening = json!({"name": "main", "passphrase": "correct horse"});
    let made = json!({"name": "main", "place": "file", "passphrase": "correct horse"});
    let answers: Value = bench.call("wallet_create", made).await.unwrap();
    assert_eq!(answers["backed_up_ms"], Value::Null);
    assert_eq!(bench.call("wallet_show_words", opening.clone()).await.unwrap(), json!({}));
    let shown = bench.host.secrets.lock().unwrap()[0].clone();
    let words: Vec<&str> = shown.split(' ').collect();
    assert_eq!(words.len(), 12);
    assert!(!answers.to_string().contains(words[0]) || words[0].len() < 4);

    let early = json!({"name": "main", "passphrase": "correct horse", "answers": ["a", "b", "c"]});
    assert!(bench.call("wallet_backup_answer", early).await.is_err(), "nothing was asked for yet");
    let asked = bench.call("wallet_backup_question", opening).await.unwrap();
    let places: Vec<usize> = serde_json::from_value(asked["places"].clone()).unwrap();
    let right: Vec<&str> = places.iter().map(|place| words[place - 1]).collect();
    let answer = |answers: Vec<&str>| json!({"name": "main", "passphrase": "correct horse", "answers": answers});
    assert!(bench.call("wallet_backup_answer", answer(vec!["zoo"; places.len()])).await.is_err());
    let card = bench.call("wallet_backup_answer", answer(right)).await.unwrap();
    assert!(card["backed_up_ms"].is_number());
    let wrong = json!({"name": "main", "passphrase": "wrong horse"});
    assert!(bench.call("wallet_show_words", wrong).await.is_err());
    assert_eq!(bench.host.secrets.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wallet_comes_in_from_a_file_that_the_page_never_sees() {
    let bench = Bench::start();
    let import = async |name: &str, file_passphrase: Option<&str>| {
        let passphrase = "correct horse";
        let wanted =
            json!({"name": name, "place": "file", "passphrase": passphrase, "file_passphrase": file_passphrase});
        bench.call("wallet_import", wanted).await
    };
    assert!(import("none", None).await.is_err(), "no file was chosen");
    // Known to everybody, and to no page.
    let words = "test test test test test test test test test test test junk";
    let key = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let path = bench.folder.path().join("secret.txt");
    for (name, text) in [("words", words), ("key", key)] {
        std::fs::write(&path, format!("{text}\n")).unwrap();
        *bench.host.file.lock().unwrap() = Some(path.clone());
        let wallet = import(name, None).await.unwrap();
        assert_eq!(wallet["account"], "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert!(!wallet.to_string().contains(text));
    }
    for bad in ["{}".to_owned(), "test test junk".to_owned(), String::new(), "x".repeat(100_000)] {
        std::fs::write(&path, &bad).unwrap();
        let fault = import("bad", Some("x")).await.unwrap_err();
        assert!(bad.is_empty() || !fault.to_string().contains(&bad[..bad.len().min(40)]) || bad == "{}", "{fault}");
    }
    assert_eq!(bench.call("wallets", Value::Null).await.unwrap().as_array().unwrap().len(), 2);
}
