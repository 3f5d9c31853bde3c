//! When a transaction counts: its block lies deep enough, is still part of the chain, and no endpoint says otherwise.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::B256;
use alloy::rpc::types::TransactionReceipt;

use crate::ChainError;
use crate::rpc::Rpc;

/// Where a transaction stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// In no block, or in one that is no part of the chain any more.
    Absent,
    /// In a block that does not lie deep enough yet, or that the endpoints do not agree on.
    Confirming(Box<TransactionReceipt>),
    /// In a block that counts.
    Final(Box<TransactionReceipt>),
}

/// Looks `transaction` up. `depth` is how deep its block must lie: 1 is the newest block itself.
///
/// With several endpoints, more than half of those that answer must show the same receipt, so that one that lies or
/// lags cannot alone make something true.
pub async fn standing(rpc: &Rpc, transaction: B256, depth: u64) -> Result<Standing, ChainError> {
    let Some(receipt) = rpc.receipt(transaction).await? else {
        return Ok(Standing::Absent);
    };
    let (Some(number), Some(hash)) = (receipt.block_number, receipt.block_hash) else {
        return Ok(Standing::Absent);
    };
    let canonical = rpc.block(BlockNumberOrTag::Number(number)).await?;
    if canonical.is_none_or(|block| block.header.hash != hash) {
        return Ok(Standing::Absent);
    }
    let shallow = depth > 1 && rpc.head().await? + 1 < number + depth;
    if shallow || !agreed(rpc, &receipt).await {
        return Ok(Standing::Confirming(Box::new(receipt)));
    }
    Ok(Standing::Final(Box::new(receipt)))
}

async fn agreed(rpc: &Rpc, receipt: &TransactionReceipt) -> bool {
    if rpc.endpoints() == 1 {
        return true;
    }
    let hash = receipt.transaction_hash;
    let answers = rpc.request_each::<_, Option<TransactionReceipt>>("eth_getTransactionReceipt", (hash,)).await;
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let same = |other: &Option<TransactionReceipt>| {
        other.as_ref().is_some_and(|other| {
            other.block_hash == receipt.block_hash
                && other.status() == receipt.status()
                && other.logs() == receipt.logs()
        })
    };
    let agreeing = answers.iter().filter(|answer| same(answer)).count();
    if agreeing < answers.len() {
        tracing::warn!(%hash, agreeing, answered = answers.len(), "RPC endpoints do not agree on a receipt");
    }
    agreeing * 2 > answers.len()
}
