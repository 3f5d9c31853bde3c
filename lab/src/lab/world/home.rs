//! A home: a router with its link to the internet, and a machine behind it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::delayer::{self, Ends};
use super::link::{Dial, Link};
use super::name::Prefix;
use super::namespace::Namespace;
use super::nat::Nat;
use super::place::HomeAddresses;
use crate::lab::outcome::Failure;

/// How a home is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HomePlan {
    /// Its router.
    pub(crate) nat: Nat,
    /// Its link.
    pub(crate) link: Link,
}

/// A home that is there.
pub(crate) struct Home {
    name: String,
    nat: Nat,
    addresses: HomeAddresses,
    dial: Arc<Dial>,
    host: Namespace,
    /// Held for what it does: it is gone with its namespace.
    _router: Namespace,
}

impl Home {
    /// Builds it beside the internet, and returns the ends of its link.
    pub(super) fn build(
        prefix: &Prefix,
        internet: &Namespace,
        number: u8,
        plan: HomePlan,
    ) -> Result<(Self, Ends), Failure> {
        let name = format!("home-{number}");
        let host = Namespace::create(prefix.name(&name))?;
        let router = Namespace::create(prefix.name(&format!("router-{number}")))?;
        let addresses = HomeAddresses::of(number, plan.nat != Nat::Open);
        let ends = Ends {
            home: delayer::device(&router, "wan")?,
            internet: delayer::device(internet, &name)?,
            dial: Arc::new(Dial::new(plan.link)),
        };
        let HomeAddresses { outside, provider, router: inside, host: own } = addresses;
        router.ip(&format!(
            "link add lan type veth peer name eth0 netns {}
addr add {inside}/24 dev lan
addr add {outside} peer {provider} dev wan
link set lan up
link set wan up
route add default dev wan
",
            host.name()
        ))?;
        host.ip(&format!("addr add {own}/24 dev eth0\nlink set eth0 up\nroute add default via {inside}\n"))?;
        let public = if plan.nat == Nat::Open { format!("route add {own}/32 dev {name}\n") } else { String::new() };
        internet.ip(&format!("addr add {provider} peer {outside} dev {name}\nlink set {name} up\n{public}"))?;
        router.set("ipv4/ip_forward", "1")?;
        if let Some(ruleset) = plan.nat.ruleset() {
            router.nft(&ruleset)?;
        }
        let dial = ends.dial.clone();
        Ok((Self { name, nat: plan.nat, addresses, dial, host, _router: router }, ends))
    }

    /// What it is called: `home-1` and so on.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its router's kind.
    pub(crate) fn nat(&self) -> Nat {
        self.nat
    }

    /// Its link, to be changed and cut.
    pub(crate) fn dial(&self) -> &Dial {
        &self.dial
    }

    /// How long a packet takes on its link, one way, as it is now.
    pub(crate) fn delay(&self) -> Duration {
        self.dial.read().0.delay
    }

    /// The machine behind the router.
    pub(crate) fn host(&self) -> &Namespace {
        &self.host
    }

    /// The machine's own address, which is private behind a NAT.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.addresses.host
    }
}
