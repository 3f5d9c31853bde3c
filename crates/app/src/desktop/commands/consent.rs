//! What the owner agrees to.

use computepool_core::Fault;
use serde::Deserialize;
use ts_rs::TS;

use super::super::consents::Scope;
use super::super::wire::{ConsentCard, ConsentRecord};
use super::super::{Desktop, HostEvent, unknown};
use super::Nothing;

/// An agreement.
#[derive(Clone, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Given {
    /// To what.
    pub(crate) scope: Scope,
    /// To which version of the text: the one that was shown.
    pub version: String,
}

/// An agreement that is taken back.
#[derive(Clone, Copy, Debug, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(in crate::desktop) struct Revoked {
    /// To what.
    pub(crate) scope: Scope,
}

pub(super) async fn cards(desktop: &Desktop, _: Nothing) -> Result<Vec<ConsentCard>, Fault> {
    let card = |scope: Scope| {
        let card = scope.card();
        Ok(ConsentCard {
            scope,
            version: card.version.to_owned(),
            title: card.title.to_owned(),
            runs: card.runs.to_owned(),
            leaves: card.leaves.to_owned(),
            ends: card.ends.to_owned(),
            agreed: desktop.0.consents.agreed(scope)?,
        })
    };
    Scope::ALL.into_iter().map(card).collect()
}

pub(super) async fn give(desktop: &Desktop, given: Given) -> Result<Vec<ConsentCard>, Fault> {
    if given.version != given.scope.card().version {
        return Err(unknown("this text has changed: read it again before you agree to it".to_owned()));
    }
    desktop.0.consents.give(given.scope)?;
    changed(desktop).await
}

pub(super) async fn revoke(desktop: &Desktop, revoked: Revoked) -> Result<Vec<ConsentCard>, Fault> {
    desktop.0.consents.revoke(revoked.scope)?;
    changed(desktop).await
}

async fn changed(desktop: &Desktop) -> Result<Vec<ConsentCard>, Fault> {
    let agreed = desktop.0.consents.agreed(Scope::Share)?;
    desktop.0.agreed.send_if_modified(|old| std::mem::replace(old, agreed) != agreed);
    desktop.tell(HostEvent::Consents);
    cards(desktop, Nothing {}).await
}

pub(super) async fn history(desktop: &Desktop, _: Nothing) -> Result<Vec<ConsentRecord>, Fault> {
    let history = desktop.0.consents.history()?;
    Ok(history
        .into_iter()
        .map(|(scope, consent)| ConsentRecord {
            at_ms: consent.at_ms,
            scope,
            version: consent.version,
            agreed: consent.agreed,
        })
        .collect())
}
