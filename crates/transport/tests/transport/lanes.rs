//! Lanes between real nodes: open, carry, slow down, be replaced, end.

use std::time::{Duration, Instant};

use computepool_core::ports::{IncomingLane, LaneSender, Links as _};
use computepool_core::{FaultCode, GenerationId, HopFrame, Lane, RouteTicket, SignedTicket};
use computepool_transport::{AcceptLimits, Identity, LaneOptions, Network, NetworkOptions, Transport};
use futures::StreamExt as _;

use crate::support::{NOW_MS, Node, Over, TestClock, activation, network_options, sealed, soon, ticket, token};

async fn open(from: &Node, signed: &SignedTicket, ticket: &RouteTicket, to: &Node, lane: Lane) -> Box<dyn LaneSender> {
    soon(from.links.open(signed, ticket, to.id(), lane)).await.unwrap()
}

async fn next(lane: &mut IncomingLane) -> HopFrame {
    soon(lane.frames.next()).await.expect("a frame").unwrap()
}

/// A two-node route and everything around it; the entry writes to the exit.
struct Pair {
    entry: Node,
    exit: Node,
    clock: std::sync::Arc<TestClock>,
    issuer: Identity,
    ticket: RouteTicket,
    signed: SignedTicket,
}

impl Pair {
    async fn start(over: Over, options: LaneOptions) -> Self {
        let issuer = Identity::generate().unwrap();
        let (entry, exit) = (Node::start_with(over, options).await, Node::start_with(over, options).await);
        let ticket = ticket(vec![entry.hop(0..1), exit.hop(1..2)]);
        let signed = sealed(&ticket, &issuer);
        Self { entry, exit, clock: TestClock::at(NOW_MS), issuer, ticket, signed }
    }

    async fn open(&self, lane: Lane) -> Box<dyn LaneSender> {
        open(&self.entry, &self.signed, &self.ticket, &self.exit, lane).await
    }
}

