//! `computepool sessions`: what was paid for, by an orchestrator's ledger or by an endpoint's word to its payer.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use clap::Args;
use computepool_app::paths::data_folder;
use computepool_app::sessions::{LedgerSession, OwnLedger};
use computepool_core::ports::{Bill, BillPhase};
use computepool_core::{Fault, FaultCode, NodeId};
use serde_json::{Value, json};

use crate::arguments::SessionArguments;
use crate::show::table;
use computepool_app::endpoint::Endpoint;

#[derive(Args)]
pub(crate) struct SessionsArguments {
    /// Where an orchestrator keeps its state: a file, or postgres://…; its own place in the user's data folder when absent.
    #[arg(long, alias = "ledger", env = "COMPUTEPOOL_STATE", hide_env_values = true)]
    state: Option<String>,
    /// Whose, where several orchestrators share the state.
    #[arg(long)]
    orchestrator: Option<NodeId>,
    /// How many to show, the newest ones.
    #[arg(long, default_value_t = 50)]
    newest: usize,
    /// All of them, as a table for spreadsheets.
    #[arg(long)]
    csv: bool,
    /// Every sum that moved, as a table for spreadsheets.
    #[arg(long, conflicts_with = "csv")]
    books: bool,
    /// Show the session of this token at an endpoint: a file that holds the token.
    #[arg(long, conflicts_with_all = ["csv", "books"])]
    token_file: Option<PathBuf>,
    /// The token itself; better kept in a file, because others on this machine can read what is typed here.
    #[arg(long, env = "COMPUTEPOOL_SESSION", hide_env_values = true, conflicts_with = "token_file")]
    session: Option<String>,
    /// The endpoint that gave the token.
    #[arg(long, default_value = "http://127.0.0.1:8642/v1", env = "OPENAI_BASE_URL")]
    endpoint: String,
    /// Close the session of the token: what was not used goes back to whoever paid.
    #[arg(long)]
    close: bool,
}

/// Shows sessions.
pub(crate) async fn sessions(arguments: SessionsArguments) -> Result<(), Fault> {
    let token = match (&arguments.token_file, &arguments.session) {
        (Some(path), _) => Some(token(path)?),
        (None, Some(token)) => Some(token.trim().to_owned()),
        (None, None) => None,
    };
    match token {
        Some(token) => mine(&arguments.endpoint, token, arguments.close).await,
        None if arguments.close => {
            Err(Fault::new(FaultCode::InvalidRequest, "it is not said which session is to be closed")
                .hint("give its token with --token-file"))
        }
        None => own(arguments).await,
    }
}

/// `computepool pay`.
pub(crate) async fn open(arguments: SessionArguments) -> Result<(), Fault> {
    let Some(pay) = arguments.pay.settings()? else {
        return Err(
            Fault::new(FaultCode::InvalidRequest, "nobody is named who pays").hint("name a wallet with --wallet")
        );
    };
    let endpoint = Endpoint::paying(&arguments.endpoint, pay.payer().await?);
    let bill = bill(endpoint.post("/session", &json!({ "model": arguments.model })).await?)?;
    let token = endpoint.session_token().ok_or_else(|| {
        Fault::new(FaultCode::BadFrame, "the endpoint took the payment and gave no token")
            .hint("`computepool wallet refunds` gets back what is not used")
    })?;
    show(&bill);
    println!("\nWhoever has this token uses the session: a key for every OpenAI client.\n");
    println!("export OPENAI_BASE_URL={} OPENAI_API_KEY={}", arguments.endpoint, token.reveal());
    println!("\nIt ends by itself after two idle minutes; what is not used comes back.");
    println!("End it with: COMPUTEPOOL_SESSION=$OPENAI_API_KEY computepool sessions --close");
    Ok(())
}

