//! Floods: refused by name, counted, and nobody else's trouble.

use std::net::TcpStream;

use computepool_core::Lane;
use computepool_core::ports::Links as _;
use computepool_transport::{AcceptLimits, Identity, NetworkOptions, RelayLimits};
use futures::StreamExt as _;

use crate::support::{
    NOW_MS, Node, Over, TestClock, activation, eventually, network_options, new_identity, sealed, soon, ticket,
};

/// The address of the first listener, as the standard library wants it.
fn socket_of(node: &Node) -> String {
    let address = node.network.addresses()[0].clone();
    let parts: Vec<_> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_connections_is_refused_and_a_session_goes_on() {
    let issuer = Identity::generate().unwrap();
    let (entry, exit) = (
        Node::start(Over::Tcp).await,
        Node::start_on(NetworkOptions {
            max_pending_per_address: 8,
            max_connections_per_address: 16,
            ..network_options(Over::Tcp)
        })
        .await,
    );
    let clock = TestClock::at(NOW_MS);
    let mut accepted = exit.accept(&issuer, &clock, AcceptLimits::default()).await;
    let ticket = ticket(vec![entry.hop(0..1), exit.hop(1..2)]);
    let signed = sealed(&ticket, &issuer);
    let mut decode = soon(entry.links.open(&signed, &ticket, exit.id(), Lane::Decode)).await.unwrap();
    let mut lane = soon(accepted.next()).await.unwrap();

    // Connections that say nothing: each would hold a place until its handshake times out.
    let target = socket_of(&exit);
    let mut flood = Vec::new();
    for position in 0..200 {
        flood.push(TcpStream::connect(&target).unwrap());
        if position % 20 == 0 {
            decode.send(activation(position, 1)).await.unwrap();
            assert_eq!(soon(lane.frames.next()).await.unwrap().unwrap(), activation(position, 1));
        }
    }
    eventually(async || exit.network.refusals().connections >= 200 - 16).await;
    decode.send(activation(1_000, 1)).await.unwrap();
    assert_eq!(soon(lane.frames.next()).await.unwrap().unwrap(), activation(1_000, 1));

    drop(flood);
    let late = Node::start(Over::Tcp).await;
    eventually(async || late.network.dial(exit.id(), &exit.network.addresses()).await.is_ok()).await;
    assert_eq!(late.network.refusals().connections, 0, "who was refused counts nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_full_of_reservations_refuses_more_and_keeps_those_it_has() {
    let limits = RelayLimits { max_reservations: 2, ..RelayLimits::default() };
    let relay = Node::start_on(NetworkOptions { relay_server: Some(limits), ..network_options(Over::Tcp) }).await;
    let relays: Vec<_> = relay.network.addresses().iter().map(|a| format!("{a}/p2p/{}", relay.id())).collect();
    let options = NetworkOptions { listen: Vec::new(), relays, ..network_options(Over::Tcp) };
    let (one, two) = (Node::start_on(options.clone()).await, Node::start_on(options.clone()).await);
    for node in [&one, &two] {
        node.until(|network| !network.addresses().is_empty()).await;
    }
    let three = Node::start_on(options).await;
    eventually(async || relay.network.refusals().reservations >= 1).await;
    assert!(three.network.addresses().is_empty() && three.network.preflight().relays.is_empty());
    soon(three.network.connect(one.id(), &one.network.addresses())).await.expect("those it has are served");

    let circuit = format!("{}/p2p/{}/p2p-circuit", relay.network.addresses()[0], relay.id());
    let nobody = new_identity().0;
    soon(two.network.connect(nobody.id(), &[circuit])).await.expect_err("no reservation leads there");
    eventually(async || relay.network.refusals().circuits == 1).await;
}
