//! An orchestrator's own account of its paid sessions, from its ledger: also while it runs.

use std::collections::BTreeMap;

use computepool_core::ports::{Bill, BillPhase, LedgerEntry};
use computepool_core::{Fault, FaultCode, NodeId};
use computepool_payments::ledger::{CsvError, csv_header, csv_lines};
use computepool_payments::settlement::{Policy, State};
use computepool_store::LedgerReader;

/// How many entries are read at a time.
const PAGE: u32 = 500;

/// A session as the ledger has it.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerSession {
    /// When its voucher was taken, in Unix milliseconds.
    pub at_ms: u64,
    /// How it stands. What is not concluded may have gone further on the chain.
    pub bill: Bill,
}

/// The ledger of one orchestrator.
pub struct OwnLedger {
    reader: LedgerReader,
    orchestrator: NodeId,
}

impl OwnLedger {
    /// Opens the ledger in the store that `state` names: a file, or `postgres://…`. Several orchestrators may share a
    /// store; then it must be said whose.
    pub async fn open(state: &str, orchestrator: Option<NodeId>) -> Result<Self, Fault> {
        let mut reader = LedgerReader::open(state).await?;
        let refuse = |what: String| Fault::new(FaultCode::InvalidRequest, what);
        let all = reader.orchestrators().await?;
        let orchestrator = match (orchestrator, all.as_slice()) {
            (Some(named), all) if all.contains(&named) => named,
            (Some(named), _) => return Err(refuse(format!("{} knows nothing of {named}", reader.database()))),
            (None, [only]) => only.clone(),
            (None, []) => return Err(refuse(format!("no orchestrator has used {} yet", reader.database()))),
            (None, many) => {
                let names: Vec<&str> = many.iter().map(NodeId::as_str).collect();
                return Err(refuse(format!("several orchestrators use {}", reader.database()))
                    .hint(format!("say which with --orchestrator: {}", names.join(", "))));
            }
        };
        Ok(Self { reader, orchestrator })
    }

    /// All sessions, those that are concluded first, in the order in which they were concluded.
    pub async fn sessions(&mut self, mut each: impl FnMut(LedgerSession)) -> Result<(), Fault> {
        let mut open: BTreeMap<String, Vec<LedgerEntry>> = BTreeMap::new();
        let mut skip = 0;
        loop {
            let page = self.page(&mut skip).await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                let (subject, concludes) = (entry.subject.clone(), entry.concludes);
                let of = open.entry(subject.clone()).or_default();
                of.push(entry);
                if concludes && let Some(entries) = open.remove(&subject) {
                    each(read(&entries)?);
                }
            }
        }
        for entries in open.values() {
            each(read(entries)?);
        }
        Ok(())
    }

    /// The books: every sum that went from one account of them to another, as a table for spreadsheets, piece by piece.
    pub async fn books(&mut self, mut each: impl FnMut(&str)) -> Result<(), Fault> {
        let unread = |error: CsvError| Fault::new(FaultCode::Io, error.to_string());
        each(csv_header());
        let (mut granted, mut skip) = (BTreeMap::new(), 0);
        loop {
            let page = self.page(&mut skip).await?;
            if page.is_empty() {
                return Ok(());
            }
            each(&csv_lines(&mut granted, &page).map_err(unread)?);
        }
    }

    async fn page(&mut self, skip: &mut u64) -> Result<Vec<LedgerEntry>, Fault> {
        let page = self.reader.page(&self.orchestrator, *skip, PAGE).await?;
        *skip += page.len() as u64;
        Ok(page)
    }
}

/// What the entries of one session amount to.
fn read(entries: &[LedgerEntry]) -> Result<LedgerSession, Fault> {
    let damaged = |why: String| Fault::new(FaultCode::Io, format!("the ledger makes no sense: {why}"));
    let at_ms = entries.first().map_or(0, |entry| entry.at_ms);
    let state = State::restore(Policy::default(), at_ms, entries).map_err(|error| damaged(error.to_string()))?;
    let session = state.sessions().next().ok_or_else(|| damaged("an entry is of no session".to_owned()))?;
    let mut bill = session.bill();
    // Without the chain at hand, what was written down is what is known.
    if bill.phase == BillPhase::Authorized {
        let has = |kind: &str| entries.iter().any(|entry| entry.kind == kind);
        if has("ended") {
            bill.phase = BillPhase::Closing;
        } else if has("opened") {
            (bill.phase, bill.reason) = (BillPhase::Streaming, "open".to_owned());
        }
    }
    Ok(LedgerSession { at_ms, bill })
}
