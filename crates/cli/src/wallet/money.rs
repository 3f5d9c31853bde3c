//! A wallet's money: what there is, and how it is sent on.

use clap::Args;
use computepool_app::accounts::{Accounts, Allowance, Done, Hand, Standing, Step, WalletName};
use computepool_app::chains::ChainCard;
use computepool_app::earnings::{Question, Statement, coalition};
use computepool_app::paying::PaymentBook;
use computepool_app::purse::Purse;
use computepool_core::money::ChainId;
use computepool_core::ports::{CoalitionId, SessionOnChain};
use computepool_core::{Account, Amount, Asset, Fault, FaultCode, MoneyError};

use super::{Place, blocking, first, keys, limits};
use crate::show::table;

#[derive(Args)]
pub(super) struct SendArguments {
    /// How much of what: 5usdc, 0.1native.
    #[arg(value_parser = Allowance::amount)]
    amount: Amount,
    /// Whom to: 0x and 40 digits.
    to: Account,
    /// The wallet that it is sent from.
    #[arg(long, default_value = "main")]
    wallet: WalletName,
}

#[derive(Args)]
pub(super) struct WithdrawArguments {
    /// The wallet.
    #[arg(default_value = "main")]
    name: WalletName,
    /// First claim what was earned in coalitions' pools and bond accounts.
    #[arg(long)]
    claim: bool,
    /// Claim in this coalition only; may be given several times.
    #[arg(long, requires = "claim", value_parser = coalition)]
    coalition: Vec<CoalitionId>,
    /// Look for coalitions from this block on; since the deployment when absent.
    #[arg(long, requires = "claim")]
    since: Option<u64>,
    /// Send the USDC that comes of it on to this account.
    #[arg(long)]
    to: Option<Account>,
}

#[derive(Args)]
pub(super) struct RefundsArguments {
    /// The wallet.
    #[arg(default_value = "main")]
    name: WalletName,
    /// Get back what can be had now. A session that is still open is stopped first, and its rest can be taken five minutes
    /// later.
    #[arg(long)]
    take: bool,
}

/// `computepool wallet show`.
pub(super) async fn show(place: Place, name: WalletName) -> Result<(), Fault> {
    let (wanted, wallet) = (place.chain.is_some(), name.clone());
    let of = place.clone();
    let known = blocking(move || Ok(of.open()?.show(&wallet)?)).await?;
    println!("wallet     {name}, kept in the {}", known.keeping);
    println!("account    {}", first(known.accounts.first(), &name)?);
    println!("backed up  {}", keys::backed_up(&known));
    let card = match place.card() {
        Ok(card) => card,
        Err(fault) if wanted => return Err(fault),
        Err(_) => {
            println!("\nName a chain with --chain to see what is in it.");
            return Ok(());
        }
    };
    let accounts = Accounts::on(card.clone())?;
    println!("chain      {} ({})\n", accounts.chain_name(), accounts.chain());
    let balances = accounts.balances(first(known.accounts.first(), &name)?).await?;
    let mut rows = vec![vec!["in it".to_owned(), String::new()]];
    for asset in Asset::ALL {
        let label = match asset {
            Asset::Usdc => "  USDC",
            Asset::Usdcx => "  USDCx, earned",
            Asset::Native => "  native, for gas",
        };
        rows.push(vec![label.to_owned(), balances.of(asset).to_decimal()]);
    }
    println!("{}", table(&rows));
    let limits = blocking(move || {
        let wallet = place.open()?.wallet(&name, card.contracts())?;
        limits::shown(&wallet, card.book.chain_id)
    });
    print!("{}", limits.await?);
    Ok(())
}

