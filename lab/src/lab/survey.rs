//! `computepool-lab world`: builds a world and looks whether it is what it says.

mod bulk;
mod echo;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use echo::{Echo, ask, rate, reaches, socket};

use super::outcome::{Failure, Findings, Outcome};
use super::table::Table;
use super::world::{Home, HomePlan, Link, Nat, Public, World};

/// Where the public hosts answer.
const PORT: u16 = 7;

/// Round trips for one figure.
const TRIES: usize = 20;

/// How much longer than it should the fastest round trip may take: threads have to be woken on the way.
const SLACK: Duration = Duration::from_millis(2);

/// How far a burst's rate may be from the one asked for, as a share of it. Bursts are short and the machine is busy.
const RATE_SLACK: f64 = 0.2;

/// The homes of the survey: every kind of router, several delays, one with a slow line.
fn plans() -> Vec<HomePlan> {
    let link = |us| Link::of(Duration::from_micros(us));
    [
        (Nat::Cone, link(6250)),
        (Nat::Cone, link(2500).rates(20, 50)),
        (Nat::Symmetric, link(6250)),
        (Nat::Symmetric, link(0)),
        (Nat::Open, link(12_500)),
    ]
    .map(|(nat, link)| HomePlan { nat, link })
    .to_vec()
}

/// Builds the world, looks, and prints a table.
pub(crate) fn run(seed: u64) -> Outcome {
    let plans = plans();
    let world = World::build(&plans, seed)?;
    let _echoes = [Public::Orchestrator, Public::Relay]
        .map(|who| Echo::start(world.public(who), PORT))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let mut findings = Findings::default();
    let head = ["home", "nat", "found", "rtt", "min", "median", "unasked", "cut", "restored", "up", "down"];
    let mut table = Table::new(&head);
    for (home, plan) in world.homes().iter().zip(&plans) {
        let seen = look(&world, home, plan, &mut findings)?;
        table.row([vec![home.name().to_owned(), plan.nat.to_string()], seen].concat());
    }
    table.print("The world, seen from its homes (ms, Mbit/s)");
    punches(&world, &mut findings)?;
    let bulk = bulk::megabytes_per_second(&world)?;
    println!("\nbulk over TCP, home-5 to a public host: {bulk:.0} MB/s");
    findings.figures.add("homes", plans.len());
    findings.figures.add("bulk_mb_s", format!("{bulk:.0}"));
    Ok(findings)
}

fn public(who: Public) -> SocketAddr {
    (who.address(), PORT).into()
}

/// What a home's host finds out about its own link and router: the cells of its row.
fn look(world: &World, home: &Home, plan: &HomePlan, findings: &mut Findings) -> Result<Vec<String>, Failure> {
    let inside = socket(home.host(), 4000)?;
    let mut trips: Vec<_> = (0..TRIES).filter_map(|_| ask(&inside, public(Public::Orchestrator))).collect();
    trips.sort();
    let silent = || Failure::new(format!("{} gets no answers", home.name()));
    let (fastest, seen) = *trips.first().ok_or_else(silent)?;
    let (median, _) = trips[trips.len() / 2];
    let wanted = plan.link.delay * 2;
    let in_time = fastest >= wanted && fastest <= wanted + SLACK;
    findings.expect(in_time, format!("{}: a round trip takes {fastest:?} and not {wanted:?}", home.name()));

    let (_, other) = ask(&inside, public(Public::Relay)).ok_or_else(silent)?;
    let found = match (seen.ip() == home.address(), seen == other) {
        (true, _) => Nat::Open,
        (false, true) => Nat::Cone,
        (false, false) => Nat::Symmetric,
    };
    findings.expect(found == plan.nat, format!("{} is {found} and not {}", home.name(), plan.nat));

    // From a port that the host has never spoken to, to the one that it has just spoken from.
    let stranger = socket(world.public(Public::Relay), 0)?;
    let unasked = reaches(&stranger, seen, &inside).map_err(Failure::of("an unasked datagram"))?;
    findings
        .expect(unasked == (plan.nat == Nat::Open), format!("{}: unasked datagrams arrive: {unasked}", home.name()));

    home.dial().cut();
    let cut = ask(&inside, public(Public::Orchestrator)).is_none();
    home.dial().restore();
    let back = ask(&inside, public(Public::Orchestrator)).is_some();
    findings.expect(cut && back, format!("{}: cut {cut}, restored {back}", home.name()));

    let mut speed = |up: bool| {
        let Some(wanted) = (if up { plan.link.up } else { plan.link.down }) else { return "-".to_owned() };
        // A burst is over in 30 ms, and whoever is late for its first packet makes the rest look fast.
        let mut bursts = [(); 3].map(|()| rate(&inside, public(Public::Orchestrator), up).unwrap_or(0.0));
        bursts.sort_by(f64::total_cmp);
        let got = bursts[1];
        let fits = (got / wanted as f64 - 1.0).abs() <= RATE_SLACK;
        findings.expect(fits, format!("{}: {got:.0} bit/s and not {wanted}", home.name()));
        format!("{:.1}/{}", got / 1e6, wanted / 1_000_000)
    };
    let (up, down) = (speed(true), speed(false));
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let unasked = if unasked { "arrives" } else { "dropped" }.to_owned();
    Ok(vec![found.to_string(), ms(wanted), ms(fastest), ms(median), unasked, yes(cut), yes(back), up, down])
}

