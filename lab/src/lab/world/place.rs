//! Who is where: the world's addresses.
//!
//! Public addresses are ones that programs take for public: the ranges set aside for documentation would be refused
//! by whoever checks. Nothing leaves the namespaces.

use std::net::Ipv4Addr;

/// The public hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Public {
    /// The orchestrator's.
    Orchestrator,
    /// The relay's.
    Relay,
    /// Whoever asks questions: the lab itself.
    User,
}

impl Public {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Orchestrator, Self::Relay, Self::User];

    /// The name of its namespace and of its device on the internet's side.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "orch",
            Self::Relay => "relay",
            Self::User => "user",
        }
    }

    /// Its address.
    pub(crate) fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(44, 0, 1 + self as u8, 1)
    }

    /// Its way to everybody else.
    pub(super) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::new(44, 0, 1 + self as u8, 254)
    }
}

/// The addresses of one home, by its number from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct HomeAddresses {
    /// The router's, outside.
    pub(super) outside: Ipv4Addr,
    /// The provider's end of the link.
    pub(super) provider: Ipv4Addr,
    /// The router's, inside.
    pub(super) router: Ipv4Addr,
    /// The host's.
    pub(super) host: Ipv4Addr,
}

impl HomeAddresses {
    /// Behind a NAT every home has the same private network, as homes do: an address in it means another machine in
    /// each. Without one the host has a public address.
    pub(super) fn of(number: u8, natted: bool) -> Self {
        let inside = |last| if natted { Ipv4Addr::new(192, 168, 1, last) } else { Ipv4Addr::new(44, 2, number, last) };
        Self {
            outside: Ipv4Addr::new(44, 1, number, 1),
            provider: Ipv4Addr::new(44, 1, number, 254),
            router: inside(1),
            host: inside(10 + number),
        }
    }
}