/// `computepool wallet send`.
pub(super) async fn send(place: Place, arguments: SendArguments) -> Result<bool, Fault> {
    let (accounts, purse, hand) = open(&place, arguments.wallet).await?;
    let step = accounts.send(purse.account, arguments.to, arguments.amount).await?;
    let before = accounts.balances(purse.account).await?;
    let spends = |asset| if arguments.amount.asset == asset { arguments.amount } else { Amount::zero(asset) };
    let coin = before.native.less(spends(Asset::Native))?.less(step.fee)?;
    println!("{}", sentence(&step.what));
    println!("  from       {} ({})", purse.account, purse.wallet.card().name);
    println!("  chain      {} ({})", accounts.chain_name(), accounts.chain());
    println!("  gas        at most {}", step.fee);
    if arguments.amount.asset == Asset::Native {
        println!("  leaves     at least {coin}");
    } else {
        let left = before.of(arguments.amount.asset).less(arguments.amount)?;
        println!("  leaves     {left}, and at least {coin}");
    }
    if !agreed(&place, "Send it?").await? {
        return Ok(false);
    }
    report(&accounts, &hand.take(step).await?);
    Ok(true)
}

/// `computepool wallet withdraw`.
pub(super) async fn withdraw(place: Place, arguments: WithdrawArguments) -> Result<bool, Fault> {
    let (accounts, purse, hand) = open(&place, arguments.name).await?;
    let account = purse.account;
    let mut claims = Vec::new();
    if arguments.claim {
        let question = Question { coalitions: arguments.coalition, since: arguments.since };
        let statement = Statement::ask(accounts.card(), account, &question).await?;
        for seat in &statement.seats {
            claims.extend(accounts.claim(account, seat).await?);
        }
    }
    let before = accounts.balances(account).await?;
    if claims.is_empty() && before.usdcx.split(Asset::Usdc)?.0.is_zero() {
        println!("{account} has {}, and nothing can be withdrawn of it.", before.usdcx);
        if !arguments.claim {
            println!("--claim collects what was earned first.");
        }
        return Ok(true);
    }
    println!("From {account} on {} ({}):", accounts.chain_name(), accounts.chain());
    for claim in &claims {
        println!("  {}; gas at most {}", claim.what, claim.fee);
    }
    let all = if claims.is_empty() { format!("{} into USDC", before.usdcx) } else { "all USDCx into USDC".to_owned() };
    println!("  turn {all}");
    if let Some(to) = arguments.to {
        println!("  send the USDC that comes of it to {to}");
    }
    if !agreed(&place, "Do that?").await? {
        return Ok(false);
    }
    for claim in claims {
        did(&accounts, &hand, claim).await?;
    }
    let Some(unwrap) = accounts.unwrap(account).await? else {
        println!("All of it became stake, or is less than a unit of USDC.");
        return Ok(true);
    };
    did(&accounts, &hand, unwrap).await?;
    if let Some(to) = arguments.to {
        let came = accounts.balances(account).await?.usdc.less(before.usdc)?;
        did(&accounts, &hand, accounts.send(account, to, came).await?).await?;
    }
    let after = accounts.balances(account).await?;
    println!("{account} has {} and {}.", after.usdc, after.usdcx);
    Ok(true)
}

