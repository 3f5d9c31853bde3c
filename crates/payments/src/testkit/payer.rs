//! Somebody who pays, and what there is to be paid.

use alloy_primitives::{B256, Bytes, U256};
use computepool_core::money::Signature;
use computepool_core::ports::{
    Authorization, CoalitionId, CoalitionOffer, PaidPlace, SessionTerms, SigningContent, SigningRequest, TokenDomain,
    Vault, VaultAccount, Voucher,
};
use computepool_core::{
    Account, Amount, Asset, ChainId, ContentHash, Fault, FaultCode, LayerRange, ModelId, SessionId,
};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use k256::ecdsa::SigningKey;

use super::World;
use crate::ledger::Granted;
use crate::quote::Tariff;
use crate::voucher::signing_hash;
use crate::x402::{AuthorizationText, ExactPayload, PaymentPayload, PaymentRequired, VERSION, encode};

/// The token that vouchers are made out in.
pub fn token_domain() -> TokenDomain {
    TokenDomain {
        asset: Asset::Usdc,
        name: "USD Coin".into(),
        version: "2".into(),
        chain: ChainId::DEVNET,
        contract: Account::new([0xcc; 20]),
    }
}

/// A coalition of two, at 0.01 USDCx a second.
pub fn offer() -> CoalitionOffer {
    let places = [(0, 15, 1), (15, 30, 2)].into_iter().filter_map(|(start, end, who)| {
        Some(PaidPlace { layers: LayerRange::new(start, end).ok()?, operator: Some(Account::new([who; 20])) })
    });
    CoalitionOffer {
        open: true,
        rate: Amount::usdcx(10_000_000_000_000_000),
        reserve: Amount::usdcx(900_000_000_000_000_000),
        fee_bps: 100,
        royalty_bps: 250,
        places: places.collect(),
        deadline_s: u64::from(u32::MAX),
        meter: Account::new([0xee; 20]),
    }
}

/// Two dollars for a session of at most an hour.
pub fn tariff(model: &ModelId) -> Tariff {
    let coalition = CoalitionId(B256::repeat_byte(0xc0));
    Tariff { model: model.clone(), coalition, amount: Amount::usdc(2_000_000), lifetime_s: 3_600 }
}

/// A granted session for tests of settling: voucher `number` of payer `payer`, good from now on for five minutes.
pub fn granted(model: ModelId, number: u8, payer: u8, at_ms: u64) -> Granted {
    let Tariff { coalition, amount, lifetime_s, .. } = tariff(&model);
    let now_s = at_ms / 1000;
    let salt = B256::repeat_byte(number);
    let terms = SessionTerms { coalition, amount, lifetime_s, expires_s: now_s + 420, payer: Account::ZERO, salt };
    let account = World::account_of(&terms);
    let authorization = Authorization {
        from: Account::new([payer; 20]),
        to: account,
        value: amount,
        valid_after: 0,
        valid_before: now_s + 300,
        nonce: B256::repeat_byte(number),
    };
    Granted {
        session: SessionId([number; 16]),
        account,
        terms,
        voucher: Voucher { authorization, signature: Bytes::from_static(&[27; 65]) },
        model,
        offer: offer(),
        token: ContentHash([number; 32]),
        at_ms,
    }
}

/// Somebody with a key.
pub struct Payer {
    key: SigningKey,
    vouchers: u8,
}

impl Payer {
    /// The payer with this key; anything but zero will do.
    pub fn new(seed: u8) -> Option<Self> {
        Some(Self { key: SigningKey::from_slice(&[seed; 32]).ok()?, vouchers: 0 })
    }

    /// Its address.
    pub fn account(&self) -> Account {
        let point = self.key.verifying_key().to_sec1_point(false);
        Account(alloy_primitives::Address::from_raw_public_key(&point.as_bytes()[1..]))
    }

    /// Signs what a server asks for, as x402's clients do: the header `PAYMENT-SIGNATURE`.
    pub fn pay(&mut self, required: &PaymentRequired, now_s: u64) -> Option<PaymentPayload> {
        self.vouchers += 1;
        let accepted = required.accepts.first()?.clone();
        let authorization = Authorization {
            from: self.account(),
            to: accepted.pay_to.parse().ok()?,
            value: Amount::new(accepted.amount.parse::<U256>().ok()?, Asset::Usdc),
            valid_after: 0,
            valid_before: now_s + accepted.max_timeout_seconds,
            nonce: B256::repeat_byte(self.vouchers),
        };
        Some(self.sign(accepted, &authorization))
    }

    /// Signs an authorization, whatever it says.
    pub fn sign(&self, accepted: crate::x402::Requirements, authorization: &Authorization) -> PaymentPayload {
        let hash = signing_hash(&token_domain(), authorization);
        let mut bytes = [0; 65];
        let (signature, recovery) = self.key.sign_prehash_recoverable(hash.as_slice());
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        PaymentPayload {
            x402_version: VERSION,
            resource: None,
            accepted,
            payload: ExactPayload {
                signature: format!("0x{}", hex::encode(bytes)),
                authorization: AuthorizationText {
                    from: authorization.from.to_string(),
                    to: authorization.to.to_string(),
                    value: authorization.value.units.to_string(),
                    valid_after: authorization.valid_after.to_string(),
                    valid_before: authorization.valid_before.to_string(),
                    nonce: format!("0x{}", hex::encode(authorization.nonce)),
                },
            },
            extensions: None,
        }
    }

    /// The header for a payload.
    pub fn header(payload: &PaymentPayload) -> String {
        encode(payload)
    }
}

/// Signs every authorization of its own account, and nothing else.
impl Vault for Payer {
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<VaultAccount>, Fault>> {
        let account = VaultAccount { account: self.account(), name: "payer".to_owned(), unlocked: true };
        ready(Ok(vec![account])).boxed()
    }

    fn sign<'a>(&'a self, request: &'a SigningRequest) -> BoxFuture<'a, Result<Signature, Fault>> {
        let signed = match &request.content {
            SigningContent::Authorization { token, authorization } if authorization.from == self.account() => {
                let hash = signing_hash(token, authorization);
                let (signature, recovery) = self.key.sign_prehash_recoverable(hash.as_slice());
                Ok(Signature::from_bytes_and_parity(&signature.to_bytes(), recovery.is_y_odd()))
            }
            _ => Err(Fault::new(FaultCode::Unauthorized, "only authorizations of its own account")),
        };
        ready(signed).boxed()
    }
}
