//! A trial: a coalition of one, a session that is opened with a voucher, streams for a moment and is closed, and all sums.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{B256, U256};
use computepool_core::coalition::{CoalitionTerms, FoundedPlace};
use computepool_core::money::{Account, Amount, Asset};
use computepool_core::ports::{
    Authorization, Chain as _, CoalitionId, Delivery, Intent, Purpose, SessionOnChain, SessionPhase, SessionTerms,
    SigningContent, SigningRequest, StepId, Vault, Voucher,
};
use computepool_core::{Commitment, ContentHash, LayerRange};

use super::wrong;
use crate::coalitions::{Founding, Share, membership};
use crate::contracts::Usdc;
use crate::deployment::AddressBook;
use crate::sender::{self, Sender, Until};
use crate::sessions::{SessionReader, Sessions};
use crate::{ChainError, Network};

/// What the session is opened with: enough for the buffer on every network.
const PAID_IN: u64 = 250_000;
/// What it pays a second: a hundred-thousandth of a USDCx.
const RATE: u128 = 10_000_000_000_000;
/// How long it streams at least: blocks tell seconds apart, and nothing less.
const STREAMS: Duration = Duration::from_millis(2_200);
/// What was served of that, by the meter's word.
const SERVED_MS: u64 = 2_000;
/// How long the coalition and the quote last, in seconds.
const LASTS_S: u64 = 24 * 3_600;
/// How long a transaction may take to lie deep enough, in looks at the network's pace.
const LOOKS: u32 = 1_200;

/// With whom a trial is held: the sender pays and is the meter, and somebody else is the coalition's only operator, who needs
/// neither money nor gas.
#[derive(Clone)]
pub struct Trial {
    /// The operator.
    pub operator: Account,
    /// Signs for the operator, and vouchers for the sender.
    pub vault: Arc<dyn Vault>,
    /// Makes this trial unlike all others.
    pub salt: B256,
}

/// Where the money of a trial session went, in USDCx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaidTrial {
    /// The session's account.
    pub session: Account,
    /// What the voucher was made out for.
    pub paid_in: Amount,
    /// What the operator, and the protocol where it takes a fee, received from the pool.
    pub received: Amount,
    /// What came back.
    pub refund: Amount,
}

pub(super) async fn run(
    sender: &Sender,
    network: &Network,
    book: &AddressBook,
    trial: &Trial,
) -> Result<PaidTrial, ChainError> {
    let amount = Amount::usdc(PAID_IN);
    fund(sender, network, book, amount).await?;
    let founding = Founding::new(sender.clone(), book);
    let coalition = found(&founding, trial, Account(sender.account())).await?;
    let sessions = Sessions::new(network.clone(), book.clone(), sender.clone());
    let now_s = founding.now_s().await?;
    let terms = SessionTerms {
        coalition,
        amount,
        lifetime_s: 3_600,
        expires_s: now_s + LASTS_S,
        payer: Account(sender.account()),
        salt: trial.salt,
    };
    let session = sessions.session_account(&terms);
    let voucher = voucher(trial, book, &terms, session, now_s).await?;
    act(
        &sessions,
        trial,
        1,
        &format!("the opening of the trial session {session}"),
        Intent::Open { terms, voucher, start: true },
    )
    .await?;
    tokio::time::sleep(STREAMS).await;
    act(
        &sessions,
        trial,
        2,
        &format!("the pause of the trial session {session}"),
        Intent::Pause { session, served_ms: SERVED_MS },
    )
    .await?;
    act(
        &sessions,
        trial,
        3,
        &format!("the end of the trial session {session}"),
        Intent::Close { session, served_ms: SERVED_MS },
    )
    .await?;
    let end = closed(network, sender, session).await?;
    let shares = founding.coalitions().shares(coalition).await?;
    audit(session, &end, &shares)
}

/// The sums, which must be the same wherever they are read.
fn audit(session: Account, end: &SessionOnChain, shares: &[Share]) -> Result<PaidTrial, ChainError> {
    let unreadable = |error: computepool_core::MoneyError| ChainError::unreadable("the trial's sums", error);
    let sum = |amounts: &[Amount]| Amount::sum(Asset::Usdcx, amounts.iter().copied()).map_err(unreadable);
    let wei = |amount: Amount| amount.convert(Asset::Usdcx).map_err(unreadable);
    let received: Vec<Amount> = shares.iter().map(|share| share.received).collect();
    let received = sum(&received)?;
    let (paid_in, refund) = (wei(end.amount)?, sum(&[wei(end.refund)?, end.dust])?);
    let paid = sum(&[end.streamed, end.topped_up])?;
    let out = sum(&[paid, refund, end.lost])?;
    // A stranger's gift goes back as well.
    let came = sum(&[paid_in, end.found])?;
    if end.streamed.is_zero() {
        return Err(wrong("what the trial session streamed", "something", "nothing"));
    }
    if out != came {
        return Err(wrong(format!("what came out of the trial session {session}"), came, out));
    }
    if received != paid {
        return Err(wrong("what the trial's operators received", paid, received));
    }
    Ok(PaidTrial { session, paid_in, received, refund })
}

