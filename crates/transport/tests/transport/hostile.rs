//! Neighbours that lie, break off, write garbage or flood. After each, the node still serves a good lane.

use std::time::Duration;

use computepool_core::ports::{IncomingLane, Links as _};
use computepool_core::{FaultCode, Lane, RouteTicket, SessionId, SignedTicket};
use computepool_transport::{AcceptLimits, HopLinks, Identity, LaneOptions, frame, hello};
use futures::stream::BoxStream;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::Stream;

use crate::support::{
    NOW_MS, Node, Over, Random, RawPeer, TestClock, activation, fuzz_cases, new_identity, read_reply, sealed, soon,
    ticket, token, write,
};

/// A victim in the middle of a route, a well-behaved neighbour, and one that is not: both precede the victim, in
/// two routes of the same orchestrator.
struct Scene {
    victim: Node,
    good: Node,
    evil: RawPeer,
    issuer: Identity,
    good_ticket: RouteTicket,
    evil_ticket: RouteTicket,
    accepted: BoxStream<'static, IncomingLane>,
}

const LIMITS: AcceptLimits = AcceptLimits {
    hello_timeout: Duration::from_millis(600),
    max_pending: 32,
    max_pending_per_peer: 4,
    max_lanes: 64,
    max_lanes_per_peer: 3,
    max_activation_bytes: 1024 * 1024,
};

impl Scene {
    async fn start(over: Over) -> Self {
        let issuer = Identity::generate().unwrap();
        let (victim, good, last) = (Node::start(over).await, Node::start(over).await, Node::start(over).await);
        let (identity, keys) = new_identity();
        let clock = TestClock::at(NOW_MS);
        let accepted = victim.accept(&issuer, &clock, LIMITS).await;
        let evil = RawPeer::connect(keys, &victim).await;
        let good_ticket = ticket(vec![good.hop(0..1), victim.hop(1..2), last.hop(2..3)]);
        let mut evil_ticket = good_ticket.clone();
        evil_ticket.session = SessionId([66; 16]);
        evil_ticket.hops[0].node = identity.id().clone();
        Self { victim, good, evil, issuer, good_ticket, evil_ticket, accepted }
    }

    fn evil_hello(&self) -> Vec<u8> {
        hello::encode(Lane::Decode, &sealed(&self.evil_ticket, &self.issuer)).unwrap()
    }

