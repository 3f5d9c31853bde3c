//! A question that is paid for: every step as it happens, and at the end what the chain says of every unit.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use computepool_app::chains::ChainCard;
use computepool_app::cluster::Cluster;
use computepool_app::devnet::DevnetAddress;
use computepool_app::onlooker::{Onlooker, Settlement, Share};
use computepool_app::paying::{Payer, PaymentBook};
use computepool_app::purse::{Purse, PurseSettings};
use computepool_core::ports::{Authorization, CoalitionId, NetworkStatus};
use computepool_core::{Amount, Asset, Fault, FaultCode};
use serde_json::json;

use super::{Shown, stage};
use crate::arguments::DemoArguments;
use crate::show::table;
use computepool_app::endpoint::Endpoint;

/// How often balances are read while tokens come.
const TICK: Duration = Duration::from_millis(500);
/// How long settling may take: a few blocks.
const SETTLED: Duration = Duration::from_secs(60);

/// Who is shown, by what name.
struct Names<'a> {
    status: &'a NetworkStatus,
}

impl Names<'_> {
    fn of(&self, share: &Share) -> String {
        let node = self.status.nodes.iter().find(|node| node.operator == Some(share.operator));
        node.map_or_else(|| "the protocol".to_owned(), |node| node.name.clone())
    }
}

/// Asks, pays, closes and reads the books.
pub(super) async fn ask(
    cluster: &Cluster,
    devnet: &DevnetAddress,
    arguments: &DemoArguments,
    status: &NetworkStatus,
    began: Instant,
) -> Result<Shown, Fault> {
    let names = Names { status };
    let onlooker = Onlooker::new(&devnet.chain)?;
    let quote = quote(cluster, status).await?;
    stage(began, &format!("402 Payment Required: {}", quote.description));
    let before = onlooker.shares(quote.coalition).await?;
    let payer = payer(devnet).await?;
    let endpoint = Endpoint::paying(cluster.api(), payer);
    let screen =
        RefCell::new(Screen { column: 0, told: Vec::new(), earned: Vec::new(), began: Instant::now(), opened: false });
    let mut show = |text: &str| screen.borrow_mut().text(text);
    let asking = super::ask(&endpoint, arguments, status, &mut show);
    let watching = async {
        loop {
            if let Ok(shares) = onlooker.shares(quote.coalition).await {
                let paid = endpoint.paid().map(|paid| paid.payment.authorization);
                screen.borrow_mut().tick(&names, paid, &before, &shares);
            }
            tokio::time::sleep(TICK).await;
        }
    };
    let mut shown = tokio::select! {
        shown = asking => shown?,
        never = watching => never,
    };
    let paid = endpoint.paid().ok_or_else(|| Fault::new(FaultCode::Internal, "nothing was paid"))?;
    let authorization = paid.payment.authorization;
    let bill = endpoint.delete("/session").await?;
    stage(began, &format!("closing: {} ms were served", bill["served_ms"]));
    let session = onlooker.closed(authorization.to, SETTLED).await?;
    let rate = session.rate;
    stage(
        began,
        &format!("closed: streamed {}, paid on top {}, refund {}", session.streamed, session.topped_up, session.refund),
    );
    let settlement = Settlement::of(&session, &before, onlooker.shares(quote.coalition).await?)?;
    println!("\n{}", books(&names, &settlement, rate)?);
    if !settlement.adds_up() {
        return Err(Fault::new(FaultCode::Internal, "what was paid in is not what was paid out"));
    }
    shown.settlement = Some(settlement);
    Ok(shown)
}

/// The table that must add up, to the last wei.
fn books(names: &Names<'_>, settlement: &Settlement, rate: Amount) -> Result<String, Fault> {
    let line = |what: String, amount: Amount| vec![what, amount.units.to_string(), amount.to_decimal()];
    let mut rows = vec![vec!["read from the chain".to_owned(), "wei of USDCx".to_owned(), "USDC".to_owned()]];
    rows.push(line("paid in by the user".to_owned(), settlement.paid_in));
    for (share, amount) in &settlement.shares {
        let layers: Vec<String> = share.layers.iter().map(ToString::to_string).collect();
        rows.push(line(format!("  to {} for layers {}", names.of(share), layers.join(", ")), *amount));
    }
    if settlement.shares.iter().all(|(share, _)| share.operators) {
        rows.push(line("  protocol fee".to_owned(), Amount::zero(Asset::Usdcx)));
    }
    rows.push(line("  refund to the user".to_owned(), settlement.refund));
    let out = settlement.paid_out()?;
    rows.push(line("paid out, all together".to_owned(), out));
    let difference = settlement.paid_in.less(out)?.plus(out.less(settlement.paid_in)?)?;
    rows.push(line("difference".to_owned(), difference));
    Ok(format!("{}\nThe rate was {} a second.\n", table(&rows), rate.to_decimal()))
}

