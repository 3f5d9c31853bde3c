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

#[cfg(test)]
mod tests {
    use computepool_core::money::{Account, Amount, B256, Bytes, TxHash, U256};
    use computepool_core::ports::{
        Authorization, Block, CoalitionId, CoalitionOffer, Delivery, Ledger as _, SessionTerms, Voucher,
    };
    use computepool_core::{Asset, ContentHash, SessionId};
    use computepool_payments::ledger::{EndReason, Fact, Granted, Settlement, Word};
    use computepool_store::Store;

    use super::*;

    fn granted(number: u8) -> Granted {
        let payer = Account::new([9; 20]);
        let terms = SessionTerms {
            coalition: CoalitionId(B256::repeat_byte(1)),
            amount: Amount::usdc(250_000),
            lifetime_s: 3600,
            expires_s: 4_000_000_000,
            payer,
            salt: B256::repeat_byte(number),
        };
        let authorization = Authorization {
            from: payer,
            to: Account::new([number; 20]),
            value: terms.amount,
            valid_after: 0,
            valid_before: 4_000_000_000,
            nonce: terms.salt,
        };
        Granted {
            session: SessionId([number; 16]),
            account: authorization.to,
            terms,
            voucher: Voucher { authorization, signature: Bytes::from(vec![1; 65]) },
            model: "tiny".parse().unwrap(),
            offer: CoalitionOffer {
                open: true,
                rate: Amount::usdcx(100_000_000_000_000),
                reserve: Amount::zero(Asset::Usdcx),
                fee_bps: 0,
                royalty_bps: 0,
                places: Vec::new(),
                deadline_s: 4_000_000_000,
                meter: Account::new([8; 20]),
            },
            token: ContentHash([number; 32]),
            at_ms: 1_000,
        }
    }

    fn entries(number: u8, facts: &[Fact]) -> Vec<LedgerEntry> {
        let numbered = (0..).zip(facts);
        let entry = |(ordinal, fact): (u32, &Fact)| LedgerEntry {
            subject: Account::new([number; 20]).to_string(),
            ordinal,
            at_ms: 1_000 * u64::from(number) + u64::from(ordinal),
            kind: fact.kind().to_owned(),
            body: serde_json::to_string(fact).unwrap(),
            concludes: matches!(fact, Fact::Settled(_) | Fact::Rejected { .. }),
        };
        numbered.map(entry).collect()
    }

    fn settled() -> Fact {
        let streamed = Amount::usdcx(1_000_000_000_000_000);
        let refund = Amount::usdc(249_000);
        let zero = Amount::zero(Asset::Usdcx);
        Fact::Settled(Box::new(Settlement {
            paid_in: Amount::usdc(250_000),
            streamed,
            topped_up: zero,
            refund,
            dust: zero,
            lost: zero,
            found: zero,
            served_ms: 9_500,
        }))
    }

    #[tokio::test]
    async fn sessions_are_read_beside_the_orchestrator_that_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("orchestrator.db").display().to_string();
        let orchestrator: NodeId = "ada".parse().unwrap();
        let store = Store::open(&state, &orchestrator).await.unwrap();
        let transaction = TxHash(B256::repeat_byte(4));
        let landed = Delivery::Landed { transaction, block: Block { number: 1, hash: B256::ZERO, time_s: 1 } };
        let opened = Fact::Opened { amount: Amount::usdc(250_000), opened_s: 1 };
        let open = [
            Fact::Authorized(Box::new(granted(1))),
            Fact::Planned { step: 1, word: Word::Open { start: true } },
            Fact::Answered { step: 1, delivery: landed },
            opened.clone(),
            Fact::Metered { served_ms: 7_000 },
        ];
        let over = [
            Fact::Authorized(Box::new(granted(2))),
            opened,
            Fact::Metered { served_ms: 9_500 },
            Fact::Ended { why: EndReason::Asked },
            settled(),
        ];
        store.append([entries(1, &open), entries(2, &over)].concat()).await.unwrap();

        let mut ledger = OwnLedger::open(&state, None).await.unwrap();
        let mut seen = Vec::new();
        ledger.sessions(|session| seen.push(session)).await.unwrap();
        let [settled, open] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((settled.bill.phase, settled.bill.served_ms), (BillPhase::Settled, 9_500));
        assert_eq!(settled.bill.paid_out.units, U256::from(1_000_000_000_000_000_u64));
        assert_eq!(settled.bill.refund, Amount::usdc(249_000));
        assert_eq!((open.at_ms, open.bill.phase, open.bill.reason.as_str()), (1_000, BillPhase::Streaming, "open"));
        assert_eq!((open.bill.served_ms, open.bill.transactions.as_slice()), (7_000, &[transaction][..]));

        let mut books = String::new();
        ledger.books(|piece| books.push_str(piece)).await.unwrap();
        assert_eq!(books.lines().count(), 1 + 2 + 2, "{books}");

        // With two orchestrators in it, it must be said whose.
        Store::open(&state, &"ben".parse().unwrap()).await.unwrap().close().await.unwrap();
        let unsaid = OwnLedger::open(&state, None).await.err().unwrap();
        assert!(unsaid.hint.unwrap().contains("--orchestrator: ada, ben"));
        assert!(OwnLedger::open(&state, Some("cleo".parse().unwrap())).await.is_err());
        OwnLedger::open(&state, Some(orchestrator)).await.unwrap();
    }
}
