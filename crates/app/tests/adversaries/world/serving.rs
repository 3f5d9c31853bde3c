//! A client that pays and is served, and what is seen of its session.

use alloy_primitives::{B256, U256};
use computepool_core::ports::{
    Admission, Asked, Authorization, Bill, BillPhase, Chain, Presented, Purpose, SessionOnChain, SessionPhase,
    SessionTerms, SigningContent, SigningRequest, StepId, Toll, TollRefusal, Voucher,
};
use computepool_core::{Account, Amount, Asset, Fault, GenerationId, ModelId, SessionId};
use computepool_payments::ledger::Fact;
use computepool_payments::voucher;
use computepool_payments::x402::{
    AuthorizationText, ExactPayload, PaymentPayload, PaymentRequired, Requirements, SettlementResponse, VERSION,
    decode, encode,
};

use super::{GLANCES, World, eventually};

/// What everybody asks for.
pub(crate) fn asked() -> Asked {
    Asked {
        model: ModelId::new("m").unwrap(),
        resource: "https://pool.example/v1/chat/completions".into(),
        payer: None,
    }
}

/// Why a payment was refused, by x402's name, which its receipt must bear as well.
pub(crate) fn reason(admitted: Result<Admission, TollRefusal>) -> String {
    match admitted.unwrap_err() {
        TollRefusal::Pay { reason, receipt, .. } => {
            let receipt: SettlementResponse = decode(&receipt.unwrap()).unwrap();
            assert!(!receipt.success && receipt.error_reason.as_ref() == Some(&reason), "{receipt:?}");
            reason
        }
        other => panic!("{other:?}"),
    }
}

/// A name for a step that nobody has used.
pub(crate) fn step() -> StepId {
    StepId(B256::from(rand::random::<[u8; 32]>()))
}

/// The account that a payment is made out to.
pub(crate) fn account(payload: &PaymentPayload) -> Account {
    payload.accepted.pay_to.parse().unwrap()
}

impl World {
    pub(crate) async fn quote(&self) -> Requirements {
        self.quote_for(None).await
    }

    /// A quote for somebody who says beforehand who will pay.
    pub(crate) async fn quote_for(&self, payer: Option<Account>) -> Requirements {
        let quote = self.toll.quote(&Asked { payer, ..asked() }, None).await.unwrap();
        decode::<PaymentRequired>(&quote.header).unwrap().accepts.remove(0)
    }

    /// What an honest client authorizes.
    pub(crate) fn authorization(&self, who: Account, accepted: &Requirements) -> Authorization {
        Authorization {
            from: who,
            to: accepted.pay_to.parse().unwrap(),
            value: Amount::new(accepted.amount.parse::<U256>().unwrap(), Asset::Usdc),
            valid_after: 0,
            valid_before: self.clock.now_s() + accepted.max_timeout_seconds,
            nonce: B256::from(rand::random::<[u8; 32]>()),
        }
    }

    /// Somebody's wallet signs a voucher for a quote.
    pub(crate) fn voucher(&self, who: Account, accepted: Requirements) -> PaymentPayload {
        let authorization = self.authorization(who, &accepted);
        self.signed(accepted, authorization)
    }

    /// A wallet signs an authorization, whatever quote it is shown with.
    pub(crate) fn signed(&self, accepted: Requirements, authorization: Authorization) -> PaymentPayload {
        let content = SigningContent::Authorization { token: self.meter.token(), authorization };
        let request = SigningRequest { account: authorization.from, purpose: Purpose::Voucher, content };
        let signature = self.wallet.sign_now(&request).unwrap();
        payload(accepted, &authorization, &signature.as_bytes())
    }

    /// A voucher of the payer's for a fresh quote.
    pub(crate) async fn paid(&self) -> PaymentPayload {
        let accepted = self.quote().await;
        self.voucher(self.people.payer, accepted)
    }

    pub(crate) async fn admit(&self, payload: &PaymentPayload) -> Result<Admission, TollRefusal> {
        self.admit_to(&asked(), payload).await
    }

    pub(crate) async fn admit_to(&self, asked: &Asked, payload: &PaymentPayload) -> Result<Admission, TollRefusal> {
        self.toll.admit(asked, Presented::Voucher(encode(payload))).await
    }

    /// A session of the payer's that is open on the chain.
    pub(crate) async fn opened(&self) -> (Account, Admission) {
        let payload = self.paid().await;
        let admission = self.admit(&payload).await.unwrap();
        self.until(admission.session, BillPhase::Streaming).await;
        (account(&payload), admission)
    }

    /// A generation that delivers a token a second, and goes on.
    pub(crate) async fn generates(&self, session: SessionId, number: u8, seconds: u64) -> GenerationId {
        let generation = GenerationId([number; 16]);
        self.toll.began(session, generation).unwrap();
        for _ in 0..seconds {
            self.pass(1).await;
            self.toll.progressed(generation).unwrap();
        }
        generation
    }

