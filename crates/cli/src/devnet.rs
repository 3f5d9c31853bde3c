//! `computepool devnet`: a chain on this machine, with everything deployed and wallets that have play money.

use clap::Args;
use computepool_app::chains::ChainCard;
use computepool_app::devnet::{DevnetSettings, RunningDevnet};
use computepool_app::paths::data_folder;
use computepool_app::supervised::{announce, asked_to_end, told_to_leave};
use computepool_core::{Fault, FaultCode};
use std::path::PathBuf;
use std::time::Duration;

use crate::show::table;

#[derive(Args)]
pub(crate) struct DevnetArguments {
    /// The port on this machine; 0 for any free one.
    #[arg(long, default_value_t = 8545)]
    port: u16,
    /// Seconds from block to block; a block for every transaction, at once, when absent.
    #[arg(long)]
    block_time: Option<u32>,
    /// Where its card and its wallets go; in the user's data folder when absent.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Wallets for operators, beside the meter's and the user's.
    #[arg(long, default_value_t = 8)]
    operators: usize,
    /// Leave when standard input closes, and say in JSON when up: for programs that start this one.
    #[arg(long)]
    supervised: bool,
}

/// Runs until told to leave.
pub(crate) async fn devnet(arguments: DevnetArguments) -> Result<(), Fault> {
    let own = arguments.folder.is_none();
    let folder = match arguments.folder {
        Some(folder) => folder,
        None => data_folder()?.join("devnet"),
    };
    let settings = DevnetSettings {
        port: arguments.port,
        block_time: arguments.block_time,
        folder,
        operators: arguments.operators,
    };
    let mut devnet = RunningDevnet::start(settings).await?;
    let address = devnet.address().clone();
    if own {
        // Where `--chain devnet` looks.
        ChainCard::read(&address.chain)?.write(&ChainCard::place(None)?)?;
    }
    if arguments.supervised {
        announce(&address)?;
    } else {
        let how = if address.loaded { "loaded from its snapshot" } else { "deployed from an empty chain" };
        println!("Chain 31337 at {}, {how} in {:.2} s\n", address.endpoint, address.took_ms as f64 / 1e3);
        let mut rows = vec![vec!["wallet".to_owned(), "account".to_owned()]];
        rows.extend(address.accounts.iter().map(|(name, account)| vec![name.clone(), account.to_string()]));
        println!("{}", table(&rows));
        println!(
            "Wallets:    --wallets {} --passphrase-file {}",
            address.wallets.display(),
            address.passphrase_file.display()
        );
        println!("Chain card: --chain {}", address.chain.display());
        println!("\nNothing here is worth anything, and nothing is kept. Ctrl-C ends it.");
    }
    let mut ended =
        std::pin::pin!(async { if arguments.supervised { told_to_leave().await } else { asked_to_end().await } });
    loop {
        tokio::select! {
            () = &mut ended => break,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        if devnet.has_ended() {
            return Err(Fault::new(FaultCode::Internal, "anvil has ended by itself"));
        }
    }
    devnet.leave().await;
    Ok(())
}
