//! Questions to a chain, and what is sent to it.

mod endpoints;
mod http;
mod lie;
mod majority;

use std::borrow::Cow;
use std::sync::Arc;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::client::RpcClient;
use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy::rpc::types::{Block, FeeHistory, Filter, Log, TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use alloy::transports::{BoxTransport, IntoBoxTransport, TransportError, TransportErrorKind};
use futures::future::join_all;

use self::endpoints::Endpoints;
pub use self::endpoints::Patience;
use self::http::Http;
pub use self::lie::Lie;
use crate::{ChainError, Network};

/// One chain, reached through one or several endpoints. Clones are cheap and share everything.
///
/// With one or two endpoints the first that answers is believed. Of three and more all are asked for what money depends
/// on, and more than half must say the same, so that one that lies or lags cannot alone make something true.
#[derive(Clone, Debug)]
pub struct Rpc {
    chain_id: u64,
    all: RpcClient,
    each: Arc<[RpcClient]>,
}

impl Rpc {
    /// The endpoints of `network`. Nothing is asked yet; every endpoint is asked for its chain id before its first use.
    pub fn new(network: &Network, patience: Patience) -> Result<Self, ChainError> {
        let client = Http::client()?;
        let mut transports = Vec::with_capacity(network.endpoints.len());
        for url in &network.endpoints {
            let (name, http) = Http::new(&client, url)?;
            transports.push((name, http.into_box_transport()));
        }
        Self::over(network.chain_id.0, transports, patience)
    }

    /// The same over transports of the caller's, each with a name for messages.
    pub fn over(
        chain_id: u64,
        transports: Vec<(String, BoxTransport)>,
        patience: Patience,
    ) -> Result<Self, ChainError> {
        if transports.is_empty() {
            let what = format!("chain {chain_id}");
            return Err(ChainError::Setting { what, why: "no RPC endpoint is named for it".to_owned() });
        }
        let each = transports
            .iter()
            .cloned()
            .map(|one| Endpoints::new(chain_id, vec![one], patience.once()).client())
            .collect();
        Ok(Self { chain_id, all: Endpoints::new(chain_id, transports, patience).client(), each })
    }

    /// How many endpoints there are.
    pub fn endpoints(&self) -> usize {
        self.each.len()
    }

    /// Which chain this is.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// Asks anything. The answer is checked as far as the method is known ([`Lie`]).
    pub async fn request<P: RpcSend, R: RpcRecv>(&self, method: &'static str, params: P) -> Result<R, ChainError> {
        ask(self.all.clone(), method, params).await
    }

    /// Asks every endpoint for itself; in the order of the endpoints.
    pub async fn request_each<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Vec<Result<R, ChainError>> {
        join_all(self.each.iter().cloned().map(|one| ask(one, method, params.clone()))).await
    }

    /// The number of the newest block.
    pub async fn head(&self) -> Result<u64, ChainError> {
        self.reached::<_, U64>("eth_blockNumber", ()).await.map(|number| number.to())
    }

    /// A block without its transactions' bodies; none when there is no such block (yet).
    pub async fn block(&self, which: BlockNumberOrTag) -> Result<Option<Block>, ChainError> {
        let same = |one: &Option<Block>, other: &Option<Block>| {
            one.as_ref().map(|block| block.header.hash) == other.as_ref().map(|block| block.header.hash)
        };
        self.agreed("eth_getBlockByNumber", (self.settled(which).await?, false), same).await
    }

    /// The chain's own time: the newest block's, in Unix seconds.
    pub async fn time(&self) -> Result<u64, ChainError> {
        let newest = self.block(BlockNumberOrTag::Latest).await?;
        let newest = newest.ok_or_else(|| ChainError::unreadable("the newest block", "there is none"))?;
        Ok(newest.header.timestamp)
    }

    /// A transaction's receipt, once it is in a block.
    pub async fn receipt(&self, transaction: B256) -> Result<Option<TransactionReceipt>, ChainError> {
        let says = |receipt: &TransactionReceipt| {
            let logs = receipt.logs().iter().map(|log| (log.inner.clone(), log.log_index)).collect::<Vec<_>>();
            (receipt.block_hash, receipt.status(), logs)
        };
        let same = |one: &Option<TransactionReceipt>, other: &Option<TransactionReceipt>| {
            one.as_ref().map(says) == other.as_ref().map(says)
        };
        self.agreed("eth_getTransactionReceipt", (transaction,), same).await
    }

    /// A contract's code; empty where there is none.
    pub async fn code(&self, at: Address) -> Result<Bytes, ChainError> {
        self.code_at(at, BlockNumberOrTag::Latest).await
    }

    /// A contract's code as of a block.
    pub async fn code_at(&self, at: Address, block: BlockNumberOrTag) -> Result<Bytes, ChainError> {
        self.agreed("eth_getCode", (at, self.settled(block).await?), Bytes::eq).await
    }

    /// An account's native currency, in wei.
    pub async fn balance(&self, of: Address) -> Result<U256, ChainError> {
        let at = self.settled(BlockNumberOrTag::Latest).await?;
        self.agreed("eth_getBalance", (of, at), U256::eq).await
    }

    /// How many transactions of an account are in blocks ([`BlockNumberOrTag::Latest`]), or in blocks and waiting
    /// ([`BlockNumberOrTag::Pending`]).
    pub async fn nonce(&self, of: Address, at: BlockNumberOrTag) -> Result<u64, ChainError> {
        self.reached::<_, U64>("eth_getTransactionCount", (of, at)).await.map(|count| count.to())
    }

    /// Asks a contract as of the newest block.
    pub async fn call<C: SolCall>(&self, contract: Address, call: &C) -> Result<C::Return, ChainError> {
        self.call_at(contract, call, None, BlockNumberOrTag::Latest).await
    }

    /// Asks a contract as of a block, in the name of `from` where that matters.
    pub async fn call_at<C: SolCall>(
        &self,
        contract: Address,
        call: &C,
        from: Option<Address>,
        at: BlockNumberOrTag,
    ) -> Result<C::Return, ChainError> {
        let mut request = TransactionRequest::default().to(contract).input(call.abi_encode().into());
        request.from = from;
        let answer = self.agreed("eth_call", (request, self.settled(at).await?), Bytes::eq).await;
        let answer = answer.map_err(|error| reverted(error, C::SIGNATURE))?;
        C::abi_decode_returns(&answer).map_err(|error| ChainError::unreadable(C::SIGNATURE, error))
    }

    /// How much gas a transaction would take in the next block, after what waits for it already.
    pub async fn estimate(&self, what: &str, request: &TransactionRequest) -> Result<u64, ChainError> {
        // Estimates differ from node to node; that the call goes through does not.
        let same = |_: &U64, _: &U64| true;
        let answer = self.agreed("eth_estimateGas", (request, BlockNumberOrTag::Pending), same).await;
        answer.map(|gas| gas.to()).map_err(|error| reverted(error, what))
    }

    /// Fees of the last `blocks` blocks: base fees, and tips at the given percentiles.
    pub async fn fee_history(&self, blocks: u64, percentiles: &[f64]) -> Result<FeeHistory, ChainError> {
        self.request("eth_feeHistory", (U64::from(blocks), BlockNumberOrTag::Latest, percentiles.to_vec())).await
    }

    /// What the chain asks for a unit of gas where it knows no base fee, in wei.
    pub async fn gas_price(&self) -> Result<u128, ChainError> {
        self.request::<_, U256>("eth_gasPrice", ()).await.map(|price| price.saturating_to())
    }

    /// Events. The filter should be bounded in blocks: public endpoints refuse others.
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<Log>, ChainError> {
        let says = |logs: &Vec<Log>| {
            logs.iter().map(|log| (log.inner.clone(), log.block_hash, log.log_index)).collect::<Vec<_>>()
        };
        let same = |one: &Vec<Log>, other: &Vec<Log>| says(one) == says(other);
        self.agreed("eth_getLogs", (filter,), same).await
    }

    /// Hands a signed transaction to the chain. A chain takes it only once, so that it may be sent again.
    pub async fn send_raw(&self, raw: &Bytes) -> Result<B256, ChainError> {
        self.request("eth_sendRawTransaction", (raw,)).await
    }

    /// The same, to every endpoint: one that says it took a transaction may have lost it.
    pub async fn send_raw_everywhere(&self, raw: &Bytes) {
        for error in
            self.request_each::<_, B256>("eth_sendRawTransaction", (raw,)).await.into_iter().filter_map(Result::err)
        {
            tracing::debug!(%error, "not taken");
        }
    }

    /// Where endpoints are compared, the newest block is one that more than half of them have.
    async fn settled(&self, which: BlockNumberOrTag) -> Result<BlockNumberOrTag, ChainError> {
        match which {
            BlockNumberOrTag::Latest if self.outvotes() => Ok(BlockNumberOrTag::Number(self.head().await?)),
            other => Ok(other),
        }
    }
}

async fn ask<P: RpcSend, R: RpcRecv>(client: RpcClient, method: &'static str, params: P) -> Result<R, ChainError> {
    client.request(Cow::Borrowed(method), params).await.map_err(|error| told(method, error))
}

/// What went wrong below, in our words.
fn told(method: &'static str, error: TransportError) -> ChainError {
    match error {
        TransportError::ErrorResp(refusal) => {
            let data = refusal.data.as_ref().map(|data| data.get().trim_matches('"'));
            let reason = data.and_then(crate::revert::reason);
            let message = refusal.message.chars().take(300).collect();
            ChainError::Refused { method: method.to_owned(), code: refusal.code, message: reason.unwrap_or(message) }
        }
        TransportError::Transport(TransportErrorKind::Custom(ours)) => match ours.downcast::<ChainError>() {
            Ok(ours) => *ours,
            Err(other) => ChainError::unreadable(method, other),
        },
        TransportError::DeserError { err, .. } => ChainError::unreadable(method, err),
        other => ChainError::unreadable(method, other),
    }
}

/// A refusal to run a call means that the call reverts, unless the question itself was refused.
fn reverted(error: ChainError, what: &str) -> ChainError {
    match error {
        ChainError::Refused { code, message, .. } if code == 3 || code == -32_000 || code == -32_003 => {
            ChainError::Reverted { what: what.to_owned(), reason: message }
        }
        other => other,
    }
}
