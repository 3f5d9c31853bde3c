//! What a wallet may spend.

use clap::Args;
use computepool_app::accounts::{Allowance, Limits, Preset, Usage, Wallet};
use computepool_core::ports::Purpose;
use computepool_core::{ChainId, Fault};

use super::{Place, Which};
use crate::show::table;

#[derive(Args)]
pub(super) struct LimitsArguments {
    #[command(flatten)]
    which: Which,
    /// What suits what the wallet is for: payer, operator or orchestrator.
    #[arg(long)]
    preset: Option<Preset>,
    /// For paying for answers, such as 5usdc/day or 1usdc/payment,5usdc/day. Like all below it may be given once for each
    /// of usdc, usdcx and native; gas counts as native.
    #[arg(long, value_name = "LIMIT")]
    voucher: Vec<Allowance>,
    /// For sending, withdrawing and the faucet.
    #[arg(long, value_name = "LIMIT")]
    transfer: Vec<Allowance>,
    /// For the gas of an orchestrator's sessions.
    #[arg(long, value_name = "LIMIT")]
    session: Vec<Allowance>,
    /// For the gas of tidying up for others.
    #[arg(long, value_name = "LIMIT")]
    keeper: Vec<Allowance>,
    /// For the gas of coalitions.
    #[arg(long, value_name = "LIMIT")]
    coalition: Vec<Allowance>,
    /// For stakes.
    #[arg(long, value_name = "LIMIT")]
    stake: Vec<Allowance>,
    /// Take all limits on this chain away first: what is not set then is not spent.
    #[arg(long)]
    clear: bool,
}

impl LimitsArguments {
    fn changes(&self) -> bool {
        self.clear || self.preset.is_some() || self.allowances().any(|(_, allowances)| !allowances.is_empty())
    }

    fn allowances(&self) -> impl Iterator<Item = (Purpose, &[Allowance])> {
        [
            (Purpose::Voucher, self.voucher.as_slice()),
            (Purpose::Transfer, &self.transfer),
            (Purpose::Session, &self.session),
            (Purpose::Keeper, &self.keeper),
            (Purpose::Coalition, &self.coalition),
            (Purpose::Stake, &self.stake),
        ]
        .into_iter()
    }

    fn set(&self, limits: &mut Limits, chain: ChainId) {
        if self.clear {
            limits.spending.retain(|limit| limit.chain != chain);
        }
        if let Some(preset) = self.preset {
            preset.set(limits, chain);
        }
        for (purpose, allowances) in self.allowances() {
            for allowance in allowances {
                limits.set(allowance.limit(purpose, chain));
            }
        }
    }
}

/// Shows limits, after having set those that are named.
pub(super) fn limits(place: &Place, arguments: LimitsArguments) -> Result<bool, Fault> {
    let (wallets, card, name) = (place.open()?, place.card()?, &arguments.which.name);
    if arguments.changes() {
        let mut limits = wallets.limits(name)?;
        arguments.set(&mut limits, card.book.chain_id);
        wallets.set_limits(name, &limits)?;
    }
    print!("{}", shown(&wallets.wallet(name, card.contracts())?, card.book.chain_id)?);
    Ok(true)
}

/// A wallet's limits on a chain beside what was spent.
pub(super) fn shown(wallet: &Wallet, chain: ChainId) -> Result<String, Fault> {
    let mut usage = wallet.spent()?.usage;
    usage.retain(|usage| usage.limit.chain == chain);
    usage.sort_by_key(|usage| (usage.limit.purpose, usage.limit.asset()));
    if usage.is_empty() {
        let name = &wallet.card().name;
        return Ok(format!(
            "It may spend nothing on chain {chain}. `computepool wallet limits {name} --preset payer` lets it.\n"
        ));
    }
    let head = ["may spend for", "at once", "in an hour", "in a day", "spent today"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(usage.iter().map(row));
    Ok(table(&rows))
}

fn row(usage: &Usage) -> Vec<String> {
    let limit = &usage.limit;
    let purpose = limit.purpose.to_string();
    vec![
        purpose,
        limit.per_signature.to_decimal(),
        limit.per_hour.to_decimal(),
        limit.per_day.to_string(),
        usage.day.to_string(),
    ]
}
