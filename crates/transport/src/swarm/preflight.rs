//! What a node knows of its own network, and what that means to its owner.

use computepool_core::{NodeId, Reach};

/// Plain facts about how a node stands in its network, from what it has seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// Multiaddresses it listens on.
    pub listeners: Vec<String>,
    /// How it can be reached.
    pub reach: Reach,
    /// Multiaddresses at which anybody can reach it: said by its owner, confirmed by a peer, or mapped by the router.
    pub public: Vec<String>,
    /// Relays it holds a reservation at.
    pub relays: Vec<NodeId>,
    /// What the router said when asked for ports.
    pub mapping: PortMapping,
    /// From where peers saw it come.
    pub observed: Vec<Observed>,
    /// Nodes of the local network that it found.
    pub lan_peers: Vec<NodeId>,
}

/// What became of asking the router for ports (UPnP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortMapping {
    /// Nobody asked.
    #[default]
    Off,
    /// No answer yet.
    Asking,
    /// The router opened at least one port.
    Mapped,
    /// No router here takes such requests.
    NoGateway,
    /// The router does, but is itself behind another NAT.
    NotPublic,
}

/// From where a peer saw this node come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Which peer.
    pub by: NodeId,
    /// A multiaddress.
    pub address: String,
}

impl Preflight {
    /// What the network allows, and which roles the machine can take, in sentences for its owner.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        said.push(self.reach_sentence());
        said.push(self.roles_sentence());
        if self.reach != Reach::Public {
            said.push(match self.relays.as_slice() {
                [] => "No relay keeps a place for this computer yet.".to_owned(),
                [relay] => format!("A relay keeps a place for it: {relay}."),
                relays => format!("{} relays keep a place for it.", relays.len()),
            });
            said.extend(self.mapping_sentence());
        }
        match self.lan_peers.len() {
            0 => {}
            1 => said.push("One more node is on this local network; the two talk to each other directly.".to_owned()),
            n => said.push(format!("{n} more nodes are on this local network; they talk to each other directly.")),
        }
        said
    }

    fn reach_sentence(&self) -> String {
        match self.reach {
            Reach::Public => {
                let at = self.public.first().map(|address| format!(" at {address}")).unwrap_or_default();
                format!("Anybody on the internet can reach this computer{at}.")
            }
            Reach::Punchable => {
                "This computer is behind a router that keeps its outside port, so that most others reach \
                                 it directly once a relay has introduced them."
                    .to_owned()
            }
            Reach::Relayed => "This computer is behind a router that uses another outside port for everybody, so that \
                               others reach it through a relay; it reaches those on the open internet directly."
                .to_owned(),
            Reach::Unknown if self.stays_here() => {
                "This computer listens to programs on itself only; no other computer can reach it.".to_owned()
            }
            Reach::Unknown => {
                "It is not known yet how this computer can be reached from the internet: it takes two other \
                               computers there to tell."
                    .to_owned()
            }
        }
    }

    fn roles_sentence(&self) -> String {
        match self.reach {
            Reach::Public => "It can serve any part of a model, be a relay for others, and run an orchestrator.",
            Reach::Punchable => {
                "It can serve any part of a model. To be a relay or an orchestrator it would need an open port."
            }
            Reach::Relayed => {
                "It can serve any part of a model, more slowly wherever a relay lies between. To be a relay or an \
                 orchestrator it would need an open port."
            }
            Reach::Unknown if self.stays_here() => "It can serve and run everything, for this computer alone.",
            Reach::Unknown => "On its local network it can take any role.",
        }
        .to_owned()
    }

    fn mapping_sentence(&self) -> Option<String> {
        match self.mapping {
            PortMapping::Off => None,
            PortMapping::Asking => Some("The router has not said yet whether it opens a port.".to_owned()),
            PortMapping::Mapped => Some("The router opened a port for it.".to_owned()),
            PortMapping::NoGateway => Some(
                "The router opens no ports by itself; switching UPnP on there, or forwarding a port by hand, would let \
                 others reach this computer directly."
                    .to_owned(),
            ),
            PortMapping::NotPublic => {
                Some("The router opens ports, but is behind another router itself, which does not.".to_owned())
            }
        }
    }

    fn stays_here(&self) -> bool {
        let loopback = |address: &String| address.starts_with("/ip4/127.") || address.starts_with("/ip6/::1/");
        !self.listeners.is_empty() && self.listeners.iter().all(loopback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(preflight: &Preflight) -> String {
        preflight.sentences().join(" ")
    }

    #[test]
    fn a_person_is_told_what_the_network_allows_and_what_would_help() {
        let home = Preflight { listeners: vec!["/ip4/192.168.1.7/tcp/4001".to_owned()], ..Preflight::default() };
        assert!(said(&home).contains("not known yet") && said(&home).contains("No relay keeps a place"));
        let relay = NodeId::new("relay").unwrap();
        let mapping = PortMapping::NoGateway;
        let symmetric = Preflight { reach: Reach::Relayed, relays: vec![relay], mapping, ..home.clone() };
        for part in ["through a relay", "more slowly", "keeps a place for it: relay.", "UPnP"] {
            assert!(said(&symmetric).contains(part), "{part}: {}", said(&symmetric));
        }
        let cone = Preflight { reach: Reach::Punchable, ..home.clone() };
        assert!(said(&cone).contains("directly once a relay has introduced them"));
        let public = vec!["/ip4/203.0.113.7/tcp/4001".to_owned()];
        let public = Preflight { reach: Reach::Public, public, ..home };
        assert!(said(&public).contains("at /ip4/203.0.113.7/tcp/4001") && said(&public).contains("be a relay"));
        assert!(!said(&public).contains("keeps a place"), "it needs none");
    }

    #[test]
    fn a_demo_on_one_computer_is_said_to_be_one() {
        let demo = Preflight { listeners: vec!["/ip4/127.0.0.1/tcp/4001".to_owned()], ..Preflight::default() };
        assert!(said(&demo).contains("on itself only"), "{}", said(&demo));
        let lan_peers = vec![NodeId::new("a").unwrap(), NodeId::new("b").unwrap()];
        assert!(said(&Preflight { lan_peers, ..demo }).contains("2 more nodes"));
    }
}
