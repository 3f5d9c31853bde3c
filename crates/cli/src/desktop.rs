//! `computepool desktop`: the desktop application without a desktop. Its page is served to this machine alone.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use computepool_app::accounts::Secret;
use computepool_app::desktop::{Host, Launch, Launched, Notice};
use computepool_app::supervised::{announce, asked_to_end, told_to_leave};
use computepool_app::{ModelSource, door};
use computepool_core::{Fault, FaultCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::arguments::ClusterArguments;
use crate::serve::sources;

#[derive(Args)]
pub(crate) struct DesktopArguments {
    /// The folder of the page's files: `ui/dist` after a build.
    #[arg(long)]
    page: Option<PathBuf>,
    /// The port that the page is served on; any that is free when absent.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where settings, wallets and conversations are kept; the user's data folder when absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Model files or folders; the user's model folder when absent.
    #[arg(long)]
    models: Vec<ModelSource>,
    /// The card of the chain that money is on.
    #[arg(long, conflicts_with = "trial")]
    chain: Option<PathBuf>,
    /// Start a network on this machine, with play money, to try everything.
    #[arg(long)]
    trial: bool,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// How many nodes that network starts with; as many as it has shards when absent.
    #[arg(long, requires = "trial")]
    nodes: Option<usize>,
    /// Say on standard output in JSON that it is up, and leave when standard input ends.
    #[arg(long, hide = true)]
    supervised: bool,
}

/// A terminal, which is the owner's alone.
struct Terminal {
    supervised: bool,
    quit: CancellationToken,
}

impl Host for Terminal {
    fn kind(&self) -> &'static str {
        "headless"
    }

    fn show_secret(&self, title: &str, text: &Secret<String>) -> Result<(), Fault> {
        if self.supervised {
            return announce(&json!({ "title": title, "secret": text.expose() }));
        }
        println!("\n{title}. Write it on paper; whoever has it has the money:\n\n  {}\n", text.expose());
        Ok(())
    }

    fn notify(&self, notice: &Notice) {
        if !self.supervised {
            println!("{}: {}", notice.title, notice.text);
        }
    }

    fn quit(&self) {
        self.quit.cancel();
    }
}

pub(crate) async fn desktop(arguments: DesktopArguments) -> Result<bool, Fault> {
    let supervised = arguments.supervised;
    let trial = match arguments.trial {
        false => None,
        true => {
            let mut settings = arguments.cluster.settings("127.0.0.1:0")?;
            settings.nodes = arguments.nodes;
            Some(settings)
        }
    };
    let models = match (&trial, arguments.models.is_empty()) {
        (Some(settings), true) => vec![settings.model.parse()?],
        _ => sources(arguments.models)?,
    };
    let quit = CancellationToken::new();
    let host = Arc::new(Terminal { supervised, quit: quit.clone() });
    let launch = Launch { data: arguments.data, models, engines: None, chain: arguments.chain, trial, host };
    let launched = Launched::start(launch).await?;

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await;
    let taken = |error| {
        Fault::new(FaultCode::Io, format!("port {} cannot be listened on: {error}", arguments.port))
            .hint("name another with --port")
    };
    let listener = listener.map_err(taken)?;
    let stop = CancellationToken::new();
    let door = door::open(listener, arguments.page, launched.desktop(), stop.clone())?;
    if supervised {
        announce(&json!({ "page": door.address(), "api": door.base(), "token": door.token() }))?;
        quit.run_until_cancelled(told_to_leave()).await;
    } else {
        println!("ComputePool is up. Open this link on this machine; it is for you alone:\n\n  {}\n", door.address());
        quit.run_until_cancelled(asked_to_end()).await;
        println!("handing over");
    }
    stop.cancel();
    let left = launched.quit().await;
    door.closed().await;
    Ok(left)
}