async fn carries_everything(over: Over, transport: Transport) {
    let issuer = Identity::generate().unwrap();
    let clock = TestClock::at(NOW_MS);
    let nodes = [Node::start(over).await, Node::start(over).await, Node::start(over).await];
    let [entry, middle, exit] = &nodes;
    let ticket = ticket(vec![entry.hop(0..1), middle.hop(1..2), exit.hop(2..3)]);
    let signed = sealed(&ticket, &issuer);
    let mut at_middle = middle.accept(&issuer, &clock, AcceptLimits::default()).await;
    let mut at_entry = entry.accept(&issuer, &clock, AcceptLimits::default()).await;

    let mut prefill = open(entry, &signed, &ticket, middle, Lane::Prefill).await;
    let mut incoming = soon(at_middle.next()).await.unwrap();
    assert_eq!((incoming.session, &incoming.from, incoming.lane), (ticket.session, entry.id(), Lane::Prefill));
    assert_eq!(incoming.ticket, ticket);
    assert_eq!(entry.network.path(middle.id()).unwrap().transport, transport);

    // 16,384 rows of 64 f32: 4 MiB in one frame, then small ones, then an abort.
    let abort = HopFrame::Abort { generation: GenerationId([9; 16]), code: FaultCode::Cancelled };
    let frames = [activation(0, 16_384), activation(16_384, 3), activation(16_387, 1), abort];
    let sending = async {
        for frame in &frames {
            prefill.send(frame.clone()).await.unwrap();
        }
    };
    let reading = async {
        for frame in &frames {
            assert!(next(&mut incoming).await == *frame, "{frame:?} arrived as something else");
        }
    };
    soon(async { tokio::join!(sending, reading) }).await;

    let mut back = open(exit, &signed, &ticket, entry, Lane::Return).await;
    let mut tokens = soon(at_entry.next()).await.unwrap();
    for position in 0..200 {
        back.send(token(position)).await.unwrap();
    }
    for position in 0..200 {
        assert_eq!(next(&mut tokens).await, token(position));
    }
    drop(back);
    assert!(soon(tokens.frames.next()).await.is_none(), "a dropped sender ends the lane without an error");
    for node in &nodes {
        soon(node.network.shutdown()).await;
    }
    assert_eq!(entry.network.connected(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_over_tcp_carries_every_kind_of_frame() {
    carries_everything(Over::Tcp, Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_over_quic_carries_every_kind_of_frame() {
    carries_everything(Over::Quic, Transport::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prefill_goes_over_tcp_even_when_the_peers_met_over_quic() {
    let pair = Pair::start(Over::Both, LaneOptions::default()).await;
    let mut accepted = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
    let quic: Vec<_> = pair.exit.network.addresses().into_iter().filter(|a| a.contains("quic")).collect();
    soon(pair.entry.network.dial(pair.exit.id(), &quic)).await.unwrap();
    let transports = || pair.entry.network.paths(pair.exit.id()).iter().map(|path| path.transport).collect::<Vec<_>>();
    assert_eq!(transports(), [Transport::Quic]);

    let _decode = pair.open(Lane::Decode).await;
    assert_eq!(transports(), [Transport::Quic], "a decode lane is content with what there is");
    let mut prefill = pair.open(Lane::Prefill).await;
    assert_eq!(transports(), [Transport::Quic, Transport::Tcp]);
    let lanes = [soon(accepted.next()).await.unwrap(), soon(accepted.next()).await.unwrap()];
    let mut lane = lanes.into_iter().find(|lane| lane.lane == Lane::Prefill).unwrap();
    prefill.send(activation(0, 5)).await.unwrap();
    assert_eq!(next(&mut lane).await, activation(0, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neighbours_may_dial_each_other_in_the_same_instant() {
    for _ in 0..5 {
        let pair = Pair::start(Over::Both, LaneOptions::default()).await;
        let mut at_exit = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
        let mut at_entry = pair.entry.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
        let (prefill, decode, back) = soon(async {
            tokio::join!(
                pair.open(Lane::Prefill),
                pair.open(Lane::Decode),
                open(&pair.exit, &pair.signed, &pair.ticket, &pair.entry, Lane::Return),
            )
        })
        .await;
        let forward: Vec<_> = soon(at_exit.by_ref().take(2).collect()).await;
        assert_eq!((forward.len(), soon(at_entry.next()).await.unwrap().lane), (2, Lane::Return));
        drop((prefill, decode, back));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_stream_takes_the_lane_over() {
    let pair = Pair::start(Over::Tcp, LaneOptions::default()).await;
    let mut accepted = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
    let mut older = pair.open(Lane::Decode).await;
    let mut older_end = soon(accepted.next()).await.unwrap();
    older.send(activation(0, 1)).await.unwrap();
    assert_eq!(next(&mut older_end).await, activation(0, 1));

    let mut newer = pair.open(Lane::Decode).await;
    let mut newer_end = soon(accepted.next()).await.unwrap();
    let fault = soon(older_end.frames.next()).await.unwrap().unwrap_err();
    assert_eq!(fault.code, FaultCode::LinkLost);
    assert!(soon(older_end.frames.next()).await.is_none(), "it ends after the first error");
    let fault = soon(fails(&mut older)).await;
    assert!(fault.code == FaultCode::LinkLost && fault.message.contains("newer stream"), "{fault}");

    newer.send(activation(1, 1)).await.unwrap();
    assert_eq!(next(&mut newer_end).await, activation(1, 1));
}

/// Sends until that fails.
async fn fails(sender: &mut Box<dyn LaneSender>) -> computepool_core::Fault {
    loop {
        match sender.send(activation(0, 1)).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(fault) => return fault,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_ticket_is_the_end_of_its_lanes() {
    let pair = Pair::start(Over::Tcp, LaneOptions::default()).await;
    let mut accepted = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
    let mut sender = pair.open(Lane::Decode).await;
    let mut lane = soon(accepted.next()).await.unwrap();
    sender.send(activation(0, 1)).await.unwrap();
    next(&mut lane).await;
    pair.clock.set(pair.ticket.expires_ms + 1);
    let fault = soon(lane.frames.next()).await.unwrap().unwrap_err();
    assert_eq!(fault.code, FaultCode::TicketExpired);
    assert_eq!(soon(fails(&mut sender)).await.code, FaultCode::TicketExpired, "and the neighbour is told why");
}

async fn a_stopped_reader_stalls_only_its_own_lane(over: Over) {
    let options = LaneOptions { stall: Duration::from_millis(700), ..LaneOptions::default() };
    let pair = Pair::start(over, options).await;
    let mut accepted = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
    let mut prefill = pair.open(Lane::Prefill).await;
    let unread = soon(accepted.next()).await.unwrap();
    let mut sent = 0;
    let fault = soon(async {
        loop {
            match prefill.send(activation(0, 4096)).await {
                Ok(()) => sent += 1,
                Err(fault) => return fault,
            }
            assert!(sent < 64, "64 MiB went into a lane that nobody reads");
        }
    })
    .await;
    assert_eq!(fault.code, FaultCode::Stalled);
    assert_eq!(soon(prefill.send(activation(0, 1))).await.unwrap_err().code, FaultCode::Stalled, "it stays so");

    let mut decode = pair.open(Lane::Decode).await;
    let mut lane = soon(accepted.next()).await.unwrap();
    decode.send(activation(7, 1)).await.unwrap();
    assert_eq!(next(&mut lane).await, activation(7, 1));
    drop(unread);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_reader_stalls_its_writer_over_tcp() {
    a_stopped_reader_stalls_only_its_own_lane(Over::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_reader_stalls_its_writer_over_quic() {
    a_stopped_reader_stalls_only_its_own_lane(Over::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_given_up_half_way_spoils_the_lane_by_name() {
    let pair = Pair::start(Over::Tcp, LaneOptions::default()).await;
    let mut accepted = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
    let mut prefill = pair.open(Lane::Prefill).await;
    let mut lane = soon(accepted.next()).await.unwrap();
    // Nobody reads, so that 4 MiB cannot be written whole.
    let cut = tokio::time::timeout(Duration::from_millis(100), prefill.send(activation(0, 16_384))).await;
    assert!(cut.is_err());
    let fault = soon(prefill.send(activation(0, 1))).await.unwrap_err();
    assert!(fault.code == FaultCode::LinkLost && fault.message.contains("half written"), "{fault}");
    drop(prefill);
    assert_eq!(soon(lane.frames.next()).await.unwrap().unwrap_err().code, FaultCode::LinkLost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_goes_away_is_a_lost_link() {
    let pair = Pair::start(Over::Tcp, LaneOptions::default()).await;
    let mut accepted = pair.exit.accept(&pair.issuer, &pair.clock, AcceptLimits::default()).await;
    let mut sender = pair.open(Lane::Decode).await;
    let _lane = soon(accepted.next()).await.unwrap();
    soon(pair.exit.network.shutdown()).await;
    assert_eq!(soon(fails(&mut sender)).await.code, FaultCode::LinkLost);
    let again = soon(pair.entry.links.open(&pair.signed, &pair.ticket, pair.exit.id(), Lane::Decode)).await;
    assert_eq!(again.err().unwrap().code, FaultCode::LinkLost);
    assert_eq!(soon(pair.exit.network.dial(pair.entry.id(), &[])).await.unwrap_err().code, FaultCode::Draining);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_answers_only_to_its_own_name_and_pings_are_measured() {
    let (alice, bob, carol) =
        (Node::start(Over::Both).await, Node::start(Over::Both).await, Node::start(Over::Tcp).await);
    let wrong = soon(alice.network.dial(carol.id(), &bob.network.addresses())).await.unwrap_err();
    assert_eq!(wrong.code, FaultCode::LinkLost);
    assert!(alice.network.path(carol.id()).is_none());
    assert_eq!(soon(alice.network.dial(alice.id(), &[])).await.unwrap_err().code, FaultCode::InvalidRequest);

    soon(alice.network.dial(bob.id(), &bob.network.addresses())).await.unwrap();
    soon(alice.network.dial(bob.id(), &[])).await.expect("connected already");
    let rtt = soon(async {
        loop {
            match alice.network.rtt(bob.id()) {
                Some(rtt) => break rtt,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    assert!(rtt > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_udp_port_leaves_tcp_and_a_taken_tcp_port_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = network_options(Over::Both);
    options.listen[1] = format!("/ip4/127.0.0.1/udp/{}/quic-v1", taken.local_addr().unwrap().port());
    let begun = Instant::now();
    let network = Network::start(&Identity::generate().unwrap(), options).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(network.addresses().iter().all(|address| address.contains("/tcp/")), "{:?}", network.addresses());

    let port = listener.local_addr().unwrap().port();
    let options = NetworkOptions { listen: vec![format!("/ip4/127.0.0.1/tcp/{port}")], ..network_options(Over::Tcp) };
    let fault = Network::start(&Identity::generate().unwrap(), options).await.unwrap_err();
    assert!(fault.code == FaultCode::Io && fault.message.contains(&port.to_string()), "{fault}");
}