async fn fund(sender: &Sender, network: &Network, book: &AddressBook, amount: Amount) -> Result<(), ChainError> {
    let (usdc, me) = (book.usdc.0, sender.account());
    let balance = async || sender.rpc().call(usdc, &Usdc::balanceOfCall { account: me }).await;
    if balance().await? < amount.units && network.usdc == crate::Usdc::Own {
        let intent = sender::Intent::new("faucet", Purpose::Transfer, usdc);
        sender.send(intent.calling(&Usdc::faucetCall { to: me }), Until::Final).await?;
    }
    let has = balance().await?;
    if has < amount.units {
        let what = "a trial session, in units of USDC".to_owned();
        return Err(ChainError::Funds { account: me, has, needs: amount.units, what });
    }
    Ok(())
}

async fn found(founding: &Founding, trial: &Trial, meter: Account) -> Result<CoalitionId, ChainError> {
    let layers = LayerRange::new(0, 1).map_err(|fault| ChainError::unreadable("a layer", fault))?;
    let terms = CoalitionTerms {
        model: ContentHash([0; 32]),
        places: vec![FoundedPlace { layers, holder: trial.operator, bond: true }],
        unit_rate: Amount::usdcx(RATE / u128::from(computepool_core::coalition::UNITS_PER_LAYER)),
        fee_bps: founding.fee_bps().await?,
        royalty_bps: 0,
        owner: Account::ZERO,
        stake: Amount::usdc(1),
        arbiter: Account::ZERO,
        meter,
        exit_delay_s: 24 * 3_600,
        deadline_s: founding.now_s().await? + LASTS_S,
        salt: trial.salt,
    };
    let id = founding.propose(&terms).await?;
    let text = membership(founding.chain(), founding.contract(), id, 0, trial.operator);
    let signature = sign(trial, trial.operator, Purpose::Coalition, SigningContent::TypedData(text)).await?;
    founding.sign(id, 0, trial.operator, Commitment { signature, stake: None }).await?;
    founding.activate(id).await?;
    Ok(id)
}

async fn voucher(
    trial: &Trial,
    book: &AddressBook,
    terms: &SessionTerms,
    session: Account,
    now_s: u64,
) -> Result<Voucher, ChainError> {
    let authorization = Authorization {
        from: terms.payer,
        to: session,
        value: terms.amount,
        valid_after: now_s.saturating_sub(600),
        valid_before: now_s + 1_800,
        nonce: trial.salt,
    };
    let content = SigningContent::Authorization { token: book.token(), authorization };
    let signature = sign(trial, terms.payer, Purpose::Voucher, content).await?;
    Ok(Voucher { authorization, signature })
}

async fn sign(
    trial: &Trial,
    account: Account,
    purpose: Purpose,
    content: SigningContent,
) -> Result<alloy::primitives::Bytes, ChainError> {
    let signature = trial.vault.sign(&SigningRequest { account, purpose, content }).await;
    let signature = signature.map_err(|why| ChainError::NotSigned { account: account.0, why })?;
    Ok(signature.as_bytes().to_vec().into())
}

async fn act(sessions: &Sessions, trial: &Trial, number: u64, what: &str, intent: Intent) -> Result<(), ChainError> {
    let step = StepId(B256::from(U256::from_be_bytes(trial.salt.0).wrapping_add(U256::from(number))));
    match sessions.submit(step, intent).await {
        Delivery::Landed { .. } => Ok(()),
        Delivery::Refused(refused) => Err(ChainError::Reverted { what: what.to_owned(), reason: refused.why }),
        Delivery::NotSent(fault) | Delivery::Unknown { fault, .. } => Err(wrong(what, "in a block", fault.message)),
    }
}

/// The session, once it is closed at the depth that counts.
async fn closed(network: &Network, sender: &Sender, session: Account) -> Result<SessionOnChain, ChainError> {
    let reader = SessionReader::new(network, sender.rpc().clone());
    for _ in 0..LOOKS {
        if let Some(end) = reader.view(session).await?.settled
            && end.phase == SessionPhase::Closed
        {
            return Ok(end);
        }
        tokio::time::sleep(network.poll).await;
    }
    Err(wrong("the trial session", "closed", "open"))
}
