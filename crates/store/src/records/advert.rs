//! What people are shown of an advert. The advert itself is kept as its author sealed it.

use computepool_core::{Advert, Reach, Sealed};

/// The most characters of a text that are shown.
const MAX_SHOWN: usize = 200;

/// A reading of an advert, fit for columns.
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) device: String,
    pub(super) reach: &'static str,
    pub(super) memory_bytes: i64,
    pub(super) price_per_hour: i64,
    pub(super) expires_ms: i64,
}

impl Shown {
    /// Reads an advert whose signature others have checked; nothing where this version cannot read it.
    pub(super) fn of(advert: &Sealed) -> Option<Self> {
        let advert: Advert = postcard::from_bytes(&advert.body).ok()?;
        Some(Self {
            name: text(&advert.name),
            device: text(&advert.device),
            reach: match advert.reach {
                Reach::Unknown => "unknown",
                Reach::Public => "public",
                Reach::Punchable => "punchable",
                Reach::Relayed => "relayed",
            },
            memory_bytes: number(advert.memory_bytes),
            price_per_hour: number(advert.price_per_hour),
            expires_ms: number(advert.expires_ms),
        })
    }
}

/// A stranger's text: PostgreSQL would refuse a NUL, and a terminal would obey some of the others.
fn text(said: &str) -> String {
    said.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect()
}

/// A stranger's figure, at most the largest that can be kept.
fn number(said: u64) -> i64 {
    i64::try_from(said).unwrap_or(i64::MAX)
}
