//! How much the world's links carry: bytes over TCP, counted and compared at the other end.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::lab::outcome::Failure;
use crate::lab::world::{Public, World};

const BYTES: usize = 16 << 20;
const PORT: u16 = 9;
const PATIENCE: Duration = Duration::from_secs(30);

fn byte(at: usize) -> u8 {
    (at / 7) as u8
}

/// Sends from the last home to a public host, and fails unless every byte arrives as it was.
pub(super) fn megabytes_per_second(world: &World) -> Result<f64, Failure> {
    let home = world.homes().last().ok_or_else(|| Failure::new("a world without homes"))?;
    let failed = || "bulk over TCP";
    let listener = world
        .public(Public::Orchestrator)
        .within(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).map_err(Failure::of(failed())))?;
    let there = SocketAddr::from((Public::Orchestrator.address(), PORT));
    let mut sender =
        home.host().within(|| TcpStream::connect_timeout(&there, PATIENCE).map_err(Failure::of(failed())))?;
    let (mut receiver, _) = listener.accept().map_err(Failure::of(failed()))?;
    receiver.set_read_timeout(Some(PATIENCE)).map_err(Failure::of(failed()))?;
    let start = Instant::now();
    let sending = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..BYTES).map(byte).collect();
        sender.write_all(&bytes)
    });
    let mut bytes = Vec::with_capacity(BYTES);
    receiver.read_to_end(&mut bytes).map_err(Failure::of(failed()))?;
    let took = start.elapsed();
    sending.join().map_err(|_| Failure::new("the sender is gone"))?.map_err(Failure::of(failed()))?;
    if bytes.len() != BYTES || bytes.iter().enumerate().any(|(at, got)| *got != byte(at)) {
        return Err(Failure::new("bulk over TCP did not arrive as it was sent"));
    }
    Ok(BYTES as f64 / 1e6 / took.as_secs_f64())
}
