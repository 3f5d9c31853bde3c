//! Against a real anvil. `scripts/setup contracts` installs it.
#![expect(clippy::unwrap_used, reason = "what a test sets up must be there")]

mod anvils;
mod deployment;
mod devnet;
mod earnings;
mod key;
mod sending;
mod sessions;

use std::path::Path;
use std::sync::Arc;

use computepool_chain::Network;
use computepool_chain::devnet::{Anvil, AnvilOptions, find_anvil};
use computepool_chain::rpc::{Patience, Rpc};
use computepool_chain::sender::{Forgetful, Outbox, Sender, SenderOptions};

use self::key::KnownKey;

fn anvil_options() -> AnvilOptions {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = find_anvil(here).expect("anvil: `scripts/setup contracts` installs it");
    AnvilOptions { program, port: 0, block_time: None, phrase: None }
}

/// A chain with nothing on it, and the sender of its first account.
struct Chain {
    /// It ends when this is dropped.
    _anvil: Anvil,
    network: Network,
    rpc: Rpc,
    key: Arc<KnownKey>,
}

impl Chain {
    async fn start() -> Self {
        let anvil = Anvil::start(&anvil_options()).await.unwrap();
        let network = Network::devnet(anvil.endpoint());
        let rpc = Rpc::new(&network, Patience::default()).unwrap();
        Self { _anvil: anvil, network, rpc, key: Arc::new(KnownKey::new()) }
    }

    fn sender(&self) -> Sender {
        self.sender_with(Box::new(Forgetful::default()), SenderOptions::of(&self.network))
    }

    fn sender_with(&self, outbox: Box<dyn Outbox>, options: SenderOptions) -> Sender {
        let key = Arc::clone(&self.key);
        let account = key.account.0;
        Sender::start(self.rpc.clone(), key, account, outbox, options).unwrap()
    }

    /// Tells anvil something.
    async fn tell(
        &self,
        method: &'static str,
        params: impl serde::Serialize + Clone + std::fmt::Debug + Send + Sync + Unpin,
    ) {
        let _: serde_json::Value = self.rpc.request(method, params).await.unwrap();
    }
}
