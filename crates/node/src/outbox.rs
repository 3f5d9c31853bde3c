//! What the node says to its orchestrator: in order, and without ever making the speaker wait.

use std::collections::VecDeque;
use std::sync::Mutex;

use computepool_core::control::NodeMessage;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::shared::lock;

/// A bounded backlog in front of the control link.
pub(crate) struct Outbox {
    link: mpsc::Sender<NodeMessage>,
    backlog: Mutex<VecDeque<NodeMessage>>,
    limit: usize,
    wake: Notify,
    emptied: Notify,
    /// Set when the link is gone or nobody reads it any more.
    pub(crate) lost: CancellationToken,
}

impl Outbox {
    pub(crate) fn new(link: mpsc::Sender<NodeMessage>, limit: usize) -> Self {
        Self {
            link,
            backlog: Mutex::default(),
            limit,
            wake: Notify::new(),
            emptied: Notify::new(),
            lost: CancellationToken::new(),
        }
    }

    /// Says something that must not be left out. Such messages are few: a handful for each session and generation.
    pub(crate) fn say(&self, message: NodeMessage) {
        self.push(message, self.limit.saturating_mul(2));
    }

    /// Says a token; `false` when too many wait already.
    #[must_use]
    pub(crate) fn token(&self, message: NodeMessage) -> bool {
        self.push(message, self.limit)
    }

    fn push(&self, message: NodeMessage, limit: usize) -> bool {
        let mut backlog = lock(&self.backlog);
        let message = if backlog.is_empty() {
            match self.link.try_send(message) {
                Ok(()) => return true,
                Err(TrySendError::Full(message)) => message,
                Err(TrySendError::Closed(_)) => {
                    self.lost.cancel();
                    return true;
                }
            }
        } else {
            message
        };
        if backlog.len() >= limit {
            if limit > self.limit {
                self.lost.cancel();
            }
            return false;
        }
        backlog.push_back(message);
        self.wake.notify_one();
        true
    }

    /// Moves the backlog to the link as fast as that takes it.
    pub(crate) async fn run(&self) {
        loop {
            self.wake.notified().await;
            loop {
                let Ok(slot) = self.link.reserve().await else {
                    self.lost.cancel();
                    return;
                };
                // Taken and sent under one lock, so that `push` never overtakes it.
                let mut backlog = lock(&self.backlog);
                if let Some(message) = backlog.pop_front() {
                    slot.send(message);
                }
                if backlog.is_empty() {
                    break;
                }
            }
            self.emptied.notify_one();
        }
    }

    /// Waits until everything is with the link.
    pub(crate) async fn flushed(&self) {
        while !lock(&self.backlog).is_empty() {
            self.emptied.notified().await;
        }
    }

    /// Whether the link itself is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.link.is_closed()
    }
}
