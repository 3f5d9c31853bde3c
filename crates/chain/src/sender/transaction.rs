//! An intent, as a signed transaction.

use std::sync::Arc;

use alloy::consensus::{SignableTransaction, TxEip1559, TxLegacy, TypedTransaction};
use alloy::eips::eip2718::Encodable2718;
use alloy::primitives::{Address, TxKind, keccak256};
use computepool_core::money::Account;
use computepool_core::ports::{SigningContent, SigningRequest, Vault};
use computepool_core::{Fault, FaultCode};

use super::{Form, Intent};
use crate::ChainError;
use crate::gas::Fees;

/// Whoever signs, for one account on one chain.
pub(super) struct Hand {
    pub(super) vault: Arc<dyn Vault>,
    pub(super) account: Address,
    pub(super) chain_id: u64,
}

impl Hand {
    /// Signs `intent` under `nonce`, with `gas` units of gas at these fees.
    pub(super) async fn signed(&self, intent: &Intent, nonce: u64, gas: u64, fees: Fees) -> Result<Form, ChainError> {
        let transaction = self.unsigned(intent, nonce, gas, fees);
        let encoded = transaction.encoded_for_signing();
        let digest = keccak256(&encoded);
        let request = SigningRequest {
            account: Account(self.account),
            purpose: intent.purpose,
            content: SigningContent::Transaction(encoded.into()),
        };
        let not_signed = |why| ChainError::NotSigned { account: self.account, why };
        let signature = self.vault.sign(&request).await.map_err(not_signed)?;
        if signature.recover_address_from_prehash(&digest).ok() != Some(self.account) {
            let why = Fault::new(FaultCode::BadSignature, "the signature that came back is not this account's");
            return Err(not_signed(why));
        }
        let envelope = transaction.into_envelope(signature);
        Ok(Form { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into(), fees })
    }

    fn unsigned(&self, intent: &Intent, nonce: u64, gas: u64, fees: Fees) -> TypedTransaction {
        let to = TxKind::Call(intent.to);
        let (value, input) = (intent.value, intent.input.clone());
        match fees {
            Fees::Dynamic { max, tip } => TypedTransaction::Eip1559(TxEip1559 {
                chain_id: self.chain_id,
                nonce,
                gas_limit: gas,
                max_fee_per_gas: max,
                max_priority_fee_per_gas: tip,
                to,
                value,
                input,
                ..TxEip1559::default()
            }),
            Fees::Legacy { price } => TypedTransaction::Legacy(TxLegacy {
                chain_id: Some(self.chain_id),
                nonce,
                gas_limit: gas,
                gas_price: price,
                to,
                value,
                input,
            }),
        }
    }
}
