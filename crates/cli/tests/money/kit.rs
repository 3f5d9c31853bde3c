//! The program under test, and a devnet for it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use computepool_app::devnet::DevnetAddress;
use serde_json::{Value, json};

const PASSPHRASE: &str = "correct horse";

/// The command line, with a folder of its own.
pub(crate) struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it says when it succeeds.
    pub(crate) fn ok(&self, arguments: &[impl AsRef<str>]) -> String {
        self.ok_with(arguments, "")
    }

    pub(crate) fn ok_with(&self, arguments: &[impl AsRef<str>], input: &str) -> String {
        let (output, out, err) = self.run(arguments, input);
        assert!(output.status.success(), "{out}\n{err}");
        out
    }

    /// What it says when it fails.
    pub(crate) fn fails(&self, arguments: &[impl AsRef<str>]) -> String {
        self.fails_with(arguments, "")
    }

    pub(crate) fn fails_with(&self, arguments: &[impl AsRef<str>], input: &str) -> String {
        let (output, out, err) = self.run(arguments, input);
        assert!(!output.status.success(), "{out}");
        assert!(err.starts_with("error: ") && !err.contains("panicked"), "{err}");
        err
    }

    fn run(&self, arguments: &[impl AsRef<str>], input: &str) -> (Output, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_computepool"));
        command.args(arguments.iter().map(AsRef::as_ref)).env("COMPUTEPOOL_PASSPHRASE", PASSPHRASE);
        if arguments.iter().any(|argument| matches!(argument.as_ref(), "wallet" | "earnings" | "deploy")) {
            command.arg("--wallets").arg(self.path("wallets"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may have ended without reading.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        (output, out, err)
    }
}

/// The words that were shown: each stands behind its number.
pub(crate) fn words(shown: &str) -> Vec<String> {
    let cells: Vec<&str> = shown.split_whitespace().collect();
    let numbered = (1..=24).map_while(|number: usize| {
        let at = cells.windows(2).position(|pair| pair[0] == number.to_string());
        at.map(|at| cells[at + 1].to_owned())
    });
    numbered.collect()
}

/// The first account that was shown.
pub(crate) fn account(shown: &str) -> String {
    let cells = shown.split_whitespace().map(|cell| cell.trim_end_matches('.'));
    cells.into_iter().find(|cell| cell.starts_with("0x") && cell.len() == 42).unwrap().to_owned()
}

/// A devnet that ends with its owner.
pub(crate) struct Devnet {
    child: Child,
    address: DevnetAddress,
    client: reqwest::Client,
}

impl Devnet {
    pub(crate) async fn start(folder: PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_computepool"));
        command.args(["devnet", "--port", "0", "--operators", "0", "--supervised", "--folder"]).arg(folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = serde_json::from_str(&first).unwrap_or_else(|error| {
            panic!("no devnet ({error}): `scripts/setup foundry` installs what it needs\n{first}")
        });
        Self { child, address, client: reqwest::Client::new() }
    }

    /// The arguments with this chain named.
    pub(crate) fn on(&self, arguments: &[&str]) -> Vec<String> {
        let chain = ["--chain", self.address.chain.to_str().unwrap()];
        arguments.iter().chain(&chain).map(|&argument| argument.to_owned()).collect()
    }

    /// Where the chain is asked, and the path of its card.
    pub(crate) fn reached(&self) -> (&str, &str) {
        (&self.address.endpoint, self.address.chain.to_str().unwrap())
    }

    /// Units of USDC that an account has.
    pub(crate) async fn usdc(&self, account: &str) -> u64 {
        let call = json!({ "to": self.contract("usdc"), "input": format!("0x70a08231{}", word(account)) });
        let answer = self.ask("eth_call", json!([call, "latest"])).await;
        u64::from_str_radix(answer.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Turns so many units of an account's USDC into USDCx, and puts some wei of it beside them, as earnings leave them.
    pub(crate) async fn wrap(&self, account: &str, units: u64, dust: u64) {
        let (usdc, usdcx) = (self.contract("usdc"), self.contract("usdcx"));
        let wei = u128::from(units) * 1_000_000_000_000;
        // A stranger with USDC of their own gives both, so that the wallet signs nothing.
        let stranger = "0x00000000000000000000000000000000000000aa";
        self.ask("anvil_setBalance", json!([stranger, "0xde0b6b3a7640000"])).await;
        self.ask("anvil_impersonateAccount", json!([stranger])).await;
        let amount = |amount: u128| format!("{amount:064x}");
        self.send(stranger, &usdc, &format!("0xb86d1d63{}", word(stranger))).await;
        self.send(stranger, &usdc, &format!("0x095ea7b3{}{}", word(&usdcx), amount(u128::MAX))).await;
        self.send(stranger, &usdcx, &format!("0x45977d03{}", amount(wei * 2))).await;
        let transfer = format!("0xa9059cbb{}{}", word(account), amount(wei + u128::from(dust)));
        self.send(stranger, &usdcx, &transfer).await;
    }

    async fn send(&self, from: &str, to: &str, input: &str) {
        let hash = self.ask("eth_sendTransaction", json!([{ "from": from, "to": to, "input": input }])).await;
        // Anvil says the hash before it makes the block.
        for _ in 0..600 {
            let receipt = self.ask("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                assert_eq!(receipt["status"], "0x1", "{input} to {to}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{input} to {to} is in no block");
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = self.client.post(&self.address.endpoint).json(&question).send().await.unwrap();
        let mut answer: Value = answer.json().await.unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    fn contract(&self, name: &str) -> String {
        let card: Value = serde_json::from_slice(&std::fs::read(Path::new(&self.address.chain)).unwrap()).unwrap();
        card["book"][name].as_str().unwrap().to_owned()
    }

    /// Ends it, in order.
    pub(crate) fn leave(mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        self.child.kill().ok();
    }
}

/// An account as an argument.
fn word(account: &str) -> String {
    format!("{:0>64}", account.trim_start_matches("0x").to_lowercase())
}
