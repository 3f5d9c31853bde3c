//! Pays a server that is made of x402's own packages, on a devnet: `x402_payer SERVER_SCRIPT`. The last line has the
//! figures.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a check fails by panicking, and says what it finds")]

use std::path::Path;
use std::process::Stdio;

use computepool_app::chains::ChainCard;
use computepool_app::devnet::{DevnetSettings, RunningDevnet};
use computepool_app::paying::{Payer, PayingClient};
use computepool_app::purse::{Purse, PurseSettings};
use computepool_core::{Account, Amount, FaultCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// What a story costs, in units of USDC.
const PRICE: u64 = 12_345;
/// Who sells them.
const SELLER: Account = Account::new([0x5e; 20]);

#[tokio::main]
async fn main() {
    let script = std::env::args().nth(1).expect("which script is the server?");
    let folder = tempfile::tempdir().unwrap();
    let settings = DevnetSettings { port: 0, block_time: None, folder: folder.path().to_owned(), operators: 0 };
    let devnet = RunningDevnet::start(settings).await.unwrap();
    let address = devnet.address();
    let card = ChainCard::read(&address.chain).unwrap();
    let chosen = PurseSettings {
        folder: Some(address.wallets.clone()),
        wallet: "user".to_owned(),
        passphrase_file: Some(address.passphrase_file.clone()),
    };
    let purse = Purse::open(&chosen, card.contracts()).unwrap();
    let (_server, base) = serve(Path::new(&script), &address.endpoint, card.book.usdc).await;
    let earned = async || balance(&address.endpoint, card.book.usdc).await;

    let stingy = PayingClient::new(reqwest::Client::new(), Some(Payer::new(&purse, &card, Amount::usdc(PRICE - 1))));
    let fault = stingy.send(story(&base)).await.unwrap_err();
    assert_eq!((fault.code, earned().await), (FaultCode::SpendLimit, 0), "{fault}");
    println!("ok    nothing is paid above the limit");

    let client = PayingClient::new(reqwest::Client::new(), Some(Payer::new(&purse, &card, Amount::usdc(PRICE))));
    let answer = client.send(story(&base)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["story"], "Once upon a time there was a cat.");
    let paid = client.paid().unwrap();
    let settlement = paid.settlement.unwrap();
    assert!(settlement.taken && settlement.transaction.is_some(), "{settlement:?}");
    assert_eq!((paid.payment.authorization.to, earned().await), (SELLER, PRICE));
    println!("ok    the story is told, and the seller has the money");

    let again = story(&base).header("payment-signature", &paid.payment.header).send().await.unwrap();
    assert_eq!((again.status().as_u16(), earned().await), (402, PRICE));
    println!("ok    the same voucher is refused the second time");

    client.send(story(&base)).await.unwrap().error_for_status().unwrap();
    assert_eq!(earned().await, 2 * PRICE);
    println!("ok    another story is paid for by itself");
    devnet.leave().await;
    println!("x402_express=ok");
}

/// The server, and where it listens. It ends when this does.
async fn serve(script: &Path, endpoint: &str, usdc: Account) -> (Child, String) {
    let mut command = Command::new("node");
    command.arg(script).args([endpoint, &usdc.to_string(), &PRICE.to_string(), &SELLER.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut server = command.spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let said: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (server, said["base"].as_str().unwrap().to_owned())
}

fn story(base: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().post(format!("{base}/story")).json(&json!({ "about": "a cat" }))
}

/// What the seller has, asked of the chain without any code of ours.
async fn balance(endpoint: &str, usdc: Account) -> u64 {
    let input = format!("0x70a08231{:0>64}", hex::encode(SELLER.0));
    let call = json!([{ "to": usdc, "input": input }, "latest"]);
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": call });
    let answer = reqwest::Client::new().post(endpoint).json(&question).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    u64::from_str_radix(answer["result"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}
