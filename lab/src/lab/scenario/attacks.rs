//! Strangers attack while somebody reads an answer: floods of connections and garbage, at the orchestrator, at the
//! relay and at a node that anybody can dial. The answer must come out right and in time.

mod flood;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use flood::Flood;

use super::{Settings, as_user, expect_order, ms, note, questions};
use crate::lab::answer::{Answer, Difference};
use crate::lab::network::{FORM, Network, Pool, Reference};
use crate::lab::outcome::{Failure, Findings, Outcome};
use crate::lab::table::Table;
use crate::lab::world::{HomePlan, Link, Nat, Public, World};

/// The last home is the attacker's; the first has no NAT, so that its node can be dialled.
const HOMES: usize = 4;

const TOKENS: u32 = 96;

/// The longest pause that an attack may cause.
const PAUSE: Duration = Duration::from_secs(2);

/// How much memory a process may take on under attack and keep.
const MEMORY: u64 = 256 << 20;

/// The port of public hosts.
const PEERS: u16 = 4001;

pub(super) fn run(settings: &Settings) -> Outcome {
    let link = Link::between_homes(settings.rtt);
    let mut homes = [HomePlan { nat: Nat::Cone, link }; HOMES];
    homes[0].nat = Nat::Open;
    let world = World::build(&homes, settings.seed)?;
    as_user(&world, async || {
        let (mut findings, pool) = (Findings::default(), Pool::default());
        let question = questions::one(TOKENS);
        let reference = Reference::of(&world, &settings.programs, pool, vec![question.clone()]).await?;
        let mut network = Network::start(&world, &settings.programs, pool, None).await?;
        for home in 0..HOMES - 1 {
            network.join(home, 1).await?;
        }
        network.whole(FORM).await?;
        let asker = network.asker();
        let calm = asker.ask(&question).await;
        let attacker = world.homes()[HOMES - 1].host();
        let node = tcp_address(&network, world.homes()[0].address())?;
        let targets = [
            ("orchestrator", SocketAddr::from((Public::Orchestrator.address(), PEERS))),
            ("relay", SocketAddr::from((Public::Relay.address(), PEERS))),
            ("home-1", node),
        ];
        let mut table =
            Table::new(&["attacked", "connections", "refused", "garbage kB", "answer", "pause ms", "MB more"]);
        for (name, target) in targets {
            let before = memory(&mut network, name);
            let flood = Flood::start(attacker, target)?;
            let answer = asker.ask(&question).await;
            let done = flood.stop();
            let more = memory(&mut network, name).saturating_sub(before);
            let right = Difference::between(reference.pair(0).1, &answer) == Difference::default();
            let pause = pause(&answer, &calm);
            findings.expect(right && answer.error.is_none(), format!("{name} was flooded: {:?}", answer.error));
            findings.expect(pause <= PAUSE, format!("{name} was flooded: a pause of {} ms", ms(pause)));
            findings.expect(done.opened > 0, format!("the flood at {name} opened nothing"));
            findings.expect(more <= MEMORY, format!("{name} was flooded: {more} bytes more memory"));
            table.row([
                name.to_owned(),
                done.opened.to_string(),
                done.refused.to_string(),
                (done.garbage / 1000).to_string(),
                if right { "right" } else { "wrong" }.to_owned(),
                ms(pause),
                format!("{:.1}", more as f64 / 1e6),
            ]);
            findings.figures.add(format!("flood_{}_pause_ms", name.replace('-', "")), ms(pause));
        }
        table.print("Floods");
        let after = asker.ask(&question).await;
        let fine = after.error.is_none() && Difference::between(reference.pair(0).1, &after) == Difference::default();
        findings.expect(fine, "after the floods answers are not what they were");
        note(format!("token time {} ms before, {} ms after", ms(calm.token_time()), ms(after.token_time())));
        findings.expect(network.whole(FORM).await.is_ok(), "a node was lost");
        expect_order(&mut findings, &network.leave().await);
        Ok(findings)
    })
}

fn pause(answer: &Answer, calm: &Answer) -> Duration {
    answer.pause(calm.first().unwrap_or_default())
}

/// Where the node with this address listens for TCP, from the addresses that it printed.
fn tcp_address(network: &Network<'_>, ip: Ipv4Addr) -> Result<SocketAddr, Failure> {
    let member = network.members().first().ok_or_else(|| Failure::new("no node"))?;
    let port = |address: &String| {
        let mut parts = address.strip_prefix("/ip4/")?.split('/').skip(1);
        (parts.next() == Some("tcp")).then(|| parts.next()?.parse::<u16>().ok()).flatten()
    };
    let port = member.addresses.iter().find_map(port);
    let port = port.ok_or_else(|| Failure::new(format!("home-1 listens nowhere: {:?}", member.addresses)))?;
    Ok((ip, port).into())
}

/// Bytes of memory that a process has in use.
fn memory(network: &mut Network<'_>, name: &str) -> u64 {
    network.process(name).and_then(|process| process.memory()).unwrap_or(0)
}
