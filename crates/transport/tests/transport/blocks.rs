//! Blocks of weights between real nodes, and peers that ask for or send something else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use computepool_core::ports::{BlockPeers as _, BlockShelf};
use computepool_core::{ContentHash, Fault, FaultCode, NodeId, Retry};
use computepool_transport::blocks::{self, BlockLimits, Exchange, ExchangeOptions, PROTOCOL};
use futures::future::BoxFuture;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, StreamExt as _};
use libp2p::Stream;
use tokio::sync::Semaphore;

use crate::support::{Node, Over, Random, RawPeer, fuzz_cases, new_identity, soon, write};

/// Blocks by the first byte of their hash.
struct TestShelf {
    blocks: HashMap<ContentHash, Bytes>,
    /// A permit for every read.
    reads: Semaphore,
}

fn hash(number: u8) -> ContentHash {
    ContentHash([number; 32])
}

/// Blocks 1 to 5, of so many times 100,000 bytes.
fn shelf() -> Arc<TestShelf> {
    let block = |number: u8| Bytes::from(vec![number; usize::from(number) * 100_000]);
    let blocks = (1..=5).map(|number| (hash(number), block(number))).collect();
    Arc::new(TestShelf { blocks, reads: Semaphore::new(1_000_000) })
}

impl BlockShelf for TestShelf {
    fn read(&self, hash: ContentHash) -> BoxFuture<'_, Option<Bytes>> {
        async move {
            self.reads.acquire().await.unwrap().forget();
            self.blocks.get(&hash).cloned()
        }
        .boxed()
    }
}

/// A node that serves blocks, and one that is connected to it and asks for them.
async fn pair(shelf: Arc<TestShelf>, limits: BlockLimits) -> (Node, Node, Exchange) {
    let (server, client) = (Node::start(Over::Both).await, Node::start(Over::Both).await);
    blocks::serve(&server.network, shelf, limits).await.unwrap();
    soon(client.network.dial(server.id(), &server.network.addresses())).await.unwrap();
    let exchange = Exchange::new(client.network.clone(), ExchangeOptions::default());
    (server, client, exchange)
}

async fn fetch(exchange: &Exchange, from: &NodeId, number: u8, max_bytes: u32) -> Result<Bytes, Fault> {
    soon(exchange.fetch(from, hash(number), max_bytes)).await
}

#[tokio::test]
async fn blocks_travel_one_after_another_and_beside_each_other() {
    let (server, _client, exchange) = pair(shelf(), BlockLimits::default()).await;
    for number in [1, 2, 3, 1] {
        let block = fetch(&exchange, server.id(), number, 500_000).await.unwrap();
        assert_eq!(block, vec![number; usize::from(number) * 100_000]);
    }
    let beside = (0..4).map(|_| fetch(&exchange, server.id(), 5, 500_000));
    for block in futures::future::join_all(beside).await {
        assert_eq!(block.unwrap().len(), 500_000);
    }
    let absent = fetch(&exchange, server.id(), 9, 500_000).await.unwrap_err();
    assert_eq!(absent.code, FaultCode::ModelNotFound);
    let smaller = fetch(&exchange, server.id(), 2, 199_999).await.unwrap_err();
    assert_eq!(smaller.code, FaultCode::ModelNotFound, "a block that is longer than it can be is another one");
    fetch(&exchange, server.id(), 2, 200_000).await.unwrap();
}

