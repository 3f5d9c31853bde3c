//! Places of a coalition follow those who really serve them: a lost node's units go to its stand-in.

use computepool_core::ports::{CoalitionOffer, PaidPlace};
use computepool_core::{Account, LayerRange};

/// Who serves which layers now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Which blocks.
    pub layers: LayerRange,
    /// Who is to be paid for them.
    pub operator: Account,
}

/// The places, counted from the entry, whose units are somebody else's than they should be, and whose they should be.
/// Layers that are no place of the coalition are nobody's: units follow places, they are not cut anew.
pub fn reassignments(offer: &CoalitionOffer, serving: &[Serving]) -> Vec<(u32, Account)> {
    let wanted = |place: &PaidPlace| {
        let one = serving.iter().find(|one| one.layers == place.layers)?;
        (place.operator != Some(one.operator)).then_some(one.operator)
    };
    (0_u32..).zip(&offer.places).filter_map(|(index, place)| Some((index, wanted(place)?))).collect()
}
