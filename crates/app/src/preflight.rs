//! What a machine's network allows, found out before it joins.

use std::time::Duration;

use computepool_core::{Fault, Invite};
use computepool_transport::{Identity, Network, NetworkOptions};

/// Looks around for at most so long and says what was found, in sentences for people: what the network allows, and
/// which roles this machine can take in it.
pub async fn look(invite: &Invite, within: Duration) -> Result<Vec<String>, Fault> {
    let options = NetworkOptions { relays: invite.relays.clone(), ..NetworkOptions::wide() };
    let network = Network::start(&Identity::generate()?, options).await?;
    let mut sentences = Vec::new();
    match network.dial(&invite.orchestrator, &invite.addresses).await {
        Ok(()) => sentences.push("The network can be reached from here.".to_owned()),
        Err(fault) => sentences.push(format!("The network cannot be reached from here: {}", fault.message)),
    }
    let mut reach = network.reach();
    // What is found first may be corrected; a public address is the best there is.
    let settled = reach.wait_for(|reach| *reach == computepool_core::Reach::Public);
    if tokio::time::timeout(within, settled).await.is_err() {
        tracing::debug!("no public address was confirmed");
    }
    sentences.extend(network.preflight().sentences());
    network.shutdown().await;
    Ok(sentences)
}
