//! Adverts: what nodes say of themselves, checked, and kept for as long as it counts.

use computepool_core::ports::Verifier;
use computepool_core::ticket::CLOCK_SKEW_MS;
use computepool_core::{Advert, NodeId, Sealed};

use super::Turn;
use super::registry::{Node, Offered};
use crate::Violation;
use crate::refusal::plain;

/// The most addresses kept of one node; the rest is dropped.
const MAX_ADDRESSES: usize = 8;
/// Longer addresses are dropped.
const MAX_ADDRESS_LENGTH: usize = 200;
/// The longest name kept, in characters; the rest is cut off.
const MAX_NAME: usize = 64;

/// Opens what `node` sealed, and cuts what strangers call themselves to size.
///
/// Clocks may differ by [`CLOCK_SKEW_MS`]: an advert counts for that much longer than it says, and may come from that
/// far ahead.
pub(super) fn open(sealed: &Sealed, node: &NodeId, now_ms: u64, verifier: &dyn Verifier) -> Result<Advert, Violation> {
    let refuse = |what: String| Err(Violation::Advert(what));
    if &sealed.by != node {
        return refuse(format!("it is that of {}", sealed.by));
    }
    let mut advert: Advert = sealed.open(verifier).map_err(|fault| Violation::Advert(fault.message))?;
    if now_ms > advert.expires_ms.saturating_add(CLOCK_SKEW_MS) {
        return refuse(format!("it counted until {}, now is {now_ms}", advert.expires_ms));
    }
    if advert.issued_ms > now_ms.saturating_add(CLOCK_SKEW_MS) {
        return refuse(format!("it was made at {}, now is {now_ms}", advert.issued_ms));
    }
    let named = plain(&advert.name, MAX_NAME);
    advert.name = if named.trim().is_empty() { node.as_str().to_owned() } else { named };
    advert.addresses.retain(|address| address.len() <= MAX_ADDRESS_LENGTH);
    advert.addresses.truncate(MAX_ADDRESSES);
    advert.device = plain(&advert.device, MAX_NAME);
    Ok(advert)
}

impl Turn<'_> {
    /// What a node could serve: the pools whose weights it has, or could fetch.
    pub(super) fn offers(&self, advert: &Advert) -> Vec<Offered> {
        let offered = |(index, pool): (usize, &super::Pool)| {
            let settings = &pool.settings;
            let fetches = settings.source.is_some() && advert.disk_bytes > 0;
            let held = advert.models.iter().filter(|held| held.model == settings.summary.hash);
            // All of it counts for most, then the longest range.
            let widest = held.max_by_key(|held| held.layers.map_or(u32::MAX, |layers| layers.len()));
            (widest.is_some() || fetches).then(|| Offered {
                pool: index,
                held: widest.map(|held| held.layers),
                fetches,
            })
        };
        self.state.pools.iter().enumerate().filter_map(offered).collect()
    }

    /// A newer advert of a registered node.
    pub(super) fn advert_renewed(&mut self, id: &NodeId, sealed: Sealed) {
        let opened = open(&sealed, id, self.now_ms, self.state.verifier.as_ref());
        let advert = match opened {
            Ok(advert) => advert,
            Err(violation) => return self.strike(id, &violation),
        };
        let offers = self.offers(&advert);
        let Some(node) = self.state.registered_mut(id) else { return };
        if advert.issued_ms < node.advert.issued_ms {
            let what = format!("it was made at {}, an earlier one at {}", advert.issued_ms, node.advert.issued_ms);
            return self.strike(id, &Violation::Advert(what));
        }
        let matters = matters(node, &advert, &offers);
        node.offers = offers;
        node.advert = advert;
        node.sealed = sealed;
        self.state.news();
        self.record_node(id);
        if matters {
            self.places_changed = true;
        }
        self.shown();
    }
}

/// Whether places may change because of what is new in an advert.
fn matters(node: &Node, advert: &Advert, offers: &[Offered]) -> bool {
    node.advert.layers != advert.layers || node.advert.memory_bytes != advert.memory_bytes || node.offers != offers
}
