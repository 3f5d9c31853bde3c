//! Control links between real nodes.

use std::time::Duration;

use computepool_core::control::{CONTROL_VERSION, MAX_CONTROL_BYTES, NodeMessage, OrchestratorMessage};
use computepool_core::ports::{ControlEvent, ControlServer as _};
use computepool_core::{Fault, FaultCode, NodeId, Sealed, SessionId};
use computepool_transport::control::PROTOCOL;
use computepool_transport::{ControlClient, ControlHub, ControlOptions, ControlSender, node_of};
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::support::{Node, Over, RawPeer, new_identity, read_frame, soon, write};

const OPTIONS: ControlOptions = ControlOptions {
    ping_every: Duration::from_millis(200),
    dead_after: Duration::from_secs(5),
    queue: 16,
    max_links: 4,
    events: 64,
};

/// Gives silence up early.
const IMPATIENT: ControlOptions = ControlOptions { dead_after: Duration::from_millis(500), ..OPTIONS };

/// A message that says `text`; a link carries it as it is, and its recipient would check it.
fn hello(text: &str) -> NodeMessage {
    let by = NodeId::new("somebody").unwrap();
    NodeMessage::Hello {
        version: CONTROL_VERSION,
        advert: Sealed { body: text.as_bytes().to_vec(), by, signature: Vec::new() },
    }
}

fn close(byte: u8) -> OrchestratorMessage {
    OrchestratorMessage::CloseSession { session: SessionId([byte; 16]) }
}

struct Orchestrator {
    node: Node,
    hub: ControlHub,
    events: BoxStream<'static, ControlEvent>,
}

impl Orchestrator {
    async fn start(options: ControlOptions) -> Self {
        let node = Node::start(Over::Tcp).await;
        let (hub, events) = ControlHub::start(&node.network, options).await.unwrap();
        Self { node, hub, events }
    }

    async fn next(&mut self) -> ControlEvent {
        soon(self.events.next()).await.unwrap()
    }

    async fn link(&self, from: &Node) -> (ControlSender, BoxStream<'static, OrchestratorMessage>) {
        let addresses = self.node.network.addresses();
        soon(ControlClient::connect(&from.network, self.node.id(), &addresses, OPTIONS)).await.unwrap()
    }

    /// A good node links, says hello, is answered, and leaves.
    async fn still_serves(&mut self) {
        let node = Node::start(Over::Tcp).await;
        let (sender, mut messages) = self.link(&node).await;
        assert_eq!(self.next().await, ControlEvent::Connected(node.id().clone()));
        sender.send(&hello("good")).await.unwrap();
        assert_eq!(self.next().await, ControlEvent::Message(node.id().clone(), Box::new(hello("good"))));
        assert!(self.hub.send(node.id(), close(1)));
        assert_eq!(soon(messages.next()).await, Some(close(1)));
        drop(sender);
        assert_eq!(self.next().await, ControlEvent::Disconnected(node.id().clone()));
        assert!(!self.hub.send(node.id(), close(2)));
    }

    async fn disconnected(&mut self, node: &NodeId) {
        assert_eq!(self.next().await, ControlEvent::Disconnected(node.clone()));
    }
}

async fn evil(orchestrator: &mut Orchestrator) -> (NodeId, RawPeer, libp2p::Stream) {
    let (_, keys) = new_identity();
    let id = node_of(&keys.public().to_peer_id()).unwrap();
    let mut peer = RawPeer::connect(keys, &orchestrator.node).await;
    let mut stream = peer.open(&orchestrator.node, PROTOCOL).await;
    // A ping: with some implementations a stream exists for the other side only once something was written.
    write(&mut stream, b"CPCL\x01\x02\0\0\0\0\0\0").await;
    assert_eq!(orchestrator.next().await, ControlEvent::Connected(id.clone()));
    (id, peer, stream)
}

