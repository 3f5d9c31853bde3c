//! What goes into settling and what comes out.

use computepool_core::ports::{Delivery, Intent, LedgerEntry, SessionView, StepId, VoucherState};
use computepool_core::{Account, Fault};

use crate::ledger::{EndReason, Granted};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unix milliseconds. A time before that of an earlier event counts as that event's.
    pub at_ms: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A voucher was checked and is taken.
    Authorize(Box<Granted>),
    /// What a session's meter shows.
    Metered {
        /// Whose.
        account: Account,
        /// Milliseconds served, all in all.
        served_ms: u64,
        /// Whether the stream should flow.
        flowing: bool,
    },
    /// A session is to be closed.
    End {
        /// Which.
        account: Account,
        /// Why.
        why: EndReason,
    },
    /// What came of a step.
    Answered {
        /// Of which session.
        account: Account,
        /// Which step.
        step: u32,
        /// What.
        delivery: Box<Delivery>,
    },
    /// What the chain says.
    Seen {
        /// Of which session.
        account: Account,
        /// Everything, or that nothing was learnt.
        look: Result<Box<Look>, Fault>,
    },
    /// Time has passed.
    Tick,
}

/// What the chain says of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Of the session.
    pub view: SessionView,
    /// Of its voucher, where it was asked for that.
    pub voucher: Option<VoucherState>,
}

/// Something to be done, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// Write down. What follows may happen once this would survive a crash.
    Write(Vec<LedgerEntry>),
    /// Submit a step to the chain, and say what came of it.
    Submit {
        /// Of which session.
        account: Account,
        /// Which step.
        step: u32,
        /// Its name for the chain.
        id: StepId,
        /// What to do.
        intent: Box<Intent>,
    },
    /// Ask the chain.
    Look {
        /// About which session.
        account: Account,
        /// Whether about its voucher as well.
        voucher: bool,
    },
    /// Tell whoever waits for it.
    Tell(Account, News),
}

/// What whoever waits for a session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is open on the chain.
    Opened,
    /// It may be served no more.
    Halted(Fault),
    /// It is settled or rejected.
    Concluded,
}