fn token(path: &Path) -> Result<String, Fault> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Fault::new(FaultCode::Io, format!("{} cannot be read: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// A payer's own session.
async fn mine(endpoint: &str, token: String, close: bool) -> Result<(), Fault> {
    let endpoint = Endpoint::new(endpoint, Some(token));
    let bill = if close { endpoint.delete("/session").await? } else { endpoint.get("/session").await? };
    show(&self::bill(bill)?);
    Ok(())
}

fn bill(text: Value) -> Result<Bill, Fault> {
    serde_json::from_value(text)
        .map_err(|error| Fault::new(FaultCode::BadFrame, format!("the endpoint's bill cannot be read: {error}")))
}

/// A stranger's words, without what could harm a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

fn show(bill: &Bill) {
    println!("session    {}: {}", phase(bill.phase), shown(&bill.reason));
    println!("model      {}", shown(bill.model.as_str()));
    println!("account    {}", bill.account);
    println!("paid in    {}", bill.paid_in);
    println!("served     {} s at {} a second", seconds(bill.served_ms), bill.rate);
    match bill.phase {
        BillPhase::Settled => {
            println!("paid out   {}", bill.paid_out);
            println!("refund     {} and {}", bill.refund, bill.dust);
        }
        BillPhase::Rejected => {}
        _ => println!("refund     goes back when it is closed"),
    }
    for transaction in &bill.transactions {
        println!("           {transaction}");
    }
}

/// An orchestrator's sessions.
async fn own(arguments: SessionsArguments) -> Result<(), Fault> {
    let state = match arguments.state {
        Some(state) => state,
        None => data_folder()?.join("orchestrator.db").display().to_string(),
    };
    let mut ledger = OwnLedger::open(&state, arguments.orchestrator).await?;
    if arguments.books {
        return ledger.books(|piece| print!("{piece}")).await;
    }
    if arguments.csv {
        print!("{CSV}");
        return ledger.sessions(|session| print!("{}", csv(&session))).await;
    }
    let most = arguments.newest;
    let (mut newest, mut all) = (VecDeque::new(), 0_usize);
    ledger
        .sessions(|session| {
            all += 1;
            newest.push_back(session);
            if newest.len() > most {
                newest.pop_front();
            }
        })
        .await?;
    let mut newest: Vec<LedgerSession> = newest.into();
    newest.sort_by_key(|session| session.at_ms);
    if newest.is_empty() {
        println!("There is no paid session in it.");
        return Ok(());
    }
    let head = ["session", "phase", "paid in", "served", "paid out", "refund", "transactions"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(newest.iter().map(|session| row(&session.bill)));
    print!("{}", table(&rows));
    if all > newest.len() {
        println!("{} of {all} are shown; --newest shows more, --csv all.", newest.len());
    }
    Ok(())
}

fn row(bill: &Bill) -> Vec<String> {
    let done = bill.phase == BillPhase::Settled;
    let settled = |text: String| if done { text } else { "-".to_owned() };
    vec![
        bill.account.to_string(),
        phase(bill.phase).to_owned(),
        bill.paid_in.to_string(),
        format!("{} s", seconds(bill.served_ms)),
        settled(bill.paid_out.to_string()),
        settled(bill.refund.to_string()),
        bill.transactions.len().to_string(),
    ]
}

const CSV: &str = "time_ms,session,payer,model,phase,paid_in_usdc,served_ms,paid_out_usdcx,refund_usdc,refund_dust_usdcx,\
    transactions\r\n";

/// One line of RFC 4180. Model ids are the owner's own words; nothing else could hold a comma or a formula.
fn csv(session: &LedgerSession) -> String {
    let bill = &session.bill;
    let transactions: Vec<String> = bill.transactions.iter().map(ToString::to_string).collect();
    format!(
        "{},{},{},\"{}\",{},{},{},{},{},{},{}\r\n",
        session.at_ms,
        bill.account,
        bill.payer,
        bill.model.as_str().replace('"', "\"\""),
        phase(bill.phase),
        bill.paid_in.to_decimal(),
        bill.served_ms,
        bill.paid_out.to_decimal(),
        bill.refund.to_decimal(),
        bill.dust.to_decimal(),
        transactions.join(" "),
    )
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

fn phase(phase: BillPhase) -> &'static str {
    match phase {
        BillPhase::Authorized => "authorized",
        BillPhase::Streaming => "open",
        BillPhase::Closing => "closing",
        BillPhase::Settled => "settled",
        BillPhase::Rejected => "rejected",
        BillPhase::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use computepool_core::money::TxHash;
    use computepool_core::{Account, Amount, SessionId};

    use super::*;

    #[test]
    fn a_line_has_as_many_fields_as_the_head() {
        let bill = Bill {
            session: SessionId([7; 16]),
            account: Account::new([1; 20]),
            payer: Account::new([2; 20]),
            model: "a,\"b\"".parse().unwrap(),
            phase: BillPhase::Settled,
            paid_in: Amount::usdc(250_000),
            rate: Amount::usdcx(5),
            served_ms: 12_345,
            paid_out: Amount::usdcx(1_500_000_000_000_000_000),
            refund: Amount::usdc(1),
            dust: Amount::usdcx(3),
            transactions: vec![TxHash([1; 32].into()), TxHash([2; 32].into())],
            reason: "closed".to_owned(),
        };
        let line = csv(&LedgerSession { at_ms: 9, bill: bill.clone() });
        assert!(line.contains(",\"a,\"\"b\"\"\",settled,0.25,12345,1.5,0.000001,0.000000000000000003,0x"), "{line}");
        assert_eq!(line.replace("\"a,\"\"b\"\"\"", "model").split(',').count(), CSV.split(',').count());
        assert_eq!(row(&bill)[3..6], ["12.3 s", "1.5 USDCx", "0.000001 USDC"]);
    }
}
