//! `computepool earnings`: what an operator has earned, from the chain alone.

use std::path::PathBuf;

use clap::Args;
use computepool_app::accounts::WalletName;
use computepool_app::chains::ChainCard;
use computepool_app::earnings::{Question, Seat, Statement, Sums, coalition, name};
use computepool_core::ports::CoalitionId;
use computepool_core::{Account, Amount, Fault, FaultCode};

use crate::show::table;
use crate::wallet::account_of;

#[derive(Args)]
pub(crate) struct EarningsArguments {
    /// The wallet that is paid.
    #[arg(default_value = "main")]
    wallet: WalletName,
    /// The folder of wallets; in the user's data folder when absent.
    #[arg(long)]
    wallets: Option<PathBuf>,
    /// The account that is paid, in place of a wallet's.
    #[arg(long)]
    account: Option<Account>,
    /// The chain: devnet, galileo, 0g, a chain id, or the path of a chain's card.
    #[arg(long)]
    chain: Option<String>,
    /// Only this coalition; may be given several times.
    #[arg(long, value_parser = coalition)]
    coalition: Vec<CoalitionId>,
    /// Look for sessions and payments from this block on; since the deployment when absent. What a bond account paid out
    /// before it is not counted as settled then.
    #[arg(long)]
    since: Option<u64>,
    /// How many sessions to show, the newest ones.
    #[arg(long, default_value_t = 20)]
    newest: usize,
    /// Every session and payment, as a table for spreadsheets.
    #[arg(long)]
    csv: bool,
}

/// Shows earnings.
pub(crate) async fn earnings(arguments: EarningsArguments) -> Result<(), Fault> {
    let card = ChainCard::read(&ChainCard::place(arguments.chain.as_deref())?)?;
    let operator = match arguments.account {
        Some(account) => account,
        None => account_of(arguments.wallets, &arguments.wallet).map_err(|fault| match fault.code {
            FaultCode::InvalidRequest => fault.hint("name a wallet, or an account with --account"),
            _ => fault,
        })?,
    };
    let question = Question { coalitions: arguments.coalition, since: arguments.since };
    let statement = Statement::ask(&card, operator, &question).await?;
    if arguments.csv {
        print!("{}", statement.csv());
        return Ok(());
    }
    println!("{operator} on {} ({})\n", card.network().name, card.book.chain_id);
    if statement.seats.is_empty() {
        println!("It belongs to no coalition, and has earned nothing.");
        return Ok(());
    }
    print!("{}", sums(&statement)?);
    println!("\nsettled    in the account");
    println!("pending    yours; `computepool wallet withdraw --claim` collects it");
    println!("estimate   what an hour brings if what flows now flows on; it is not earned yet");
    if arguments.newest > 0 && !statement.record.sessions.is_empty() {
        println!("\n{}", sessions(&statement, arguments.newest).trim_end());
    }
    Ok(())
}

fn sums(statement: &Statement) -> Result<String, Fault> {
    let head = ["coalition", "settled", "pending", "estimate an hour", "part", "at stake"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for seat in &statement.seats {
        let mut row = cells(short(seat.coalition), &statement.sums(seat)?);
        row.extend([part(seat), seat.staked.to_string()]);
        rows.push(row);
    }
    if statement.seats.len() > 1 {
        rows.push(cells("all".to_owned(), &statement.total()?));
    }
    Ok(table(&rows))
}

fn cells(label: String, sums: &Sums) -> Vec<String> {
    let estimate = if sums.per_hour.is_zero() { "no work now".to_owned() } else { rounded(sums.per_hour) };
    vec![label, sums.settled.to_string(), sums.pending.to_string(), estimate]
}

/// Of what the coalition is paid, in hundredths.
fn part(seat: &Seat) -> String {
    let (units, all) = seat.units;
    let hundredths = units.saturating_mul(10_000).checked_div(all).unwrap_or(0);
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

/// An estimate needs no more than six decimals.
fn rounded(amount: Amount) -> String {
    let text = amount.to_decimal();
    let end = text.find('.').map_or(text.len(), |point| (point + 7).min(text.len()));
    format!("{} {}", &text[..end], amount.asset)
}

fn sessions(statement: &Statement, newest: usize) -> String {
    let all = &statement.record.sessions;
    let skipped = all.len().saturating_sub(newest);
    let mut rows = vec![["session", "coalition", "earned", "ended by"].map(str::to_owned).to_vec()];
    for earning in &all[skipped..] {
        let ended = earning.closed.map_or("open".to_owned(), |(_, transaction)| transaction.to_string());
        rows.push(vec![earning.session.to_string(), short(earning.coalition), earning.amount.to_string(), ended]);
    }
    let more =
        if skipped > 0 { format!("{skipped} earlier ones are not shown; --csv shows all.\n") } else { String::new() };
    table(&rows) + &more
}

fn short(coalition: CoalitionId) -> String {
    name(coalition).chars().take(10).collect::<String>() + "…"
}

#[cfg(test)]
mod tests {
    use computepool_core::Asset;

    use super::*;

    #[test]
    fn estimates_are_cut_and_say_where_there_is_no_work() {
        assert_eq!(rounded("0.1234567899 USDCx".parse().unwrap()), "0.123456 USDCx");
        assert_eq!(rounded("12 USDCx".parse().unwrap()), "12 USDCx");
        let zero = Amount::zero(Asset::Usdcx);
        let idle = Sums { settled: zero, pending: zero, per_hour: zero };
        assert_eq!(cells("all".to_owned(), &idle)[3], "no work now");
    }
}