    /// Writes a hello that must be turned away, and says with what.
    async fn refused(&mut self, hello: &[u8]) -> FaultCode {
        let mut stream = self.evil.open(&self.victim, frame::PROTOCOL).await;
        write(&mut stream, hello).await;
        let fault = read_reply(&mut stream).await.expect("a bad hello was accepted");
        assert!(!fault.message.is_empty());
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or(0), 0, "the stream ends after the reason");
        self.still_serves().await;
        fault.code
    }

    /// Opens a lane properly, as the evil peer, for what comes after the hello.
    async fn evil_lane(&mut self) -> (Stream, IncomingLane) {
        let hello = self.evil_hello();
        let mut stream = self.evil.open(&self.victim, frame::PROTOCOL).await;
        write(&mut stream, &hello).await;
        assert_eq!(read_reply(&mut stream).await, None);
        (stream, soon(self.accepted.next()).await.unwrap())
    }

    async fn still_serves(&mut self) {
        let signed = sealed(&self.good_ticket, &self.issuer);
        let opened = self.good.links.open(&signed, &self.good_ticket, self.victim.id(), Lane::Decode);
        let mut sender = soon(opened).await.unwrap();
        let mut lane = soon(self.accepted.next()).await.unwrap();
        assert_eq!(&lane.from, self.good.id());
        sender.send(activation(3, 1)).await.unwrap();
        assert_eq!(soon(lane.frames.next()).await.unwrap().unwrap(), activation(3, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_is_not_good_opens_nothing() {
    let mut scene = Scene::start(Over::Tcp).await;
    let signed = sealed(&scene.evil_ticket, &scene.issuer);
    let encode = |lane, ticket: &SignedTicket| hello::encode(lane, ticket).unwrap();

    let mut forged = signed.clone();
    forged.signature[5] ^= 1;
    assert_eq!(scene.refused(&encode(Lane::Decode, &forged)).await, FaultCode::BadTicket, "forged signature");

    let mut altered = signed.clone();
    altered.body[0] ^= 1;
    assert_eq!(scene.refused(&encode(Lane::Decode, &altered)).await, FaultCode::BadTicket, "altered body");

    let (other, _) = new_identity();
    let own = sealed(&scene.evil_ticket, &other);
    assert_eq!(scene.refused(&encode(Lane::Decode, &own)).await, FaultCode::BadTicket, "wrong issuer");

    let claimed = SignedTicket { issuer: scene.issuer.id().clone(), ..own };
    assert_eq!(scene.refused(&encode(Lane::Decode, &claimed)).await, FaultCode::BadTicket, "somebody else's signature");

    let mut expired = scene.evil_ticket.clone();
    (expired.not_before_ms, expired.expires_ms) = (NOW_MS - 10_000, NOW_MS - 1);
    let expired = sealed(&expired, &scene.issuer);
    assert_eq!(scene.refused(&encode(Lane::Decode, &expired)).await, FaultCode::TicketExpired);

    let mut early = scene.evil_ticket.clone();
    (early.not_before_ms, early.expires_ms) = (NOW_MS + 60_000, NOW_MS + 90_000);
    let early = sealed(&early, &scene.issuer);
    assert_eq!(scene.refused(&encode(Lane::Decode, &early)).await, FaultCode::TicketExpired, "not yet valid");

    assert_eq!(scene.refused(&encode(Lane::Return, &signed)).await, FaultCode::NotInTicket, "wrong lane");

    let mut last = scene.evil_ticket.clone();
    let (first, rest) = (last.hops[0].node.clone(), last.hops[2].node.clone());
    (last.hops[0].node, last.hops[2].node) = (rest, first);
    let last = sealed(&last, &scene.issuer);
    assert_eq!(scene.refused(&encode(Lane::Decode, &last)).await, FaultCode::NotInTicket, "wrong place in the route");

    let others = sealed(&scene.good_ticket, &scene.issuer);
    assert_eq!(scene.refused(&encode(Lane::Decode, &others)).await, FaultCode::NotInTicket, "somebody else's ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_place_of_a_hello_is_refused_by_name() {
    let mut scene = Scene::start(Over::Tcp).await;
    let good = scene.evil_hello();
    assert_eq!(scene.refused(&[0xA5; 64]).await, FaultCode::BadFrame, "garbage");
    assert_eq!(scene.refused(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await, FaultCode::BadFrame, "another protocol");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert_eq!(scene.refused(&with(4, 9)).await, FaultCode::BadFrame, "another version");
    assert_eq!(scene.refused(&with(5, 1)).await, FaultCode::BadFrame, "an activation before the hello");
    assert_eq!(scene.refused(&with(11, 255)).await, FaultCode::OversizeFrame, "a hello of 4 GiB");
    assert_eq!(scene.refused(&with(12, 250)).await, FaultCode::BadFrame, "no such lane");
    let mut left_over = good.clone();
    left_over[8] = left_over[8].wrapping_add(1);
    left_over.push(0);
    assert_eq!(scene.refused(&left_over).await, FaultCode::BadFrame, "bytes left over");
    // Half a hello, and then nothing.
    assert_eq!(scene.refused(&good[..good.len() / 2]).await, FaultCode::Stalled);
    // A hello that breaks off is nobody's to answer.
    let mut stream = scene.evil.open(&scene.victim, frame::PROTOCOL).await;
    write(&mut stream, &good[..20]).await;
    drop(stream);
    scene.still_serves().await;
}

async fn bad_frames_end_their_lane(over: Over) {
    let mut scene = Scene::start(over).await;
    let (head, payload) = frame::encode(&activation(0, 2)).unwrap();
    let good = [&head[..], &payload[..]].concat();
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let (token_head, _) = frame::encode(&token(1)).unwrap();
    let cases = [
        (with(0, b"XX"), FaultCode::BadFrame),
        (with(4, &[2]), FaultCode::BadFrame),
        (with(5, &[77]), FaultCode::BadFrame),
        (with(8, &[255, 255, 255, 255]), FaultCode::OversizeFrame),
        (with(8, &(32 + LIMITS.max_activation_bytes as u32 + 1).to_le_bytes()), FaultCode::OversizeFrame),
        (with(32, &[3]), FaultCode::WrongShape),
        (with(36, &[65]), FaultCode::WrongShape),
        (with(40, &[1]), FaultCode::WrongShape),
        (token_head.to_vec(), FaultCode::BadFrame),
        ((0..255u8).cycle().take(5000).collect(), FaultCode::BadFrame),
    ];
    for (bytes, code) in cases {
        let (mut stream, mut lane) = scene.evil_lane().await;
        write(&mut stream, &good).await;
        // A lane that has ended may refuse the rest of what is written.
        let _ = soon(stream.write_all(&bytes)).await;
        let _ = soon(stream.flush()).await;
        assert_eq!(soon(lane.frames.next()).await.unwrap().unwrap(), activation(0, 2));
        let fault = soon(lane.frames.next()).await.unwrap().unwrap_err();
        assert_eq!(fault.code, code, "{fault}");
        assert!(soon(lane.frames.next()).await.is_none(), "nothing follows an error");
        let told = read_reply(&mut stream).await.expect("a reason");
        assert_eq!(told.code, code);
    }
    scene.still_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_garbage_frame_ends_its_lane_by_name_over_tcp() {
    bad_frames_end_their_lane(Over::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_garbage_frame_ends_its_lane_by_name_over_quic() {
    bad_frames_end_their_lane(Over::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_breaks_off_is_a_lost_link() {
    let mut scene = Scene::start(Over::Tcp).await;
    let (head, payload) = frame::encode(&activation(0, 40)).unwrap();
    let good = [&head[..], &payload[..]].concat();
    for (cut, orderly) in [(5, true), (12, false), (30, true), (44, true), (500, false), (good.len() - 1, true)] {
        let (mut stream, mut lane) = scene.evil_lane().await;
        write(&mut stream, &good[..cut]).await;
        if orderly {
            soon(stream.close()).await.unwrap();
        }
        drop(stream);
        let fault = soon(lane.frames.next()).await.unwrap().unwrap_err();
        assert_eq!(fault.code, FaultCode::LinkLost, "after {cut} bytes: {fault}");
    }
    // The whole connection goes, in the middle of a frame.
    let (mut stream, mut lane) = scene.evil_lane().await;
    write(&mut stream, &good[..500]).await;
    let (_, keys) = new_identity();
    scene.evil = RawPeer::connect(keys, &scene.victim).await;
    drop(stream);
    assert_eq!(soon(lane.frames.next()).await.unwrap().unwrap_err().code, FaultCode::LinkLost);
    scene.still_serves().await;
}

/// Whatever arrives on an open lane, the node lives, the lane ends by name or in order, and nothing stays behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutated_frames_at_a_real_node_leave_it_serving_and_leak_nothing() {
    let cases = fuzz_cases(400);
    let mut scene = Scene::start(Over::Tcp).await;
    let (head, payload) = frame::encode(&activation(0, 8)).unwrap();
    let good = [&head[..], &payload[..]].concat();
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let (mut named, mut settled) = (0, 0);
    let mut answers = std::collections::BTreeMap::<&str, u64>::new();
    for case in 0..cases {
        if case == cases / 4 {
            settled = resident_bytes();
        }
        let mut bytes = match random.below(3) {
            0 => (0..random.below(2000)).map(|_| random.next() as u8).collect(),
            _ => [good.clone(), good.clone()].concat(),
        };
        random.mutate(&mut bytes);
        let (mut stream, mut lane) = scene.evil_lane().await;
        // The node may have heard enough before all is written.
        let _ = soon(stream.write_all(&bytes)).await;
        let _ = soon(stream.close()).await;
        while let Some(result) = soon(lane.frames.next()).await {
            named += u64::from(result.as_ref().is_err_and(|fault| !fault.message.is_empty()));
            *answers.entry(result.map_or_else(|fault| fault.code.as_str(), |_| "sound")).or_default() += 1;
        }
    }
    assert!(named > cases / 4, "only {named} of {cases} inputs were refused");
    scene.still_serves().await;
    let last = resident_bytes();
    println!("{cases} mutated streams at a node, frames by answer {answers:?}");
    println!("memory after the first quarter {} kB, at the end {} kB", settled >> 10, last >> 10);
    let grown = last.saturating_sub(settled);
    assert!(grown < 48 << 20, "{cases} inputs cost {} MiB that stay", grown >> 20);
}

/// Memory this process holds; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_streams_leaves_room_for_others() {
    let mut scene = Scene::start(Over::Tcp).await;
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(scene.evil.open(&scene.victim, frame::PROTOCOL).await);
    }
    scene.still_serves().await;
    // At most four of them are waited for; the others were reset without a word.
    let mut told = 0;
    for stream in &mut flood {
        let mut byte = [0; 1];
        told += usize::from(matches!(soon(stream.read(&mut byte)).await, Ok(1)));
    }
    assert!(told <= LIMITS.max_pending_per_peer, "{told} hellos were waited for");
    assert!(scene.victim.network.refusals().streams >= 150, "{:?}", scene.victim.network.refusals());
    drop(flood);

    // And a peer that has a right to lanes has it to so many only.
    let mut lanes = Vec::new();
    for session in 0..LIMITS.max_lanes_per_peer {
        scene.evil_ticket.session = SessionId([100 + session as u8; 16]);
        lanes.push(scene.evil_lane().await);
    }
    scene.evil_ticket.session = SessionId([200; 16]);
    let hello = scene.evil_hello();
    assert_eq!(scene.refused(&hello).await, FaultCode::NoCapacity);
    lanes.pop();
    scene.evil_lane().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptor_that_says_nothing_or_nonsense_is_named() {
    // Here the evil peer accepts: it is dialled by its own connection to the good node.
    let scene = Scene::start(Over::Tcp).await;
    let options = LaneOptions { open_timeout: Duration::from_millis(500), ..LaneOptions::default() };
    let links = HopLinks::new(scene.good.network.clone(), options);
    let (identity, keys) = new_identity();
    let mut evil = RawPeer::connect(keys, &scene.good).await;
    let mut ticket = ticket(vec![scene.good.hop(0..1), scene.victim.hop(1..2)]);
    ticket.hops[1].node = identity.id().clone();
    ticket.hops[1].addresses.clear();
    let signed = sealed(&ticket, &scene.issuer);
    let open = || links.open(&signed, &ticket, identity.id(), Lane::Decode);

    assert_eq!(soon(open()).await.err().unwrap().code, FaultCode::InvalidRequest, "it does not speak the protocol");
    let mut inbound = evil.accept(frame::PROTOCOL);
    for answer in [&b""[..], &[0x5A; 40]] {
        let answering = async {
            let (_, mut stream) = inbound.next().await.unwrap();
            write(&mut stream, answer).await;
            stream
        };
        let (opened, stream) = soon(async { tokio::join!(open(), answering) }).await;
        let expected = if answer.is_empty() { FaultCode::Stalled } else { FaultCode::BadFrame };
        assert_eq!(opened.err().unwrap().code, expected);
        drop(stream);
    }
}
