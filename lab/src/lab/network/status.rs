//! What the orchestrator says of its network, as far as the lab looks at it. It reads what any client would.

use serde::Deserialize;

/// The document at `/v1/network`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Status {
    #[serde(default)]
    pub(crate) nodes: Vec<NodeStatus>,
    #[serde(default)]
    pub(crate) pools: Vec<PoolStatus>,
    #[serde(default)]
    pub(crate) failovers: u64,
    #[serde(default)]
    pub(crate) handovers: u64,
}

/// One node.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NodeStatus {
    pub(crate) node: String,
    pub(crate) name: String,
    pub(crate) layers: Option<Layers>,
    pub(crate) phase: String,
    #[serde(default)]
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) reach: String,
    #[serde(default)]
    pub(crate) links: Vec<LinkStatus>,
    #[serde(default)]
    pub(crate) generations: u64,
}

/// A half-open range of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Layers {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A path that a node has measured.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LinkStatus {
    pub(crate) peer: String,
    pub(crate) kind: String,
    pub(crate) rtt_us: u64,
    pub(crate) up: Option<u64>,
    pub(crate) down: Option<u64>,
}

/// How the model is served.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PoolStatus {
    pub(crate) spares: Option<u32>,
    pub(crate) predicted: Option<Pace>,
    pub(crate) measured: Option<Pace>,
    #[serde(default)]
    pub(crate) advice: Option<String>,
}

/// How fast a route is.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Pace {
    pub(crate) token_us: u64,
}

/// A node's part in a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Entry,
    Middle,
    Exit,
}

impl Role {
    /// Every part that a route of three has.
    pub(crate) const ALL: [Self; 3] = [Self::Entry, Self::Middle, Self::Exit];

    /// For tables and figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Middle => "middle",
            Self::Exit => "exit",
        }
    }
}

impl Status {
    /// The one pool of the lab.
    pub(crate) fn pool(&self) -> Option<&PoolStatus> {
        self.pools.first()
    }

    /// What it says of a node.
    pub(crate) fn node(&self, id: &str) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.node == id)
    }

    /// Whether a node serves.
    pub(crate) fn is_ready(&self, id: &str) -> bool {
        self.node(id).is_some_and(|node| node.phase == "ready")
    }

    /// Whether there is a spare for every place.
    pub(crate) fn has_spares(&self) -> bool {
        self.pool().and_then(|pool| pool.spares).is_some_and(|spares| spares >= 1)
    }

    /// The part that a node's layers give it.
    pub(crate) fn role(&self, id: &str) -> Option<Role> {
        let end = self.nodes.iter().filter_map(|node| Some(node.layers?.end)).max()?;
        let layers = self.node(id)?.layers?;
        Some(match (layers.start, layers.end) {
            (0, _) => Role::Entry,
            (_, last) if last == end => Role::Exit,
            _ => Role::Middle,
        })
    }

    /// The node with this part in a generation that runs now.
    pub(crate) fn at_work(&self, role: Role) -> Option<&NodeStatus> {
        self.nodes.iter().find(|node| node.generations > 0 && self.role(&node.node) == Some(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"nodes":[
        {"node":"a","name":"home-1","layers":{"start":0,"end":10},"phase":"ready","reason":"","generations":1},
        {"node":"b","name":"home-2","layers":{"start":10,"end":20},"phase":"ready","reason":""},
        {"node":"c","name":"home-3","layers":{"start":20,"end":30},"phase":"loading","reason":"","generations":1}],
        "sessions":1,"generations":1,
        "pools":[{"model":"m","places":[],"spares":1,"predicted":{"token_us":9,"first_us":9},"measured":null,"advice":null}]}"#;

    #[test]
    fn roles_follow_from_layers() {
        let status: Status = serde_json::from_str(DOCUMENT).unwrap();
        assert_eq!(["a", "b", "c"].map(|id| status.role(id)), Role::ALL.map(Some));
        assert_eq!(status.at_work(Role::Exit).map(|node| node.name.as_str()), Some("home-3"));
        assert!(status.at_work(Role::Middle).is_none());
        assert!(status.has_spares() && status.is_ready("b") && !status.is_ready("c"));
    }
}
