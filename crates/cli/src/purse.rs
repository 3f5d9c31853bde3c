//! What is said on the command line of wallets and prices.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use computepool_app::chains::ChainCard;
use computepool_app::money::MoneySettings;
use computepool_app::node::{EarnPurse, EarnSettings};
use computepool_app::paying::{Payer, PaymentBook};
use computepool_app::purse::{Purse, PurseSettings};
use computepool_core::{Amount, Asset, Fault, FaultCode};

/// A wallet to work with, on a chain.
#[derive(Args)]
pub(crate) struct PurseArguments {
    /// The wallet that signs for it. Without one nothing is paid.
    #[arg(long)]
    pub(crate) wallet: Option<String>,
    /// The folder of wallets; in the user's data folder when absent.
    #[arg(long, requires = "wallet")]
    pub(crate) wallets: Option<PathBuf>,
    /// A file whose first line opens the wallet, where it is kept in a keystore file.
    #[arg(long, requires = "wallet")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The chain: devnet, galileo, 0g, a chain id, or the path of a chain's card.
    #[arg(long, requires = "wallet")]
    pub(crate) chain: Option<String>,
}

impl PurseArguments {
    /// The card's place and the wallet, where one was named.
    pub(crate) fn settings(self) -> Result<Option<(PathBuf, PurseSettings)>, Fault> {
        let Some(wallet) = self.wallet else { return Ok(None) };
        let purse = PurseSettings { folder: self.wallets, wallet, passphrase_file: self.passphrase_file };
        Ok(Some((ChainCard::place(self.chain.as_deref())?, purse)))
    }
}

/// What a node's owner wants for its work.
#[derive(Args)]
pub(crate) struct EarnArguments {
    #[command(flatten)]
    pub(crate) purse: PurseArguments,
    /// What a session must pay an hour for the whole model at least, in USDC.
    #[arg(long, default_value = "0", value_parser = usdc)]
    pub(crate) least_per_hour: Amount,
}

impl EarnArguments {
    /// As the application wants it.
    pub(crate) fn settings(self) -> Result<Option<EarnSettings>, Fault> {
        let least_per_hour = self.least_per_hour;
        let settings = self.purse.settings()?;
        Ok(settings.map(|(chain, purse)| EarnSettings { chain, purse: EarnPurse::Closed(purse), least_per_hour }))
    }
}

/// Who pays for what is asked.
#[derive(Args)]
pub(crate) struct PayArguments {
    #[command(flatten)]
    purse: PurseArguments,
    /// The most that is put into one session, in USDC; what is not used comes back.
    #[arg(long, default_value = "1", value_parser = usdc, requires = "wallet")]
    most: Amount,
    /// The most that a session may cost an hour, in USDC, by the chain's word and not the seller's.
    #[arg(long, default_value = "2", value_parser = usdc, requires = "wallet")]
    most_per_hour: Amount,
}

/// A wallet that pays, and how much it puts into one session.
pub(crate) struct PaySettings {
    chain: PathBuf,
    purse: PurseSettings,
    most: Amount,
    most_per_hour: Amount,
}

impl PayArguments {
    /// As they are needed; `None` where no wallet was named.
    pub(crate) fn settings(self) -> Result<Option<PaySettings>, Fault> {
        let Self { purse, most, most_per_hour } = self;
        Ok(purse.settings()?.map(|(chain, purse)| PaySettings { chain, purse, most, most_per_hour }))
    }
}

impl PaySettings {
    /// Opens the wallet, which may ask its owner.
    pub(crate) async fn payer(self) -> Result<Payer, Fault> {
        let opening = move || {
            let card = ChainCard::read(&self.chain)?;
            let purse = Purse::open(&self.purse, card.contracts())?;
            let book = PaymentBook::usual(self.purse.folder.as_deref())?;
            Payer::of_sessions(&purse, &card, self.most, self.most_per_hour, book)
        };
        tokio::task::spawn_blocking(opening)
            .await
            .map_err(|error| Fault::new(FaultCode::Internal, format!("the wallet was not opened: {error}")))?
    }
}

/// What an orchestrator sells for.
#[derive(Args)]
pub(crate) struct SellArguments {
    #[command(flatten)]
    pub(crate) purse: PurseArguments,
    /// What a session with a whole model costs an hour, in USDC.
    #[arg(long, default_value = "0.36", value_parser = usdc)]
    pub(crate) price_per_hour: Amount,
    /// What a session is opened with, in USDC; what is not used goes back.
    #[arg(long, default_value = "0.25", value_parser = usdc)]
    pub(crate) session: Amount,
    /// Seconds that a session may last.
    #[arg(long, default_value_t = 3600)]
    pub(crate) session_seconds: u32,
    /// What every operator puts up, in USDC, or builds from its earnings.
    #[arg(long, default_value = "1", value_parser = usdc)]
    pub(crate) stake: Amount,
    /// Where transactions under way are kept; in the user's data folder when absent, and nowhere with --ephemeral.
    #[arg(long)]
    pub(crate) money_folder: Option<PathBuf>,
}

impl SellArguments {
    /// As the application wants it.
    pub(crate) fn settings(self, ephemeral: bool) -> Result<Option<MoneySettings>, Fault> {
        let Some((chain, purse)) = self.purse.settings()? else { return Ok(None) };
        let folder = match (self.money_folder, ephemeral) {
            (Some(folder), _) => Some(folder),
            (None, true) => None,
            (None, false) => Some(computepool_app::paths::data_folder()?.join("money")),
        };
        Ok(Some(MoneySettings {
            chain,
            purse,
            price_per_hour: self.price_per_hour,
            session: self.session,
            lifetime: Duration::from_secs(self.session_seconds.into()),
            stake: self.stake,
            folder,
        }))
    }
}

/// An amount of USDC, such as `0.25`.
pub(crate) fn usdc(text: &str) -> Result<Amount, String> {
    Amount::parse(text, Asset::Usdc).map_err(|error| error.to_string())
}