#[tokio::test]
async fn who_comes_while_all_are_served_is_told_to_come_back() {
    let shelf = shelf();
    shelf.reads.forget_permits(1_000_000);
    let (server, _client, exchange) =
        pair(Arc::clone(&shelf), BlockLimits { max_serving: 1, ..BlockLimits::default() }).await;
    let first = fetch(&exchange, server.id(), 1, 100_000);
    let second = fetch(&exchange, server.id(), 2, 200_000);
    // Whoever of the two comes second is sent away.
    let both = async { futures::future::select(Box::pin(first), Box::pin(second)).await };
    let (sent_away, _waiting) = soon(both).await.factor_first();
    let fault = sent_away.unwrap_err();
    assert_eq!(fault.code, FaultCode::NoCapacity);
    assert!(matches!(fault.retry, Retry::AfterMs(_)), "{fault:?}");
    shelf.reads.add_permits(10);
    // The places are free again once the others have been read or given up.
    soon(async { while fetch(&exchange, server.id(), 3, 300_000).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_kept_stream_that_was_closed_is_opened_again() {
    let limits = BlockLimits { idle: Duration::from_millis(1), ..BlockLimits::default() };
    let (server, _client, exchange) = pair(shelf(), limits).await;
    for number in [1, 2, 3] {
        fetch(&exchange, server.id(), number, 500_000).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_limit_on_bytes_a_second_is_shared() {
    let limits = BlockLimits { bytes_per_second: Some(1_000_000), ..BlockLimits::default() };
    let (server, _client, exchange) = pair(shelf(), limits).await;
    let started = Instant::now();
    let beside = [3, 4].map(|number| fetch(&exchange, server.id(), number, 500_000));
    futures::future::join_all(beside).await.into_iter().for_each(|block| drop(block.unwrap()));
    // 0.7 s' worth, of which the last piece of each need not be waited for.
    assert!(started.elapsed() > Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_peer_that_nobody_knows_is_a_lost_link() {
    let (_server, _client, exchange) = pair(shelf(), BlockLimits::default()).await;
    let stranger = new_identity().0;
    assert_eq!(fetch(&exchange, stranger.id(), 1, 100_000).await.unwrap_err().code, FaultCode::LinkLost);
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_le_bytes();
    [b"CPBK\x01", [kind, 0, 0].as_slice(), &length, body].concat()
}

fn request(number: u8, max_bytes: u32) -> Vec<u8> {
    frame(1, &[&[number; 32], max_bytes.to_le_bytes().as_slice()].concat())
}

/// Whether the other side resets or closes the stream without having sent more than it may.
async fn ends(stream: &mut Stream) -> bool {
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.map_or(true, |read| read == 0)
}

#[tokio::test]
async fn garbage_resets_the_stream_and_nothing_else() {
    let (server, _client, exchange) = pair(shelf(), BlockLimits::default()).await;
    let mut raw = RawPeer::connect(new_identity().1, &server).await;
    let bad = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        frame(2, &[0; 36]),
        frame(1, &[0; 35]),
        frame(1, &[0; 37]),
        request(1, (8 << 20) + 1),
        [b"CPBK\x02".as_slice(), &request(1, 100)[5..]].concat(),
    ];
    for bytes in bad {
        let mut stream = raw.open(&server, PROTOCOL).await;
        write(&mut stream, &bytes).await;
        assert!(ends(&mut stream).await, "{bytes:02x?}");
    }
    // A good request on a stream of its own still works, and so does everybody else's.
    let mut stream = raw.open(&server, PROTOCOL).await;
    write(&mut stream, &request(1, 100_000)).await;
    let mut answer = vec![0; 12 + 100_000];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, frame(2, &[1; 100_000]));
    fetch(&exchange, server.id(), 1, 100_000).await.unwrap();
}

#[tokio::test]
async fn mutated_requests_are_answered_or_refused() {
    let (server, _client, exchange) = pair(shelf(), BlockLimits::default()).await;
    let mut raw = RawPeer::connect(new_identity().1, &server).await;
    let mut random = Random(0x5eed);
    for _ in 0..fuzz_cases(50) {
        let mut stream = raw.open(&server, PROTOCOL).await;
        let mut bytes = request(9, 100_000);
        random.mutate(&mut bytes);
        // The server may have reset the stream by now.
        stream.write_all(&bytes).await.ok();
        stream.close().await.ok();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.ok();
        assert!(answer.len() <= 12 + 100_000);
    }
    fetch(&exchange, server.id(), 1, 100_000).await.unwrap();
}

#[tokio::test]
async fn one_peer_cannot_take_all_streams() {
    let limits = BlockLimits { max_streams_per_peer: 2, ..BlockLimits::default() };
    let (server, _client, exchange) = pair(shelf(), limits).await;
    let mut raw = RawPeer::connect(new_identity().1, &server).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = raw.open(&server, PROTOCOL).await;
        write(&mut stream, &request(9, 1)).await;
        let mut answer = [0; 12];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(answer.to_vec(), frame(3, &[]));
        streams.push(stream);
    }
    let mut third = raw.open(&server, PROTOCOL).await;
    third.write_all(&request(9, 1)).await.ok();
    assert!(ends(&mut third).await);
    assert!(server.network.refusals().streams >= 1);
    fetch(&exchange, server.id(), 1, 100_000).await.unwrap();
    // A place that was given back can be taken.
    drop(streams.pop());
    let again = async {
        loop {
            let mut stream = raw.open(&server, PROTOCOL).await;
            stream.write_all(&request(9, 1)).await.ok();
            let mut answer = [0; 12];
            if stream.read_exact(&mut answer).await.is_ok() {
                return answer;
            }
        }
    };
    assert_eq!(soon(again).await.to_vec(), frame(3, &[]));
}

#[tokio::test]
async fn a_lying_peer_is_found_out_by_the_head_of_its_answer() {
    let huge = [b"CPBK\x01\x02\0\0".as_slice(), &u32::MAX.to_le_bytes()].concat();
    let cases = [
        (huge, FaultCode::OversizeFrame),
        (frame(2, &[0; 101]), FaultCode::OversizeFrame),
        (frame(2, &[]), FaultCode::BadFrame),
        (frame(3, &[0]), FaultCode::BadFrame),
        (frame(1, &[0; 36]), FaultCode::BadFrame),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), FaultCode::BadFrame),
        (frame(2, &[0; 100])[..50].to_vec(), FaultCode::LinkLost),
        (Vec::new(), FaultCode::LinkLost),
    ];
    let client = Node::start(Over::Both).await;
    let (liar, keys) = new_identity();
    let mut raw = RawPeer::connect(keys, &client).await;
    let mut incoming = raw.accept(PROTOCOL);
    let exchange = Exchange::new(client.network.clone(), ExchangeOptions::default());
    for (answer, code) in cases {
        let lie = async {
            let (_, mut stream) = incoming.next().await.unwrap();
            let mut asked = [0; 48];
            stream.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked.to_vec(), request(1, 100));
            stream.write_all(&answer).await.unwrap();
            stream.close().await.unwrap();
        };
        let (fetched, ()) = tokio::join!(fetch(&exchange, liar.id(), 1, 100), soon(lie));
        assert_eq!(fetched.unwrap_err().code, code, "{answer:02x?}");
    }
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let client = Node::start(Over::Both).await;
    let (silent, keys) = new_identity();
    let mut raw = RawPeer::connect(keys, &client).await;
    let mut incoming = raw.accept(PROTOCOL);
    let options = ExchangeOptions { stall: Duration::from_millis(200), ..ExchangeOptions::default() };
    let exchange = Exchange::new(client.network.clone(), options);
    let listen = async {
        let (_, mut stream) = incoming.next().await.unwrap();
        stream.write_all(&frame(2, &[0; 100])[..60]).await.unwrap();
        stream.flush().await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        fetched = fetch(&exchange, silent.id(), 1, 100) => assert_eq!(fetched.unwrap_err().code, FaultCode::Stalled),
        () = listen => unreachable!(),
    }
}
