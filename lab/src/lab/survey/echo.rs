//! Small datagrams that come back and say from where they came: how the world is looked at from inside.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::lab::outcome::Failure;
use crate::lab::world::Namespace;

/// A datagram that begins with this wants a long answer.
const LONG: u8 = b'+';

/// Bytes of a long datagram, and of what it is on the wire with its IP and UDP heads.
const LONG_BYTES: usize = 1200;
pub(super) const LONG_WIRE: usize = LONG_BYTES + 28;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_millis(400);

/// A socket inside a namespace, whoever uses it.
pub(super) fn socket(namespace: &Namespace, port: u16) -> Result<UdpSocket, Failure> {
    namespace.within(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(Failure::of("a UDP socket"))?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(Failure::of("a UDP socket"))?;
        Ok(socket)
    })
}

/// Answers every datagram with the address it came from, until dropped.
pub(super) struct Echo {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(super) fn start(namespace: &Namespace, port: u16) -> Result<Self, Failure> {
        let socket = socket(namespace, port)?;
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; 2048];
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
                let mut answer = from.to_string().into_bytes();
                if bytes[..length].first() == Some(&LONG) {
                    answer.resize(LONG_BYTES, b' ');
                }
                socket.send_to(&answer, from).ok();
            }
        });
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// One round trip: how long it took, and how the other side saw this one. `None` if nothing came back.
pub(super) fn ask(socket: &UdpSocket, whom: SocketAddr) -> Option<(Duration, SocketAddr)> {
    let start = Instant::now();
    socket.send_to(b"?", whom).ok()?;
    let mut bytes = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut bytes).ok()?;
        if from == whom {
            let seen = std::str::from_utf8(&bytes[..length]).ok()?.trim().parse().ok()?;
            return Some((start.elapsed(), seen));
        }
        if start.elapsed() > PATIENCE {
            return None;
        }
    }
}

/// Whether a datagram reaches `whom`, who listens on `there`.
pub(super) fn reaches(from: &UdpSocket, whom: SocketAddr, there: &UdpSocket) -> io::Result<bool> {
    let word = rand::random::<u64>().to_le_bytes();
    from.send_to(&word, whom)?;
    let start = Instant::now();
    let mut bytes = [0; 2048];
    while start.elapsed() < PATIENCE {
        match there.recv_from(&mut bytes) {
            Ok((length, _)) if bytes[..length] == word => return Ok(true),
            _ => {}
        }
    }
    Ok(false)
}

/// Bits a second that a burst of long datagrams gets through: to `whom` with short answers, or back with long ones.
pub(super) fn rate(socket: &UdpSocket, whom: SocketAddr, up: bool) -> Option<f64> {
    const BURST: usize = 60;
    let mut datagram = vec![if up { b'-' } else { LONG }; if up { LONG_BYTES } else { 1 }];
    datagram.truncate(LONG_BYTES);
    for _ in 0..BURST {
        socket.send_to(&datagram, whom).ok()?;
    }
    let mut bytes = [0; 2048];
    let mut arrivals = Vec::with_capacity(BURST);
    while arrivals.len() < BURST && socket.recv_from(&mut bytes).is_ok() {
        arrivals.push(Instant::now());
    }
    let (first, last) = (arrivals.first()?, arrivals.last()?);
    let bits = (arrivals.len() - 1) * LONG_WIRE * 8;
    Some(bits as f64 / last.duration_since(*first).as_secs_f64().max(1e-9))
}
