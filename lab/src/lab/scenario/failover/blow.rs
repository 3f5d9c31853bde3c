//! What is done to a node, and undone.

use crate::lab::network::Network;
use crate::lab::outcome::Failure;

/// The ways to lose a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Blow {
    /// Node and engine are gone at once: `kill -9`.
    Kill,
    /// The node stands still with its connections open: SIGSTOP.
    Freeze,
    /// Its home's link carries nothing any more.
    Cut,
    /// It is asked to leave.
    Leave,
}

impl Blow {
    /// Those that come without a warning.
    pub(super) const SUDDEN: [Self; 3] = [Self::Kill, Self::Freeze, Self::Cut];

    /// For tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9",
            Self::Freeze => "SIGSTOP",
            Self::Cut => "link cut",
            Self::Leave => "leave",
        }
    }

    /// Does it; the place of the node's home.
    pub(super) async fn strike(self, network: &mut Network<'_>, node: &str) -> Result<usize, Failure> {
        let world = network.world();
        let member = network.member(node).ok_or_else(|| Failure::new(format!("{node} is none of the lab's nodes")))?;
        match self {
            Self::Kill => member.process.kill().await,
            Self::Freeze => member.process.freeze(),
            Self::Cut => world.homes()[member.home].dial().cut(),
            Self::Leave => member.process.dismiss(),
        }
        Ok(member.home)
    }

    /// Brings the node in this home back: a new process with a new identity where the old one is gone.
    pub(super) async fn undo(self, network: &mut Network<'_>, home: usize) -> Result<(), Failure> {
        match self {
            Self::Kill | Self::Leave => drop(network.join(home, 1).await?),
            Self::Freeze => network.at_home(home).into_iter().for_each(|member| member.process.thaw()),
            Self::Cut => network.world().homes()[home].dial().restore(),
        }
        Ok(())
    }
}
