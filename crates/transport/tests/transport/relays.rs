//! Nodes that can be reached through a relay alone, at first or for good.

use computepool_core::ports::{LaneSender, Links as _};
use computepool_core::{FaultCode, Lane, PathKind, Reach, RouteTicket, SignedTicket};
use computepool_transport::{AcceptLimits, Identity, LaneOptions, NetworkOptions, Refusals, RelayLimits, Transport};
use futures::StreamExt as _;

use crate::support::{
    NOW_MS, Node, Over, TestClock, activation, eventually, network_options, new_identity, sealed, soon, ticket, token,
};

fn relay_options() -> NetworkOptions {
    NetworkOptions { relay_server: Some(RelayLimits::default()), ..network_options(Over::Both) }
}

/// The addresses of a relay, as its users are told.
fn named(relay: &Node) -> Vec<String> {
    relay.network.addresses().iter().map(|address| format!("{address}/p2p/{}", relay.id())).collect()
}

/// Listens nowhere but at the relay.
fn hidden(relay: &Node) -> NetworkOptions {
    NetworkOptions { listen: Vec::new(), relays: named(relay), ..network_options(Over::Both) }
}

/// The addresses of a node that lead through a relay, once there are any.
async fn circuits(node: &Node) -> Vec<String> {
    let circuits =
        |addresses: Vec<String>| addresses.into_iter().filter(|a| a.contains("p2p-circuit")).collect::<Vec<_>>();
    node.until(|network| !circuits(network.addresses()).is_empty()).await;
    circuits(node.network.addresses())
}

fn kinds(from: &Node, to: &Node) -> Vec<PathKind> {
    from.network.paths(to.id()).iter().map(|path| path.kind).collect()
}

fn route(from: &Node, to: &Node, issuer: &Identity) -> (RouteTicket, SignedTicket) {
    let ticket = ticket(vec![from.hop(0..1), to.hop(1..2)]);
    let signed = sealed(&ticket, issuer);
    (ticket, signed)
}

