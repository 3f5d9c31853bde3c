//! `computepool deploy`: everything that ComputePool needs on a chain.

use std::path::PathBuf;

use clap::Args;
use computepool_app::chains::ChainCard;
use computepool_app::deployments::{Deploying, DeploymentSettings};
use computepool_app::purse::PurseSettings;
use computepool_core::{Account, Fault};

#[derive(Args)]
pub(crate) struct DeployArguments {
    /// The chain: devnet, galileo, 0g, or a chain id.
    chain: String,
    /// Where the chain is asked; may be given several times. The public endpoints of a chain that has a name when absent.
    #[arg(long)]
    endpoint: Vec<String>,
    /// The wallet that pays for it, and owns what has an owner.
    #[arg(long)]
    wallet: String,
    /// The folder of wallets; in the user's data folder when absent.
    #[arg(long)]
    wallets: Option<PathBuf>,
    /// A file whose first line opens the wallet, where it is kept in a keystore file.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// The token that users pay with, where the chain has real money: six decimals, EIP-3009.
    #[arg(long)]
    usdc: Option<Account>,
    /// Where the chain's card goes; where `--chain` looks for it when absent.
    #[arg(long)]
    card: Option<PathBuf>,
    /// Deploy nothing: hold what the card says against the chain.
    #[arg(long)]
    verify: bool,
    /// Leave out the trial session, which costs a voucher of 0.25 USDC, of which nearly all comes back.
    #[arg(long)]
    no_trial: bool,
}

/// Deploys what is not there yet, and verifies all of it.
pub(crate) async fn deploy(arguments: DeployArguments) -> Result<(), Fault> {
    let usual = ChainCard::place(Some(&arguments.chain))?;
    let chain = ChainCard::named(&arguments.chain)?;
    let place = arguments.card.unwrap_or(usual);
    let purse = PurseSettings {
        folder: arguments.wallets.clone(),
        wallet: arguments.wallet,
        passphrase_file: arguments.passphrase_file,
    };
    let settings = DeploymentSettings {
        chain,
        endpoints: arguments.endpoint,
        usdc: arguments.usdc,
        purse,
        outbox: arguments.wallets.map(|folder| folder.join("outbox")),
    };
    let deploying = Deploying::open(settings).await?;
    println!("On {} ({chain}), by {}:", deploying.chain_name(), deploying.owner());
    if !arguments.no_trial {
        // Before anything is spent.
        deploying.can_try()?;
    }
    let card = if arguments.verify {
        ChainCard::read(&place)?
    } else {
        let tell = |step: &str, done: bool| println!("  {} {step}", if done { "found  " } else { "deploys" });
        let (card, done) = deploying.deploy(&tell).await?;
        card.write(&place)?;
        println!("{} transactions, {} gas; {} steps were done already", done.transactions, done.gas, done.found);
        println!("The chain's card: {}", place.display());
        card
    };
    let sound = deploying.verify(&card, !arguments.no_trial).await?;
    println!("Verified: {} things are wired as they should be.", sound.checks);
    if let Some(paid) = sound.paid {
        println!(
            "A trial session at {}: {} paid in, {} to its operator, {} came back; nothing is missing.",
            paid.session, paid.paid_in, paid.received, paid.refund
        );
    }
    Ok(())
}