/// Whether two homes that know each other's outside addresses can speak: cones can, and whoever is symmetric cannot
/// with one that only lets in who was spoken to.
fn punches(world: &World, findings: &mut Findings) -> Result<(), Failure> {
    let mut table = Table::new(&["punch", "expected", "found", "rtt", "min"]);
    let homes = world.homes();
    for (a, b, expected) in [(0, 1, true), (0, 2, false), (2, 3, false), (0, 4, true)] {
        let (one, other) = (&homes[a], &homes[b]);
        let (left, right) = (socket(one.host(), 4100 + b as u16)?, socket(other.host(), 4100 + a as u16)?);
        let outside = |socket| ask(socket, public(Public::Orchestrator)).map(|(_, seen)| seen);
        let (Some(here), Some(there)) = (outside(&left), outside(&right)) else {
            return Err(Failure::new("no answers from the public host"));
        };
        // The first datagrams open the way and may be lost at the other end.
        for _ in 0..3 {
            left.send_to(b"!", there).map_err(Failure::of("a punch"))?;
            right.send_to(b"!", here).map_err(Failure::of("a punch"))?;
            std::thread::sleep(one.delay() + other.delay() + Duration::from_millis(2));
        }
        let met = reaches(&left, there, &right).map_err(Failure::of("a punch"))?;
        let fastest = (met && expected).then(|| fastest_between(&left, there, &right, here)).flatten();
        let wanted = (one.delay() + other.delay()) * 2;
        let pair = format!("{} {} - {} {}", one.name(), one.nat(), other.name(), other.nat());
        findings.expect(met == expected, format!("a punch {pair}: {met}"));
        if let Some(fastest) = fastest {
            findings.expect(fastest >= wanted && fastest <= wanted + 2 * SLACK, format!("{pair}: {fastest:?}"));
        }
        let word = |it: bool| if it { "meet" } else { "do not" }.to_owned();
        table.row([pair, word(expected), word(met), ms(wanted), fastest.map_or("-".to_owned(), ms)]);
    }
    table.print("Pairs of homes that know each other's outside addresses (ms)");
    Ok(())
}

/// The fastest of a few round trips between two homes; the answers come from this thread as well.
fn fastest_between(left: &UdpSocket, there: SocketAddr, right: &UdpSocket, here: SocketAddr) -> Option<Duration> {
    let trip = |_| {
        let start = Instant::now();
        let crossed = reaches(left, there, right).ok()? && reaches(right, here, left).ok()?;
        crossed.then(|| start.elapsed())
    };
    (0..TRIES).filter_map(trip).min()
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