/// Reads over pings up to the reason why the link ends.
async fn reason(stream: &mut libp2p::Stream) -> Fault {
    loop {
        let (kind, body) = read_frame(stream).await.expect("a reason");
        match kind {
            2 => assert!(body.is_empty()),
            3 => return postcard::from_bytes(&body).unwrap(),
            other => panic!("a frame of kind {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_say_much_at_once_and_all_of_it_arrives_in_order() {
    let mut orchestrator = Orchestrator::start(OPTIONS).await;
    let node = Node::start(Over::Tcp).await;
    let (sender, mut messages) = orchestrator.link(&node).await;
    orchestrator.next().await;
    let big = "x".repeat(1 << 20);
    let sending = async {
        for i in 0..12u64 {
            sender.send(&hello(&format!("{i}{big}"))).await.unwrap();
        }
    };
    let answering = async {
        for i in 0..12u8 {
            let ControlEvent::Message(from, message) = orchestrator.next().await else { panic!("an end") };
            assert_eq!((&from, *message), (node.id(), hello(&format!("{i}{big}"))));
            assert!(orchestrator.hub.send(&from, close(i)));
        }
    };
    let reading = async {
        for i in 0..12 {
            assert_eq!(soon(messages.next()).await, Some(close(i)));
        }
    };
    soon(async { tokio::join!(sending, answering, reading) }).await;

    let fault = sender.send(&hello(&"x".repeat(MAX_CONTROL_BYTES))).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::OversizeFrame);
    sender.send(&NodeMessage::Draining).await.expect("the link outlives a message that is too long");
    let draining = Box::new(NodeMessage::Draining);
    assert_eq!(orchestrator.next().await, ControlEvent::Message(node.id().clone(), draining));

    // What was queued before the end still arrives.
    assert!(orchestrator.hub.send(node.id(), OrchestratorMessage::Leave));
    orchestrator.hub.disconnect(node.id());
    assert!(!orchestrator.hub.send(node.id(), close(1)));
    assert_eq!(soon(messages.next()).await, Some(OrchestratorMessage::Leave));
    assert_eq!(soon(messages.next()).await, None);
    assert!(sender.ended().is_some() && sender.send(&NodeMessage::Draining).await.is_err());
    orchestrator.disconnected(node.id()).await;
    orchestrator.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_a_control_link_ends_it_by_name_and_nothing_else() {
    let mut orchestrator = Orchestrator::start(OPTIONS).await;
    let prefix = |kind: u8, length: u32| [&b"CPCL\x01"[..], &[kind, 0, 0], &length.to_le_bytes()].concat();
    let cases: [(Vec<u8>, FaultCode); 7] = [
        (vec![0xEE; 100], FaultCode::BadFrame),
        (b"CPCL\x07\x02\0\0\0\0\0\0".to_vec(), FaultCode::BadFrame),
        (prefix(9, 0), FaultCode::BadFrame),
        (prefix(1, MAX_CONTROL_BYTES as u32 + 1), FaultCode::OversizeFrame),
        (prefix(2, 1), FaultCode::OversizeFrame),
        ([prefix(1, 5), vec![0xFF; 5]].concat(), FaultCode::BadFrame),
        ([prefix(3, 2), vec![0xFF; 2]].concat(), FaultCode::BadFrame),
    ];
    for (bytes, code) in cases {
        let (id, _peer, mut stream) = evil(&mut orchestrator).await;
        write(&mut stream, &bytes).await;
        orchestrator.disconnected(&id).await;
        assert_eq!(reason(&mut stream).await.code, code, "{bytes:02x?}");
    }
    let (id, _peer, mut stream) = evil(&mut orchestrator).await;
    write(&mut stream, &prefix(1, 1000)).await;
    drop(stream);
    orchestrator.disconnected(&id).await;
    orchestrator.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_links_again_replaces_its_older_link() {
    let mut orchestrator = Orchestrator::start(OPTIONS).await;
    let node = Node::start(Over::Tcp).await;
    let (older, mut older_messages) = orchestrator.link(&node).await;
    assert_eq!(orchestrator.next().await, ControlEvent::Connected(node.id().clone()));
    older.send(&hello("older")).await.unwrap();
    assert_eq!(orchestrator.next().await, ControlEvent::Message(node.id().clone(), Box::new(hello("older"))));

    let (newer, mut newer_messages) = orchestrator.link(&node).await;
    assert_eq!(soon(older_messages.next()).await, None);
    let fault = older.ended().unwrap();
    assert!(fault.message.contains("newer link"), "{fault}");
    newer.send(&hello("newer")).await.unwrap();
    assert!(!orchestrator.hub.send(node.id(), close(1)), "meant for the older link, and not for the newer");
    assert_eq!(orchestrator.next().await, ControlEvent::Disconnected(node.id().clone()));
    assert_eq!(orchestrator.next().await, ControlEvent::Connected(node.id().clone()));
    assert!(orchestrator.hub.send(node.id(), close(2)));
    assert_eq!(soon(newer_messages.next()).await, Some(close(2)));
    assert_eq!(orchestrator.next().await, ControlEvent::Message(node.id().clone(), Box::new(hello("newer"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_falls_silent_is_given_up() {
    let mut orchestrator = Orchestrator::start(IMPATIENT).await;
    let (id, _peer, mut stream) = evil(&mut orchestrator).await;
    orchestrator.disconnected(&id).await;
    assert_eq!(reason(&mut stream).await.code, FaultCode::Stalled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reads_nothing_is_disconnected_when_its_queue_is_full() {
    let mut orchestrator = Orchestrator::start(OPTIONS).await;
    let (id, _peer, _stream) = evil(&mut orchestrator).await;
    let ticket = computepool_core::SignedTicket { body: vec![1; 60_000], issuer: id.clone(), signature: vec![] };
    let mut sent = 0;
    while orchestrator.hub.send(&id, OrchestratorMessage::OpenSession { ticket: ticket.clone() }) {
        sent += 1;
        assert!(sent < 10_000, "the queue has no bound");
        tokio::task::yield_now().await;
    }
    orchestrator.disconnected(&id).await;
    orchestrator.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_sees_that_its_orchestrator_is_gone_or_silent() {
    let orchestrator = Orchestrator::start(OPTIONS).await;
    let node = Node::start(Over::Tcp).await;
    let (sender, mut messages) = orchestrator.link(&node).await;
    soon(orchestrator.node.network.shutdown()).await;
    assert_eq!(soon(messages.next()).await, None);
    assert!(sender.ended().is_some());
    let addresses = orchestrator.node.network.addresses();
    let again = soon(ControlClient::connect(&node.network, orchestrator.node.id(), &addresses, OPTIONS)).await;
    assert_eq!(again.err().unwrap().code, FaultCode::LinkLost);

    // One that is there but says nothing.
    let (identity, keys) = new_identity();
    let mut silent = RawPeer::connect(keys, &node).await;
    let mut inbound = silent.accept(PROTOCOL);
    let connecting = ControlClient::connect(&node.network, identity.id(), &[], IMPATIENT);
    let (linked, stream) = soon(async { tokio::join!(connecting, inbound.next()) }).await;
    let (sender, mut messages) = linked.unwrap();
    assert_eq!(soon(messages.next()).await, None);
    assert_eq!(sender.ended().unwrap().code, FaultCode::Stalled);
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_nodes_are_linked_and_dropping_the_events_ends_them() {
    let mut orchestrator = Orchestrator::start(OPTIONS).await;
    let mut linked = Vec::new();
    for _ in 0..OPTIONS.max_links {
        linked.push(evil(&mut orchestrator).await);
    }
    let node = Node::start(Over::Tcp).await;
    let (sender, mut messages) = orchestrator.link(&node).await;
    assert_eq!(soon(messages.next()).await, None, "one too many");
    assert_eq!(sender.ended().unwrap().code, FaultCode::NoCapacity);
    let Orchestrator { node: _network, events, .. } = orchestrator;
    drop(events);
    for (_, _, stream) in &mut linked {
        assert_eq!(reason(stream).await.code, FaultCode::Draining);
    }
}
