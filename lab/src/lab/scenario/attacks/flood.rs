//! A flood: connections that are opened and held, some silent and some full of garbage, and garbage datagrams.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::RngCore as _;

use crate::lab::outcome::Failure;
use crate::lab::world::Namespace;

/// The most connections held at once, the threads that open them, and how long opening one may take.
const MOST: usize = 600;
const THREADS: usize = 4;
const PATIENCE: Duration = Duration::from_millis(300);

/// Bytes of a piece of garbage.
const PIECE: usize = 1200;

/// What a flood has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    /// Connections that were opened.
    pub(super) opened: usize,
    /// Connections that were not, or that the other side has closed again.
    pub(super) refused: usize,
    /// Bytes of garbage sent.
    pub(super) garbage: usize,
}

/// A running flood.
pub(super) struct Flood {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Done>>,
}

impl Flood {
    /// Floods `target` from a namespace, from several threads.
    pub(super) fn start(from: &Namespace, target: SocketAddr) -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        // A thread belongs to the namespace of the one that started it.
        let threads = from.within(|| {
            let start = |_| {
                let over = over.clone();
                std::thread::spawn(move || flood(target, &over))
            };
            Ok((0..THREADS).map(start).collect())
        })?;
        Ok(Self { over, threads })
    }

    /// Ends it; what it has done.
    pub(super) fn stop(self) -> Done {
        self.over.store(true, Ordering::Relaxed);
        let mut sum = Done::default();
        for done in self.threads.into_iter().filter_map(|thread| thread.join().ok()) {
            sum.opened += done.opened;
            sum.refused += done.refused;
            sum.garbage += done.garbage;
        }
        sum
    }
}

fn flood(target: SocketAddr, over: &AtomicBool) -> Done {
    let mut done = Done::default();
    let mut held: VecDeque<TcpStream> = VecDeque::new();
    let datagrams = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
    let mut piece = [0; PIECE];
    while !over.load(Ordering::Relaxed) {
        rand::rng().fill_bytes(&mut piece);
        match TcpStream::connect_timeout(&target, PATIENCE) {
            Ok(mut stream) => {
                done.opened += 1;
                if done.opened % 2 == 0 {
                    match stream.write_all(&piece) {
                        Ok(()) => done.garbage += PIECE,
                        Err(_) => done.refused += 1,
                    }
                }
                held.push_back(stream);
                if held.len() > MOST / THREADS {
                    done.refused += usize::from(held.pop_front().is_some_and(|oldest| is_closed(&oldest)));
                }
            }
            Err(_) => {
                done.refused += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if datagrams.as_ref().is_some_and(|socket| socket.send_to(&piece, target).is_ok()) {
            done.garbage += PIECE;
        }
    }
    done.refused += held.iter().filter(|stream| is_closed(stream)).count();
    done
}

/// Whether the other side has closed a connection that nothing was to be read from.
fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut byte));
    matches!(looked, Ok(0)) || looked.is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
}