/// `computepool wallet refunds`.
pub(super) async fn refunds(place: Place, arguments: RefundsArguments) -> Result<bool, Fault> {
    let card = place.card()?;
    let account = super::account_of(place.wallets.clone(), &arguments.name)?;
    let book = PaymentBook::usual(place.wallets.as_deref())?;
    let paid = Accounts::on(card)?.paid_sessions(account, &book).await?;
    if paid.is_empty() {
        println!("{account} has paid for no session from here.");
        return Ok(true);
    }
    let head = ["session", "paid to", "USDC", "it", "paid out", "came back"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for session in &paid {
        let (state, figures) = match &session.standing {
            Standing::Nothing => ("was never opened, and nothing lies there", None),
            Standing::Unopened => ("was not opened; the money waits", None),
            Standing::Open(figures) => ("is open", Some(figures)),
            Standing::Stopped(figures) => ("is stopped, and waits for its meter", Some(figures)),
            Standing::Closed(figures, false) => ("is over", Some(figures)),
            Standing::Closed(figures, true) => ("is over, and something lies there", Some(figures)),
        };
        let of = |figure: fn(&SessionOnChain) -> Result<Amount, MoneyError>| {
            figures.map_or(Ok(String::new()), |figures| figure(figures).map(|amount| amount.to_decimal()))
        };
        let (to, amount) = (session.payment.to.to_string(), session.payment.amount.to_decimal());
        let out = of(|it| it.streamed.plus(it.topped_up))?;
        let back = of(|it| Ok(it.refund))?;
        rows.push(vec![to, session.payment.resource.clone(), amount, state.to_owned(), out, back]);
    }
    println!("{}", table(&rows));
    if !arguments.take {
        println!("--take gets back what can be had; each step costs gas.");
        return Ok(true);
    }
    let (accounts, _, hand) = open(&place, arguments.name).await?;
    let (mut steps, mut sound) = (Vec::new(), true);
    for session in &paid {
        match accounts.fetch(session).await {
            Ok(step) => steps.extend(step),
            Err(fault) => {
                println!("! {}: {fault}", session.payment.to);
                sound = false;
            }
        }
    }
    if steps.is_empty() {
        println!("Nothing can be had now.");
        return Ok(sound);
    }
    for step in &steps {
        println!("  {}; gas at most {}", step.what, step.fee);
    }
    if !agreed(&place, "Do that?").await? {
        return Ok(false);
    }
    for step in steps {
        let what = step.what.clone();
        if let Err(fault) = did(&accounts, &hand, step).await {
            println!("! {what}: {fault}");
            sound = false;
        }
    }
    if paid.iter().any(|session| matches!(session.standing, Standing::Open(_))) {
        println!("What was stopped can be taken in five minutes, with the same command.");
    }
    Ok(sound)
}

/// `computepool wallet faucet`.
pub(super) async fn faucet(place: Place, name: WalletName) -> Result<(), Fault> {
    let card = place.card()?;
    match card.book.chain_id {
        ChainId::DEVNET => {
            let account = super::account_of(place.wallets.clone(), &name)?;
            let accounts = Accounts::on(card)?;
            accounts.devnet_gift(account).await?;
            let has = accounts.balances(account).await?;
            println!("{account} has {} and {}.", has.usdc, has.native);
        }
        ChainId::GALILEO => {
            let (accounts, purse, hand) = open(&place, name).await?;
            let step = accounts.faucet(purse.account).await?;
            did(&accounts, &hand, step).await?;
        }
        chain => {
            return Err(Fault::new(
                FaultCode::InvalidRequest,
                format!("money on chain {chain} is real, and not given"),
            )
            .hint("only a devnet and Galileo have a faucet"));
        }
    }
    Ok(())
}

async fn open(place: &Place, name: WalletName) -> Result<(Accounts, Purse, Hand), Fault> {
    let card: ChainCard = place.card()?;
    let accounts = Accounts::on(card.clone())?;
    let purse = place.purse(name, &card).await?;
    // Beside the wallets, so that whoever opens them finds what they left under way.
    let outbox = place.wallets.as_ref().map(|folder| folder.join("outbox"));
    let hand = accounts.hand(&purse, outbox)?;
    Ok((accounts, purse, hand))
}

async fn agreed(place: &Place, question: &'static str) -> Result<bool, Fault> {
    let asker = place.asker();
    let agreed = blocking(move || asker.agreed(question)).await?;
    if !agreed {
        println!("Nothing was done.");
    }
    Ok(agreed)
}

async fn did(accounts: &Accounts, hand: &Hand, step: Step) -> Result<(), Fault> {
    println!("{} …", sentence(&step.what));
    report(accounts, &hand.take(step).await?);
    Ok(())
}

fn report(accounts: &Accounts, done: &Done) {
    println!("Done in block {}, for {} of gas: {}", done.block, done.fee, done.transaction);
    if let Some(link) = accounts.link(done.transaction) {
        println!("{link}");
    }
}

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
