//! The command line of money: the real program, on a devnet with the real contracts.
#![expect(clippy::unwrap_used, reason = "what a test sets up may fail it")]

mod kit;

use std::path::Path;

use kit::{Devnet, Program};

/// The first of anvil's accounts, and what brings it back; everybody knows both.
const KNOWN: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const WORDS: &str = "test test test test test test test test test test test junk";
const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

#[test]
fn wallets_come_and_go_with_what_was_written_down() {
    let program = Program::new();
    let made = program.ok(&["wallet", "create", "main", "--file", "--yes"]);
    let words = kit::words(&made);
    let account = kit::account(&made);
    assert_eq!(words.len(), 12, "{made}");
    assert!(program.fails(&["wallet", "create", "main", "--file", "--yes"]).contains("already"));
    // A wallet whose words nobody gave back is not thrown away.
    assert!(program.fails(&["wallet", "forget", "main", "--yes"]).contains("backup"));

    let again = program.ok_with(&["wallet", "import", "again", "--file"], &words.join("\n"));
    assert!(again.contains(&account), "{again}");
    program.ok(&["wallet", "forget", "again", "--yes"]);
    for (name, secret) in [("words", WORDS), ("key", KEY)] {
        let taken = program.ok_with(&["wallet", "import", name, "--file"], secret);
        assert!(taken.contains(KNOWN) && !taken.contains(secret), "{taken}");
    }
    assert!(program.fails_with(&["wallet", "import", "bad", "--file"], "test test junk").contains("12, 15, 18"));

    let keystore = program.path("keystore.json");
    let new = program.path("new-passphrase");
    std::fs::write(&new, "another horse\n").unwrap();
    let (keystore, new) = (keystore.to_str().unwrap(), new.to_str().unwrap());
    program.ok(&["wallet", "export", "key", "--out", keystore, "--new-passphrase-file", new]);
    let text = std::fs::read_to_string(keystore).unwrap();
    assert!(!text.contains(KEY) && text.contains("scrypt"));
    let import = ["wallet", "import", "file", "--file", "--keystore", keystore];
    assert!(program.fails(&import).contains("passphrase is wrong"));
    assert!(program.ok(&[&import[..], &["--keystore-passphrase-file", new]].concat()).contains(KNOWN));

    let listed = program.ok(&["wallet", "list"]);
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["file", "key", "main", "words"]);
    assert!(program.fails(&["wallet", "show", "nobody"]).contains("`computepool wallet create` makes one"));
}

