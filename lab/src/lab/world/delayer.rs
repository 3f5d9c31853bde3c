//! What makes links slow: TUN devices in pairs, and a thread that holds every packet between them for its time.
//!
//! The kernel's own network emulator is not always there. A pair is one device in the home's router and one on the
//! internet's side; packets are carried from one to the other as they are, segments that the kernel has not cut yet
//! included, so one thread carries all homes at little cost.

use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use nix::unistd::gettid;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::link::{Dial, Flight};
use super::namespace::Namespace;
use super::tool;
use crate::lab::outcome::Failure;

/// The head before every packet that says how the kernel may still cut it (`virtio_net_hdr`).
const HEAD: usize = 10;

/// Room for the longest packet.
const LONGEST: usize = HEAD + 65_536;

/// How often the thread looks whether it is to end, and whether links without traffic were cut.
const LOOK: Duration = Duration::from_millis(50);

/// The most packets taken from a device at a time, so that a flood on one link does not keep the others waiting.
const TURN: usize = 64;

/// A device of the name in the namespace. It carries nothing yet.
pub(super) fn device(namespace: &Namespace, name: &str) -> Result<SyncDevice, Failure> {
    namespace.within(|| {
        let failed = || format!("TUN device {name} in {}", namespace.name());
        let built = DeviceBuilder::new().name(name).layer(Layer::L3).offload(true).build_sync();
        let device = built.map_err(Failure::of(failed()))?;
        device.set_nonblocking(true).map_err(Failure::of(failed()))?;
        Ok(device)
    })
}

/// The two ends of one link.
pub(super) struct Ends {
    pub(super) home: SyncDevice,
    pub(super) internet: SyncDevice,
    pub(super) dial: Arc<Dial>,
}

/// The running thread; it ends when dropped.
pub(super) struct Delayer {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Delayer {
    /// Starts carrying. `seed` decides which packets lossy links lose.
    pub(super) fn start(links: Vec<Ends>, seed: u64) -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let ended = over.clone();
        let carry = move || {
            prefer();
            Carrier::new(links, seed).run(&ended);
        };
        let thread = std::thread::Builder::new()
            .name("delayer".to_owned())
            .spawn(carry)
            .map_err(Failure::of("the delayer's thread"))?;
        Ok(Self { over, thread: Some(thread) })
    }
}

impl Drop for Delayer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Asks the system to run this thread before the nodes' engines, which fill every core: a packet that waits for one of
/// them arrives late.
fn prefer() {
    let thread = gettid().to_string();
    tool::run("renice", &["-n", "-19", "-p", &thread], "").ok();
}

/// One direction of a link.
struct Way {
    from: usize,
    to: usize,
    link: usize,
    up: bool,
    flight: Flight<Box<[u8]>>,
}

struct Carrier {
    devices: Vec<SyncDevice>,
    dials: Vec<Arc<Dial>>,
    ways: Vec<Way>,
    dice: SmallRng,
    packet: Vec<u8>,
}

impl Carrier {
    fn new(links: Vec<Ends>, seed: u64) -> Self {
        let now = Instant::now();
        let (mut devices, mut dials, mut ways) = (Vec::new(), Vec::new(), Vec::new());
        for (link, ends) in links.into_iter().enumerate() {
            let (home, internet) = (devices.len(), devices.len() + 1);
            devices.extend([ends.home, ends.internet]);
            dials.push(ends.dial);
            ways.push(Way { from: home, to: internet, link, up: true, flight: Flight::new(now) });
            ways.push(Way { from: internet, to: home, link, up: false, flight: Flight::new(now) });
        }
        Self { devices, dials, ways, dice: SmallRng::seed_from_u64(seed), packet: vec![0; LONGEST] }
    }

    fn run(mut self, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            let due = self.ways.iter().filter_map(|way| way.flight.next()).min();
            let wait = due.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()).min(LOOK));
            if !wait.is_zero() {
                let mut ready: Vec<PollFd<'_>> =
                    self.devices.iter().map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN)).collect();
                ppoll(&mut ready, Some(TimeSpec::from_duration(wait)), None).ok();
            }
            for way in 0..self.ways.len() {
                if !self.carry(way) {
                    return;
                }
            }
        }
    }

    /// Takes what waits at one end and puts out what has arrived at the other; `false` if a device is gone.
    fn carry(&mut self, way: usize) -> bool {
        let way = &mut self.ways[way];
        let (link, cut) = self.dials[way.link].read();
        let rate = if way.up { link.up } else { link.down };
        if cut {
            way.flight.clear();
        }
        for _ in 0..TURN {
            match self.devices[way.from].recv(&mut self.packet) {
                Ok(length) => {
                    let lost = cut || (link.loss > 0.0 && self.dice.random_bool(link.loss.clamp(0.0, 1.0)));
                    if !lost {
                        let (now, packet) = (Instant::now(), Box::from(&self.packet[..length]));
                        way.flight.send(now, packet, length.saturating_sub(HEAD), link.delay, rate);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A device that is still down reads as an error of its own; one that was removed as a bad descriptor.
                Err(error) if error.raw_os_error() == Some(nix::libc::EBADFD) => return false,
                Err(_) => break,
            }
        }
        let now = Instant::now();
        while let Some(packet) = way.flight.arrived(now) {
            // A full queue at the other end loses the packet, as any network may.
            self.devices[way.to].send(&packet).ok();
        }
        true
    }
}