/// What a stranger is asked for.
struct Quoted {
    description: String,
    coalition: CoalitionId,
}

async fn quote(cluster: &Cluster, status: &NetworkStatus) -> Result<Quoted, Fault> {
    let model = status.pools.first().map(|pool| pool.model.to_string()).unwrap_or_default();
    let body = json!({ "model": model, "messages": [{ "role": "user", "content": "?" }] });
    let quote = Endpoint::new(cluster.api(), None).price(&body).await?;
    let bad = || Fault::new(FaultCode::BadFrame, format!("the endpoint asks for payment in other words: {quote}"));
    let bound = &quote["accepts"][0]["extra"]["computepool"];
    let coalition: CoalitionId = serde_json::from_value(bound["coalition"].clone()).map_err(|_| bad())?;
    let description = quote["resource"]["description"].as_str().ok_or_else(bad)?.to_owned();
    Ok(Quoted { description, coalition })
}

/// The devnet's user, with a wallet of its own.
pub(crate) async fn payer(devnet: &DevnetAddress) -> Result<Payer, Fault> {
    let card = ChainCard::read(&devnet.chain)?;
    let settings = PurseSettings {
        folder: Some(devnet.wallets.clone()),
        wallet: "user".to_owned(),
        passphrase_file: Some(devnet.passphrase_file.clone()),
    };
    let contracts = card.contracts();
    let purse = tokio::task::spawn_blocking(move || Purse::open(&settings, contracts))
        .await
        .map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet was not opened: {error}")))??;
    let book = PaymentBook::usual(Some(&devnet.wallets))?;
    Payer::of_sessions(&purse, &card, Amount::usdc(10_000_000), Amount::usdc(10_000_000), book)
}

/// A terminal on which an answer appears, and what it costs between its lines.
struct Screen {
    column: usize,
    told: Vec<Amount>,
    earned: Vec<Amount>,
    began: Instant,
    opened: bool,
}

impl Screen {
    fn text(&mut self, text: &str) {
        super::show(text);
        self.column = text.rsplit('\n').next().map_or(0, str::len);
    }

    fn line(&mut self, text: &str) {
        let fresh = if self.column > 0 { "\n" } else { "" };
        println!("{fresh}    [{:4.1} s] {text}", self.began.elapsed().as_secs_f64());
        self.column = 0;
    }

    fn tick(&mut self, names: &Names<'_>, paid: Option<Authorization>, before: &[Share], shares: &[Share]) {
        if let (Some(Authorization { from, to, value, .. }), false) = (paid, self.opened) {
            self.line(&format!("voucher: {from} signed {value} to {to}"));
            self.line("that account's session is being opened while the answer comes");
            self.opened = true;
        }
        let flowing: Vec<Amount> = shares.iter().map(|share| share.flowing).collect();
        if flowing != self.told {
            let rates: Vec<String> =
                shares.iter().map(|share| format!("{} {}/s", names.of(share), share.flowing.to_decimal())).collect();
            self.line(&format!("stream: {}", rates.join(", ")));
            self.told = flowing;
        }
        let earned = |share: &Share| {
            let earlier =
                before.iter().find(|it| it.payee == share.payee).map_or(Amount::zero(Asset::Usdcx), |it| it.received);
            share.received.less(earlier).unwrap_or(earlier)
        };
        let sum: Vec<Amount> = shares.iter().map(earned).collect();
        if sum != self.earned && sum.iter().any(|amount| !amount.is_zero()) {
            let sums: Vec<String> =
                shares.iter().map(|share| format!("{} +{}", names.of(share), earned(share).to_decimal())).collect();
            self.line(&format!("earned: {}", sums.join(", ")));
            self.earned = sum;
        }
    }
}
