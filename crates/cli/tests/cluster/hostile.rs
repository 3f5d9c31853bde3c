//! Strangers send nonsense to a network that is at work.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::family::Family;
use crate::kit::{Bed, asking};

const PROMPT: &str = "The four seasons are";

/// Connections made by this many at a time.
const AT_ONCE: u64 = 4;

/// How long a stranger listens for an answer.
const LISTENING: Duration = Duration::from_millis(300);

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Changes some bytes, and now and then cuts.
    fn garble(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..1 + self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes.insert(at, b"{}[]\",:\\0-e\xff"[self.below(12)]),
                _ => bytes[at] = self.below(256) as u8,
            }
        }
        bytes
    }
}

/// The port of a `/ip4/127.0.0.1/tcp/PORT…` address.
fn tcp_port(addresses: &[String]) -> u16 {
    let port = addresses.iter().find_map(|address| address.split_once("/tcp/")?.1.split('/').next()?.parse().ok());
    port.unwrap_or_else(|| panic!("no TCP port in {addresses:?}"))
}

/// Sends bytes, and says how the other side took them.
async fn send(port: u16, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the process still listens");
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut head = [0; 12];
    match timeout(LISTENING, stream.read_exact(&mut head)).await {
        Err(_) => "no answer yet".to_owned(),
        Ok(Err(_)) => "closed".to_owned(),
        Ok(Ok(_)) if head.starts_with(b"HTTP/1.1 ") => String::from_utf8_lossy(&head[9..]).into_owned(),
        Ok(Ok(_)) => "closed after a greeting".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_at_work_takes_no_harm_from_nonsense() {
    let cases = std::env::var("COMPUTEPOOL_FUZZ_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(400_u64);
    let mut bed = Bed::start(3).await;
    let right = bed.answer(PROMPT, 48).await;
    // A node whose port this test is told: it takes the place of another.
    let (settings, addresses) = (bed.settings.clone(), bed.cluster.address().addresses.clone());
    let node = bed.cluster.nodes().add(&settings, &addresses, "target", None).await.unwrap();
    bed.cluster.nodes().processes()[1].kill().await;
    bed.until("served by the target", |network| {
        network.nodes.iter().any(|it| it.node == node.node && it.shard.is_some())
    })
    .await;
    let before: Vec<_> = bed.network().await.nodes.into_iter().map(|node| node.node).collect();
    let pids = Family::now().below(std::process::id());
    let (web, ports) = (web_port(bed.cluster.api()), [tcp_port(&node.addresses), tcp_port(&addresses)]);

    let nonsense = async {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut answers = BTreeMap::<(&str, String), u64>::new();
        let mut settled = 0;
        for round in 0..cases.div_ceil(AT_ONCE) {
            if round == cases / AT_ONCE / 4 {
                settled = memory(&pids);
            }
            let at_once: Vec<_> = (0..AT_ONCE).map(|_| stranger(&mut random, web, ports)).collect();
            let said = at_once.into_iter().map(|(what, port, bytes)| async move { (what, send(port, &bytes).await) });
            for answer in futures::future::join_all(said).await {
                *answers.entry(answer).or_default() += 1;
            }
        }
        (answers, settled)
    };
    let work = async {
        for _ in 0..2 {
            assert_eq!(bed.answer(PROMPT, 48).await, right);
        }
    };
    let ((answers, settled), ()) = tokio::join!(nonsense, work);
    let last = memory(&pids);
    println!("{cases} strangers, by what they got: {answers:?}");
    println!("memory of all processes after the first quarter {} kB, at the end {} kB", settled >> 10, last >> 10);

    assert!(!answers.keys().any(|(_, answer)| answer.starts_with('5') && answer != "503"), "{answers:?}");
    assert!(answers.keys().any(|(what, answer)| *what == "request" && answer == "400"), "{answers:?}");
    assert_eq!(bed.answer(PROMPT, 48).await, right);
    let after: Vec<_> = bed.network().await.nodes.into_iter().map(|node| node.node).collect();
    assert_eq!(after, before, "no node was lost");
    let now = Family::now();
    assert!(pids.iter().all(|pid| now.runs(*pid)), "no process was lost");
    assert!(last < settled + (32 << 20), "{cases} strangers cost memory that stays");
    // One process was killed at the start.
    assert!(!bed.cluster.leave().await);
}

/// What the next stranger does: to whom, and with which bytes.
fn stranger(random: &mut Random, web: u16, ports: [u16; 2]) -> (&'static str, u16, Vec<u8>) {
    match random.below(4) {
        0 => ("node", ports[0], libp2p_opening(random)),
        1 => ("orchestrator", ports[1], libp2p_opening(random)),
        2 => {
            let mut body = asking(PROMPT, 2);
            body["stream"] = (random.below(2) == 0).into();
            let body = random.garble(body.to_string().into_bytes());
            let head = format!(
                "POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            ("request", web, [head.into_bytes(), body].concat())
        }
        _ => {
            let text = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec();
            ("http", web, random.garble(text))
        }
    }
}

/// The first bytes of a libp2p connection, and what should not follow them.
fn libp2p_opening(random: &mut Random) -> Vec<u8> {
    let good = b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x20".to_vec();
    let noise: Vec<u8> = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
    match random.below(3) {
        0 => noise,
        1 => [good, noise].concat(),
        _ => random.garble([good, noise].concat()),
    }
}

fn web_port(api: &str) -> u16 {
    let address = api.trim_start_matches("http://").split('/').next().unwrap_or_default();
    address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_else(|| panic!("no port in {api}"))
}

fn memory(pids: &[u32]) -> u64 {
    let now = Family::now();
    pids.iter().map(|pid| now.memory(*pid)).sum()
}