#[tokio::test]
async fn money_is_given_shown_sent_and_withdrawn_within_limits() {
    let program = Program::new();
    let devnet = Devnet::start(program.path("devnet")).await;
    let on = |arguments: &[&str]| devnet.on(arguments);
    let account = kit::account(&program.ok(&["wallet", "create", "alice", "--file", "--yes"]));
    let friend = "0x00000000000000000000000000000000000000F1";

    let given = program.ok(&on(&["wallet", "faucet", "alice"]));
    assert!(given.contains("1000 USDC") && given.contains("10 native"), "{given}");
    assert!(program.fails(&on(&["wallet", "faucet", "alice"])).contains("within the hour"));
    let shown = program.ok(&on(&["wallet", "show", "alice"]));
    assert!(shown.contains(&account) && shown.contains("devnet (31337)") && shown.contains("may spend nothing"));

    // Nothing goes without limits, and nothing beyond them; nobody is asked who is not there.
    let send = |amount| on(&["wallet", "send", amount, friend, "--wallet", "alice", "--yes"]);
    let refused = program.fails(&send("4usdc"));
    assert!(refused.contains("spend_limit") && refused.contains("computepool wallet limits"), "{refused}");
    assert!(program.fails(&on(&["wallet", "limits", "alice", "--transfer", "5usdc/week"])).contains("5usdc/day"));
    let set = on(&["wallet", "limits", "alice", "--transfer", "10usdc/day", "--transfer", "1native/day"]);
    assert!(program.ok(&set).contains("10 USDC"));
    let unasked = on(&["wallet", "send", "4usdc", friend, "--wallet", "alice"]);
    assert!(program.fails(&unasked).contains("--yes"));
    assert_eq!(devnet.usdc(friend).await, 0);

    let sent = program.ok(&send("4usdc"));
    assert!(sent.contains("gas        at most") && sent.contains("leaves     996 USDC"), "{sent}");
    assert_eq!(devnet.usdc(friend).await, 4_000_000);
    let refused = program.fails(&send("7usdc"));
    assert!(refused.contains("more than the 6 USDC"), "{refused}");
    assert!(program.fails(&send("2000usdc")).contains("less than 2000 USDC"));
    assert!(program.fails(&send("0usdc")).contains("nothing to send"));
    assert_eq!(devnet.usdc(friend).await, 4_000_000);
    let shown = program.ok(&on(&["wallet", "limits", "alice"]));
    assert!(shown.lines().any(|line| line.contains("10 USDC") && line.ends_with(" 4 USDC")), "{shown}");

    // What was earned comes back as USDC, but for what is less than a unit of it.
    devnet.wrap(&account, 3_000_000, 7).await;
    let withdraw = on(&["wallet", "withdraw", "alice", "--to", friend, "--yes"]);
    let done = program.ok(&withdraw);
    assert!(done.contains("Turn 3 USDCx into 3 USDC; 0.000000000000000007 USDCx is less than a unit"), "{done}");
    assert_eq!(devnet.usdc(friend).await, 7_000_000);
    assert!(program.ok(&withdraw).contains("nothing can be withdrawn"));
    assert!(program.ok(&on(&["wallet", "withdraw", "alice", "--claim", "--yes"])).contains("nothing can be"));
    let earned = program.ok(&on(&["earnings", "alice"]));
    assert!(earned.contains("belongs to no coalition"), "{earned}");
    let table = program.ok(&on(&["earnings", "--account", &account, "--csv"]));
    assert_eq!(table, "time_s,kind,coalition,session,transaction,amount,asset\r\n");
    devnet.leave();
}

#[tokio::test]
async fn a_deployment_that_is_there_is_found_verified_and_paid_on() {
    let program = Program::new();
    let devnet = Devnet::start(program.path("devnet")).await;
    program.ok_with(&["wallet", "import", "deployer", "--file"], WORDS);
    let (endpoint, card) = devnet.reached();
    let deploy = ["deploy", "devnet", "--endpoint", endpoint, "--card", card, "--wallet", "deployer"];
    let alone = program.fails(&deploy);
    assert!(alone.contains("computepool wallet account"), "{alone}");
    program.ok(&["wallet", "account", "deployer"]);
    let unlimited = program.fails(&deploy);
    assert!(unlimited.contains("computepool wallet limits"), "{unlimited}");
    program.ok(&devnet.on(&["wallet", "limits", "deployer", "--preset", "deployer"]));
    let done = program.ok(&deploy);
    assert!(done.contains("0 transactions, 0 gas") && !done.contains("deploys"), "{done}");
    assert!(done.contains("0.25 USDCx paid in") && done.contains("nothing is missing"), "{done}");
    let looked = program.ok(&[&deploy[..], &["--verify", "--no-trial"]].concat());
    assert!(looked.contains("Verified") && !looked.contains("trial session"), "{looked}");
    assert!(program.fails(&["deploy", "nowhere", "--wallet", "deployer"]).contains("galileo"));
    devnet.leave();
}

#[test]
fn sessions_say_what_is_missing() {
    let program = Program::new();
    let nowhere = program.path("nowhere.db");
    let missing = program.fails(&["sessions", "--state", nowhere.to_str().unwrap()]);
    assert!(missing.contains("there is no such file"), "{missing}");
    assert!(!Path::exists(&nowhere), "reading makes nothing");
    assert!(program.fails(&["sessions", "--close"]).contains("--token-file"));
    let token = program.path("token");
    std::fs::write(&token, "cps_x\n").unwrap();
    let endpoint = ["--token-file", token.to_str().unwrap(), "--endpoint", "http://127.0.0.1:9/v1"];
    assert!(program.fails(&[&["sessions"], &endpoint[..]].concat()).contains("cannot be reached"));
}
