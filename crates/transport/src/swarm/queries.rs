//! Questions to the table that somebody waits for.

use std::collections::{BTreeSet, HashMap};

use libp2p::kad::{GetProvidersOk, GetRecordOk, QueryId, QueryResult};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::table::{self, Whereabouts};

/// Questions under way; more are refused.
pub(super) const MAX_QUERIES: usize = 64;

/// Providers given of one key.
const MAX_PROVIDERS: usize = 64;

/// A question, what was found so far, and who asked.
#[derive(Debug)]
pub(super) enum Query {
    /// Who has this key?
    Providers { found: BTreeSet<PeerId>, reply: oneshot::Sender<Vec<PeerId>> },
    /// Where is this peer?
    Whereabouts { peer: PeerId, newest: Option<Whereabouts>, reply: oneshot::Sender<Vec<Multiaddr>> },
}

/// The questions under way.
#[derive(Debug, Default)]
pub(super) struct Queries {
    table: HashMap<QueryId, Query>,
}

impl Queries {
    pub(super) fn is_full(&self) -> bool {
        self.table.len() >= MAX_QUERIES
    }

    pub(super) fn ask(&mut self, id: QueryId, query: Query) {
        self.table.insert(id, query);
    }

    /// Takes in a part of an answer, and gives the answer when it was the last.
    pub(super) fn progressed(&mut self, id: QueryId, result: QueryResult, last: bool) {
        if let Some(query) = self.table.get_mut(&id) {
            query.take_in(result);
        }
        if last && let Some(query) = self.table.remove(&id) {
            query.answer();
        }
    }
}

impl Query {
    fn take_in(&mut self, result: QueryResult) {
        match (self, result) {
            (
                Self::Providers { found, .. },
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })),
            ) => {
                let room = MAX_PROVIDERS.saturating_sub(found.len());
                found.extend(providers.into_iter().take(room));
            }
            (Self::Whereabouts { peer, newest, .. }, QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found)))) => {
                match table::read(&found.record) {
                    Ok(read) if read.peer == *peer => {
                        if newest.as_ref().is_none_or(|newest| newest.number < read.number) {
                            *newest = Some(read);
                        }
                    }
                    Ok(other) => tracing::debug!(%peer, of = %other.peer, "was given somebody else's whereabouts"),
                    Err(error) => tracing::debug!(%peer, from = ?found.peer, %error, "was given false whereabouts"),
                }
            }
            _ => {}
        }
    }

    fn answer(self) {
        let asked = match self {
            Self::Providers { found, reply } => reply.send(found.into_iter().collect()).is_ok(),
            Self::Whereabouts { newest, reply, .. } => {
                reply.send(newest.map(|newest| newest.addresses).unwrap_or_default()).is_ok()
            }
        };
        if !asked {
            tracing::trace!("an answer from the table came too late");
        }
    }
}
