//! What more than half of the endpoints say.
//!
//! Much of what an endpoint could make up does not give itself away ([`Lie`](super::Lie)): a balance, a session that is
//! closed already, a transaction that failed. Three endpoints outvote one that says so. Of two nobody could tell which
//! is right: they are there for when one is away, and the first is believed.

use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::{Rpc, ask};
use crate::ChainError;

/// So many endpoints can outvote one.
const QUORUM: usize = 3;

impl Rpc {
    pub(super) fn outvotes(&self) -> bool {
        self.each.len() >= QUORUM
    }

    /// Asks all endpoints at once, and takes what more than half of those that answer say; refusals are answers, whatever
    /// words they are in. `same` says whether two answers are one. Does not wait for those who could change nothing.
    ///
    /// # Errors
    /// [`ChainError::Disagreed`] where every answer is in the minority; else those of [`Rpc::request`].
    pub(super) async fn agreed<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
        same: impl Fn(&R, &R) -> bool,
    ) -> Result<R, ChainError> {
        if !self.outvotes() {
            return self.request(method, params).await;
        }
        let one = |client: RpcClient| ask(client, method, params.clone());
        let mut asking: FuturesUnordered<_> = self.each.iter().cloned().map(one).collect();
        let mut voters = self.each.len();
        let mut votes: Vec<(Result<R, ChainError>, usize)> = Vec::with_capacity(voters);
        while let Some(answer) = asking.next().await {
            let alike = |other: &Result<R, ChainError>| match (other, &answer) {
                (Ok(other), Ok(answer)) => same(other, answer),
                (Err(_), Err(_)) => true,
                _ => false,
            };
            match &answer {
                Ok(_) | Err(ChainError::Refused { .. }) => match votes.iter_mut().find(|(other, _)| alike(other)) {
                    Some((_, count)) => *count += 1,
                    None => votes.push((answer, 1)),
                },
                Err(error) => {
                    tracing::debug!(method, %error, "an endpoint has no vote");
                    voters -= 1;
                }
            }
            if let Some(winner) = votes.iter().position(|(_, count)| count * 2 > voters) {
                return votes.swap_remove(winner).0;
            }
        }
        if votes.is_empty() {
            // Nobody answered at once; somebody may after a while.
            return self.request(method, params).await;
        }
        tracing::warn!(method, answers = votes.len(), "RPC endpoints do not agree");
        Err(ChainError::Disagreed { chain_id: self.chain_id, method: method.to_owned() })
    }

    /// For numbers that only grow: the highest that more than half of the endpoints have reached.
    pub(super) async fn reached<P: RpcSend, N: RpcRecv + Ord>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<N, ChainError> {
        if !self.outvotes() {
            return self.request(method, params).await;
        }
        let answers = self.request_each::<P, N>(method, params.clone()).await;
        let mut numbers: Vec<N> = answers.into_iter().flatten().collect();
        numbers.sort_unstable();
        let middle = numbers.len().saturating_sub(1) / 2;
        if middle < numbers.len() { Ok(numbers.swap_remove(middle)) } else { self.request(method, params).await }
    }
}

#[cfg(test)]
mod tests;