async fn open(from: &Node, route: &(RouteTicket, SignedTicket), to: &Node, lane: Lane) -> Box<dyn LaneSender> {
    soon(from.links.open(&route.1, &route.0, to.id(), lane)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_listen_nowhere_run_their_lanes_through_a_relay() {
    let (issuer, clock) = (Identity::generate().unwrap(), TestClock::at(NOW_MS));
    let relay = Node::start_on(relay_options()).await;
    let (entry, exit) = (Node::start_on(hidden(&relay)).await, Node::start_on(hidden(&relay)).await);
    let addresses = circuits(&exit).await;
    assert!(addresses.iter().all(|address| address.contains(relay.id().as_str())), "{addresses:?}");
    assert_eq!(exit.network.dialable_addresses(), addresses);
    assert_eq!(exit.network.preflight().relays, [relay.id().clone()]);
    circuits(&entry).await;

    let mut at_exit = exit.accept(&issuer, &clock, AcceptLimits::default()).await;
    let mut at_entry = entry.accept(&issuer, &clock, AcceptLimits::default()).await;
    let route = route(&entry, &exit, &issuer);
    let mut prefill = open(&entry, &route, &exit, Lane::Prefill).await;
    let mut incoming = soon(at_exit.next()).await.unwrap();
    assert_eq!(kinds(&entry, &exit), [PathKind::Relayed]);
    assert_eq!(kinds(&exit, &entry), [PathKind::Relayed], "both ends know");

    // 8 MiB: far beyond what a relay carries by libp2p's own defaults.
    let sending = async {
        for position in [0, 16_384] {
            prefill.send(activation(position, 16_384)).await.unwrap();
        }
    };
    let reading = async {
        for position in [0, 16_384] {
            assert!(incoming.frames.next().await.unwrap().unwrap() == activation(position, 16_384));
        }
    };
    soon(async { tokio::join!(reading, sending) }).await;

    let mut back = open(&exit, &route, &entry, Lane::Return).await;
    let mut tokens = soon(at_entry.next()).await.unwrap();
    back.send(token(7)).await.unwrap();
    assert_eq!(soon(tokens.frames.next()).await.unwrap().unwrap(), token(7));
    let link = soon(entry.network.measure(exit.id(), true)).await.unwrap();
    assert!(link.kind == PathKind::Relayed && link.up.is_some() && link.down.is_some(), "{link:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_connection_takes_over_and_the_relayed_one_is_closed_when_its_last_lane_ends() {
    let (issuer, clock) = (Identity::generate().unwrap(), TestClock::at(NOW_MS));
    let relay = Node::start_on(relay_options()).await;
    let entry = Node::start(Over::Both).await;
    let exit = Node::start_on(NetworkOptions { relays: named(&relay), ..network_options(Over::Both) }).await;
    let through = circuits(&exit).await;
    let path = soon(entry.network.connect(exit.id(), &through)).await.unwrap();
    assert_eq!(path.kind, PathKind::Relayed);
    assert!(path.address.contains(relay.id().as_str()), "{path:?}");

    let mut at_exit = exit.accept(&issuer, &clock, AcceptLimits::default()).await;
    // A ticket that names the circuit alone, so that this lane goes through the relay.
    let mut hops = vec![entry.hop(0..1), exit.hop(1..2)];
    hops[1].addresses = through;
    let relayed = ticket(hops);
    let relayed = (relayed.clone(), sealed(&relayed, &issuer));
    let mut decode = open(&entry, &relayed, &exit, Lane::Decode).await;
    let mut older = soon(at_exit.next()).await.unwrap();
    assert_eq!(kinds(&entry, &exit), [PathKind::Relayed]);

    let path = soon(entry.network.connect(exit.id(), &exit.network.addresses())).await.unwrap();
    assert_eq!(path.kind, PathKind::Lan);
    let direct = route(&entry, &exit, &issuer);
    let mut prefill = open(&entry, &direct, &exit, Lane::Prefill).await;
    let mut newer = soon(at_exit.next()).await.unwrap();
    prefill.send(activation(0, 3)).await.unwrap();
    assert_eq!(soon(newer.frames.next()).await.unwrap().unwrap(), activation(0, 3));
    assert_eq!(entry.network.path(exit.id()).unwrap().kind, PathKind::Lan);

    // Long enough for the direct connection to count as settled: a lane in use keeps the relayed one.
    tokio::time::sleep(std::time::Duration::from_millis(1600)).await;
    assert!(kinds(&entry, &exit).contains(&PathKind::Relayed));
    decode.send(activation(0, 1)).await.unwrap();
    assert_eq!(soon(older.frames.next()).await.unwrap().unwrap(), activation(0, 1));
    drop((decode, older));
    eventually(async || !kinds(&entry, &exit).contains(&PathKind::Relayed)).await;
    eventually(async || !kinds(&exit, &entry).contains(&PathKind::Relayed)).await;
    prefill.send(activation(3, 3)).await.unwrap();
    assert_eq!(soon(newer.frames.next()).await.unwrap().unwrap(), activation(3, 3), "the direct lane is not concerned");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_is_followed_by_a_punch_before_lanes_open() {
    let relay = Node::start_on(NetworkOptions { nat: true, ..relay_options() }).await;
    let punching = || NetworkOptions { nat: true, relays: named(&relay), ..network_options(Over::Both) };
    let (one, other) = (Node::start_on(punching()).await, Node::start_on(punching()).await);
    let through = circuits(&other).await;
    circuits(&one).await;
    let path = soon(one.network.connect(other.id(), &through)).await.unwrap();
    assert_eq!(path.kind, PathKind::Lan, "nothing lies between them but the way to find each other");
    eventually(async || kinds(&one, &other).iter().all(|kind| *kind == PathKind::Lan)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_comes_back_is_used_again() {
    let (identity, _) = new_identity();
    let first = Node::start_as(identity.clone(), relay_options(), LaneOptions::default()).await;
    let node = Node::start_on(hidden(&first)).await;
    let before = circuits(&node).await;
    soon(first.network.shutdown()).await;
    node.until(|network| network.addresses().is_empty()).await;
    assert!(node.network.preflight().relays.is_empty());

    // It comes back on other ports, which the node is told.
    let again = Node::start_as(identity, relay_options(), LaneOptions::default()).await;
    node.network.use_relays(&named(&again)).await.unwrap();
    let after = circuits(&node).await;
    assert!(after.iter().all(|address| !before.contains(address)), "{after:?}");
    let other = Node::start(Over::Tcp).await;
    soon(other.network.connect(node.id(), &after)).await.unwrap();
    assert_eq!(again.network.refusals(), Refusals::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_owner_says_is_public_and_names_resolve() {
    let mut options = network_options(Over::Tcp);
    options.external = vec!["/ip4/203.0.113.7/tcp/4001".to_owned()];
    let public = Node::start_on(options).await;
    assert_eq!(*public.network.reach().borrow(), Reach::Public);
    assert_eq!(public.network.dialable_addresses(), ["/ip4/203.0.113.7/tcp/4001"], "loopback is of no use to others");
    assert!(public.network.preflight().sentences()[0].contains("/ip4/203.0.113.7/tcp/4001"));

    let other = Node::start(Over::Tcp).await;
    assert_eq!(other.network.dialable_addresses(), other.network.addresses(), "where there is nothing else, it is");
    let named: Vec<_> = public
        .network
        .addresses()
        .iter()
        .map(|address| address.replace("/ip4/127.0.0.1/", "/dns4/localhost/"))
        .collect();
    let path = soon(other.network.connect(public.id(), &named[..1])).await.unwrap();
    assert_eq!(path.transport, Transport::Tcp);

    for options in [
        NetworkOptions { relays: vec!["/ip4/203.0.113.7/tcp/4001".to_owned()], ..network_options(Over::Tcp) },
        NetworkOptions { external: vec!["203.0.113.7:4001".to_owned()], ..network_options(Over::Tcp) },
    ] {
        let fault = computepool_transport::Network::start(&new_identity().0, options).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::InvalidRequest);
    }
}
