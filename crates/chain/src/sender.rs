//! Transactions of one account: each intent lands once, or it is known why not.
//!
//! A [`Sender`] gives every intent a nonce and never gives that nonce to another. It writes the signed transaction down
//! ([`Outbox`]), sends it, sends it again where the chain has forgotten it, and replaces it by one with higher fees where
//! it is stuck. An intent has landed when its receipt counts ([`crate::finality`]); if a reorganisation drops it before,
//! it is sent again.
//!
//! An intent has an id. Sending the same id again joins what is under way, or gives the old result: that is how a caller
//! that lost track finds out. A caller that waited too long gets [`ChainError::Pending`]: the transaction is still
//! being looked after, and nothing may be concluded.

mod outbox;
mod queue;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::rpc::types::{Log, TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use computepool_core::ports::{Purpose, Vault};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) use self::outbox::replace;
pub use self::outbox::{Entry, Folder, Forgetful, Form, Outbox};
use self::queue::{Answer, Command, Queue};
use self::transaction::Hand;
use crate::gas::{self, GasPolicy};
use crate::rpc::Rpc;
use crate::{ChainError, Network};

/// How many commands may wait for the queue.
const COMMANDS: usize = 64;

/// Something that should happen on chain, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The same for the same intent, and for no other.
    pub id: B256,
    /// What it is, for messages.
    pub what: String,
    /// What the signature is for.
    pub purpose: Purpose,
    /// Whom to call.
    pub to: Address,
    /// Native currency to hand over, in wei.
    pub value: U256,
    /// What to call it with.
    pub input: Bytes,
    /// The gas to allow; estimated where it is not given.
    pub gas: Option<u64>,
}

impl Intent {
    /// A transfer of nothing to `to`, to be filled in. The id is new every time.
    pub fn new(what: impl Into<String>, purpose: Purpose, to: Address) -> Self {
        let id = B256::from(rand::random::<[u8; 32]>());
        Self { id, what: what.into(), purpose, to, value: U256::ZERO, input: Bytes::new(), gas: None }
    }

    /// Calls a function.
    pub fn calling(mut self, call: &impl SolCall) -> Self {
        self.input = call.abi_encode().into();
        self
    }

    /// Hands over native currency, in wei.
    pub fn paying(mut self, value: U256) -> Self {
        self.value = value;
        self
    }

    /// Makes this the intent that goes by `name`, today and after a restart.
    pub fn named(mut self, name: impl AsRef<[u8]>) -> Self {
        self.id = keccak256(name);
        self
    }

    fn request(&self, from: Address) -> TransactionRequest {
        TransactionRequest::default().from(from).to(self.to).value(self.value).input(self.input.clone().into())
    }
}

/// An intent that has landed and succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct Landed {
    /// The transaction.
    pub hash: B256,
    /// The block it is in.
    pub block: u64,
    /// That block's hash.
    pub block_hash: B256,
    /// Gas it used.
    pub gas: u64,
    /// Wei it paid for a unit of gas.
    pub gas_price: u128,
    /// Events it caused.
    pub logs: Vec<Log>,
}

impl Landed {
    pub(crate) fn from_receipt(receipt: &TransactionReceipt) -> Self {
        Self {
            hash: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default(),
            block_hash: receipt.block_hash.unwrap_or_default(),
            gas: receipt.gas_used,
            gas_price: receipt.effective_gas_price,
            logs: receipt.logs().to_vec(),
        }
    }
}

/// How long to wait for an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Until it is in a block, which a reorganisation may still undo; the sender would then send it again.
    Included,
    /// Until it counts.
    Final,
}

/// How a sender behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderOptions {
    /// What it pays for gas.
    pub gas: GasPolicy,
    /// How deep a block must lie before what is in it counts.
    pub depth: u64,
    /// The time between two looks at what is under way.
    pub poll: Duration,
    /// After how long without landing a transaction is replaced by one with higher fees.
    pub stuck: Duration,
    /// How long a caller waits before it is told that nothing is known yet.
    pub wait: Duration,
    /// How many transactions may be under way at a time. Public nodes keep 16 to 64 of an account.
    pub under_way: usize,
}

impl SenderOptions {
    /// What suits a network.
    pub fn of(network: &Network) -> Self {
        Self {
            gas: GasPolicy::default(),
            depth: network.depth,
            poll: network.poll,
            stuck: Duration::from_secs(30),
            wait: Duration::from_secs(120),
            under_way: 16,
        }
    }
}

/// The queue of one account's transactions. Clones share it; it ends with the last of them, or at the end of the runtime.
#[derive(Clone, Debug)]
pub struct Sender {
    account: Address,
    rpc: Rpc,
    commands: mpsc::Sender<Command>,
    _end: Arc<DropGuard>,
}

impl Sender {
    /// Starts the queue of `account`, for which `vault` signs. What `outbox` holds from before is looked after first.
    /// There must be no other sender for this account on this chain, anywhere.
    pub fn start(
        rpc: Rpc,
        vault: Arc<dyn Vault>,
        account: Address,
        outbox: Box<dyn Outbox>,
        options: SenderOptions,
    ) -> Result<Self, ChainError> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let end = CancellationToken::new();
        let hand = Hand { vault, account, chain_id: rpc.chain_id() };
        let queue = Queue::new(rpc.clone(), hand, outbox, options, inbox, end.clone())?;
        tokio::spawn(queue.run());
        Ok(Self { account, rpc, commands, _end: Arc::new(end.drop_guard()) })
    }

    /// Whose transactions these are.
    pub fn account(&self) -> Address {
        self.account
    }

    /// The chain they go to.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Makes `intent` happen and waits for it. An intent that is known by its id is joined, not repeated.
    ///
    /// # Errors
    /// [`ChainError::Reverted`] before it is sent, if it would fail, and after, if it did; [`ChainError::Pending`] if it
    /// may still land; [`ChainError::NonceTaken`] if it never will.
    pub async fn send(&self, mut intent: Intent, until: Until) -> Result<Landed, ChainError> {
        const GONE: ChainError = ChainError::Closed("the sender has ended");
        loop {
            let (answer, waiting) = oneshot::channel();
            let command = Command { intent: intent.clone(), until, answer };
            self.commands.send(command).await.map_err(|_| GONE)?;
            match waiting.await.map_err(|_| GONE)?? {
                Answer::Landed(landed) => return Ok(landed),
                Answer::Estimate => {
                    let estimate = self.rpc.estimate(&intent.what, &intent.request(self.account)).await?;
                    intent.gas = Some(gas::limit(&intent.what, estimate)?);
                }
            }
        }
    }
}
