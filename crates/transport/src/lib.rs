//! libp2p: identity, activation streams, control links; reaching others, and being reached, from behind NATs.
//!
//! A [`Network`] is one libp2p node: TCP with Noise and Yamux, QUIC, and circuits through relays. Two things are built on it. [`HopLinks`] keeps
//! one raw stream per session, neighbour and lane, opened under a signed route ticket, and carries activations and
//! tokens as [`frame`]s. A [`ControlHub`] on the orchestrator and a [`ControlClient`] on each node carry everything
//! else. No activation can be said on a control link, and no control message on a lane.
//!
//! Everything a stranger can send is bounded and checked before it costs memory, and every refusal has a name.

pub mod blocks;
pub mod control;
pub mod frame;
pub mod hello;
pub mod identity;
pub mod lanes;
pub mod measure;
pub mod swarm;

pub use control::{ControlClient, ControlHub, ControlOptions, ControlSender};
pub use identity::{Identity, PeerVerifier, node_of, peer_of};
pub use lanes::{AcceptLimits, HopLinks, LaneOptions};
pub use swarm::{
    Carried, Network, NetworkOptions, Observed, PeerPath, PortMapping, Preflight, Refusals, RelayLimits, Transport,
};
