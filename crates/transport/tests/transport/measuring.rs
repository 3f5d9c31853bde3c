//! Paths measured between real nodes.

use std::time::Duration;

use computepool_core::{FaultCode, PathKind};
use computepool_transport::Carried;
use computepool_transport::measure::{MAX_BYTES, PROTOCOL};
use futures::AsyncReadExt as _;

use crate::support::{Node, Over, RawPeer, new_identity, soon, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_is_measured_both_ways_and_a_greedy_peer_is_refused_by_name() {
    let (one, other, third) =
        (Node::start(Over::Both).await, Node::start(Over::Both).await, Node::start(Over::Tcp).await);
    let fault = soon(one.network.measure(other.id(), false)).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::LinkLost, "not connected");
    soon(one.network.connect(other.id(), &other.network.addresses())).await.unwrap();

    let near = soon(one.network.measure(other.id(), false)).await.unwrap();
    assert!(near.kind == PathKind::Lan && near.rtt_us > 0 && near.rtt_us < 10_000_000, "{near:?}");
    assert_eq!((near.peer, near.up, near.down), (other.id().clone(), None, None));

    let mut measured = 0;
    let fault = soon(async {
        loop {
            match one.network.measure(other.id(), true).await {
                Ok(link) => {
                    assert!(link.up.unwrap() > MAX_BYTES / 20 && link.down.unwrap() > MAX_BYTES / 20, "{link:?}")
                }
                Err(fault) => return fault,
            }
            measured += 1;
            assert!(measured < 20, "nobody stops a peer that measures all day");
        }
    })
    .await;
    assert_eq!(fault.code, FaultCode::NoCapacity, "{fault}");
    assert!(measured >= 3);
    soon(one.network.measure(other.id(), false)).await.expect("a round trip costs next to nothing");
    soon(third.network.connect(other.id(), &other.network.addresses())).await.unwrap();
    soon(third.network.measure(other.id(), true)).await.expect("others have budgets of their own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_over_the_network_is_counted_once_on_each_side_whatever_it_goes_over() {
    for over in [Over::Tcp, Over::Quic] {
        let (one, other) = (Node::start(over).await, Node::start(over).await);
        assert_eq!(one.network.carried(), Carried::default());
        soon(one.network.connect(other.id(), &other.network.addresses())).await.unwrap();
        let before = one.network.carried();
        let link = soon(one.network.measure(other.id(), true)).await.unwrap();
        let (here, there) = (one.network.carried(), other.network.carried());
        let sent = here.sent - before.sent;
        // A measurement sends at least one burst each way, and no more than its bound.
        assert!(link.up.is_some() && sent > 100_000 && sent < 3 * MAX_BYTES, "{over:?}: {sent}");
        assert!(here.received - before.received > 100_000, "{over:?}: {here:?}");
        // What the one sent, the other received; pings go on meanwhile.
        assert!(there.received.abs_diff(here.sent) < 10_000, "{over:?}: {here:?} {there:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_on_a_measuring_stream_ends_it_and_a_second_one_beside_it_is_refused() {
    let node = Node::start(Over::Tcp).await;
    let mut peer = RawPeer::connect(new_identity().1, &node).await;
    let echo = *b"CPMS\x01\x01\0\0";

    let mut first = peer.open(&node, PROTOCOL).await;
    write(&mut first, &echo).await;
    let mut answer = [0; 8];
    soon(first.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, echo);
    let mut second = peer.open(&node, PROTOCOL).await;
    write(&mut second, &echo).await;
    let told = soon(second.read_exact(&mut answer)).await;
    assert!(told.is_err() || answer == *b"CPMS\x01\xff\0\0", "{answer:?}");

    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"CPMS\x02\x01\0\0", b"CPMS\x01\x03\0\0\xff\xff\xff\xff"] {
        drop(first);
        first = soon(async {
            // The place of the stream that was just dropped may not be free yet.
            loop {
                let mut stream = peer.open(&node, PROTOCOL).await;
                write(&mut stream, &echo).await;
                if stream.read_exact(&mut answer).await.is_ok() && answer == echo {
                    break stream;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        write(&mut first, nonsense).await;
        let mut rest = Vec::new();
        let ended = soon(first.read_to_end(&mut rest)).await;
        assert!(ended.is_err() || rest.is_empty(), "{rest:?}");
    }
}
