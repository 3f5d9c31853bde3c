//! The world: public hosts and homes around an internet, each in a network namespace of its own.
//!
//! ```text
//!   orch ──┐                    ┌── TUN ~delay~ TUN ── router-1 (NAT) ── home-1
//!   relay ─┼── internet (routes)┼── TUN ~delay~ TUN ── router-2 (NAT) ── home-2
//!   user ──┘                    └── …
//! ```
//!
//! Public hosts are next to the internet, so a round trip between a home and one of them takes two delays of the
//! home's link, and between two homes two of each. Everything goes when the [`World`] is dropped, and what a killed run
//! has left is removed by the next.

mod delayer;
mod home;
mod link;
mod name;
mod namespace;
mod nat;
mod place;
mod tool;

pub(crate) use home::{Home, HomePlan};
pub(crate) use link::Link;
pub(crate) use namespace::Namespace;
pub(crate) use nat::Nat;
pub(crate) use place::Public;

use name::Prefix;

use crate::lab::outcome::Failure;

/// A running world.
pub(crate) struct World {
    // Dropped in this order: nobody carries packets any more when the namespaces go.
    _delayer: delayer::Delayer,
    homes: Vec<Home>,
    public: Vec<Namespace>,
    _internet: Namespace,
}

impl World {
    /// Builds a world with these homes. `seed` decides which packets lossy links lose.
    pub(crate) fn build(plans: &[HomePlan], seed: u64) -> Result<Self, Failure> {
        let swept = name::sweep();
        if swept > 0 {
            eprintln!("lab: removed {swept} namespaces of a run that was killed");
        }
        let prefix = Prefix::random();
        let internet = Namespace::create(prefix.name("internet"))?;
        internet.set("ipv4/ip_forward", "1")?;
        let public = Public::ALL.iter().map(|who| public_host(&prefix, &internet, *who)).collect::<Result<_, _>>()?;
        let (mut homes, mut links) = (Vec::new(), Vec::new());
        for (number, plan) in (1..=u8::MAX).zip(plans) {
            let (home, ends) = Home::build(&prefix, &internet, number, *plan)?;
            homes.push(home);
            links.push(ends);
        }
        let delayer = delayer::Delayer::start(links, seed)?;
        Ok(Self { _delayer: delayer, homes, public, _internet: internet })
    }

    /// The homes, `home-1` first.
    pub(crate) fn homes(&self) -> &[Home] {
        &self.homes
    }

    /// A public host.
    pub(crate) fn public(&self, who: Public) -> &Namespace {
        &self.public[who as usize]
    }
}

fn public_host(prefix: &Prefix, internet: &Namespace, who: Public) -> Result<Namespace, Failure> {
    let host = Namespace::create(prefix.name(who.name()))?;
    let (name, address, gateway) = (who.name(), who.address(), who.gateway());
    internet.ip(&format!(
        "link add {name} type veth peer name eth0 netns {}\naddr add {gateway}/24 dev {name}\nlink set {name} up\n",
        host.name()
    ))?;
    host.ip(&format!("addr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {gateway}\n"))?;
    Ok(host)
}

/// Why no world can be built here, as a word for machines and a sentence for people.
#[derive(Debug)]
pub(crate) struct Unable {
    /// One word.
    pub(crate) reason: &'static str,
    /// A sentence, with what can be done about it.
    pub(crate) sentence: String,
}

/// Tries everything that a world needs, once and quickly.
pub(crate) fn possible() -> Result<(), Unable> {
    let unable = |reason, sentence: String| Unable { reason, sentence };
    if !nix::unistd::geteuid().is_root() {
        return Err(unable("not_root", "network namespaces need root: run it with sudo, or as root".to_owned()));
    }
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        if let Err(failure) = tool::run(program, &["-V"], "") {
            let sentence = format!("{failure}; on Debian and Ubuntu: apt-get install {package}");
            return Err(unable(if program == "ip" { "no_ip" } else { "no_nft" }, sentence));
        }
    }
    let trial = Namespace::create(Prefix::random().name("trial"))
        .map_err(|failure| unable("no_netns", format!("no network namespace can be made here: {failure}")))?;
    delayer::device(&trial, "wan")
        .map_err(|failure| unable("no_tun", format!("no TUN device can be made here: {failure}")))?;
    for nat in [Nat::Cone, Nat::Symmetric] {
        trial.nft(&nat.ruleset().unwrap_or_default()).map_err(|failure| {
            unable("no_nat", format!("this kernel takes no NAT rules of kind {nat} from nft: {failure}"))
        })?;
    }
    Ok(())
}