    /// A generation that streams from its beginning to its end.
    pub(crate) async fn streams(&self, account: Account, session: SessionId, seconds: u64) {
        let generation = self.generates(session, 0, 0).await;
        self.reaches(account, SessionPhase::Streaming).await;
        for _ in 0..seconds {
            self.pass(1).await;
            self.toll.progressed(generation).unwrap();
        }
        self.toll.ended(generation);
        self.reaches(account, SessionPhase::Paused).await;
    }

    /// The same, to its end. Where it is short, nothing may have streamed by then.
    pub(crate) async fn serves(&self, session: SessionId, number: u8, seconds: u64) {
        let generation = self.generates(session, number, seconds).await;
        self.toll.ended(generation);
    }

    /// The session that the ledger has for an account.
    pub(crate) async fn authorized(&self, account: Account) -> SessionId {
        match self.ledger_of(account).await.as_slice() {
            [Fact::Authorized(granted), ..] => granted.session,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn bill(&self, session: SessionId) -> Bill {
        self.toll.bill(session).unwrap()
    }

    /// Waits until a session is that far. Some seconds may pass.
    pub(crate) async fn until(&self, session: SessionId, phase: BillPhase) {
        let there = async || (self.bill(session).phase == phase).then_some(());
        self.in_time(&format!("{phase:?}"), there).await;
    }

    /// Goes on delivering until the generation has to be ended, and ends it; says why.
    pub(crate) async fn until_barred(&self, generation: GenerationId) -> Fault {
        let fault = self.in_time("a bar", async || self.toll.progressed(generation).err()).await;
        self.toll.ended(generation);
        fault
    }

    /// Lets time pass until a session is that far: slowly while it streams, so that the stream does not outlive its money, and
    /// not at all once its end is written down, so that payments do not forget it.
    pub(crate) async fn settles(&self, session: SessionId, phase: BillPhase) -> Bill {
        let account = self.bill(session).account;
        let mut glances = 0_u32;
        eventually(&format!("{phase:?}"), async || {
            let bill = self.bill(session);
            if bill.phase == phase {
                return Some(bill);
            }
            glances += 1;
            let streams = self.on_chain(account).await.is_some_and(|on| on.phase == SessionPhase::Streaming);
            let due = !streams || glances.is_multiple_of(GLANCES);
            if due && self.ledger_of(account).await.iter().all(|fact| !concludes(fact)) {
                self.pass(2).await;
            }
            None
        })
        .await
    }

    /// The payer has had enough.
    pub(crate) async fn closes(&self, admission: &Admission) -> Bill {
        self.toll.close(admission.token.as_ref().unwrap()).await.unwrap();
        self.settles(admission.session, BillPhase::Settled).await
    }

    /// A session as the chain has it, if it is there. While a block is being made, anvil's answers do not always fit together.
    pub(crate) async fn on_chain(&self, account: Account) -> Option<SessionOnChain> {
        eventually("an answer", async || self.witness.session(account).await.ok()).await.newest
    }

    /// Waits until the chain has a session in this phase. No time passes.
    pub(crate) async fn reaches(&self, account: Account, phase: SessionPhase) -> SessionOnChain {
        let there = async || self.on_chain(account).await.filter(|on| on.phase == phase);
        eventually(&format!("{account} {phase:?}"), there).await
    }

    /// Waits until a transaction of the meter's waits for a block.
    pub(crate) async fn until_waiting(&self) {
        let count = async |at: &str| -> U256 {
            self.rpc.request("eth_getTransactionCount", (self.people.meter, at.to_owned())).await.unwrap()
        };
        eventually("a transaction that waits", async || (count("pending").await > count("latest").await).then_some(()))
            .await;
    }

    /// What somebody has, in units of USDC.
    pub(crate) async fn usdc(&self, who: Account) -> U256 {
        let question = crate::contracts::Usdc::balanceOfCall { account: who.0 };
        self.ask(self.devnet.book.usdc, &question).await
    }
}

/// Whether nothing comes after it.
fn concludes(fact: &Fact) -> bool {
    matches!(fact, Fact::Settled(_) | Fact::Rejected { .. })
}

/// The payload with these parts.
pub(crate) fn payload(accepted: Requirements, says: &Authorization, signature: &[u8]) -> PaymentPayload {
    PaymentPayload {
        x402_version: VERSION,
        resource: None,
        accepted,
        payload: ExactPayload {
            signature: format!("0x{}", hex::encode(signature)),
            authorization: AuthorizationText {
                from: says.from.to_string(),
                to: says.to.to_string(),
                value: says.value.units.to_string(),
                valid_after: says.valid_after.to_string(),
                valid_before: says.valid_before.to_string(),
                nonce: format!("{:#x}", says.nonce),
            },
        },
        extensions: None,
    }
}

/// What a payment says in the contracts' words: the terms, and the voucher.
pub(crate) fn read(payload: &PaymentPayload) -> (SessionTerms, Voucher) {
    let amount = Amount::new(payload.accepted.amount.parse().unwrap(), Asset::Usdc);
    let terms = payload.accepted.extra.computepool.terms(amount).unwrap();
    (terms, voucher::read(&payload.payload).unwrap())
}
