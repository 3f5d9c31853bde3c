//! A vault with the keys of anvil's own accounts: anvil signs what it is shown.

use alloy::primitives::{B256, Bytes, Signature};
use computepool_chain::deployment::Trial;
use computepool_chain::rpc::Rpc;
use computepool_core::money::Account;
use computepool_core::ports::{Authorization, SigningContent, SigningRequest, TokenDomain, Vault, VaultAccount};
use computepool_core::{Fault, FaultCode};
use futures::future::BoxFuture;
use serde_json::{Value, json};

pub(crate) struct Anvils(Rpc);

/// A trial whose operator is anvil's second account.
pub(crate) async fn trial(rpc: &Rpc, number: u8) -> Trial {
    let accounts: Vec<Account> = rpc.request("eth_accounts", ()).await.unwrap();
    let vault = std::sync::Arc::new(Anvils(rpc.clone()));
    Trial { operator: accounts[1], vault, salt: B256::repeat_byte(number) }
}

impl Anvils {
    async fn typed_data(&self, who: Account, data: Value) -> Result<Signature, Fault> {
        let bytes: Bytes = self.0.request("eth_signTypedData_v4", (who, data)).await?;
        Signature::from_raw(&bytes).map_err(|error| Fault::new(FaultCode::Internal, error.to_string()))
    }
}

fn transfer(token: &TokenDomain, says: &Authorization) -> Value {
    let field = |(name, kind): (&str, &str)| json!({ "name": name, "type": kind });
    let domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
        .map(field);
    let fields = [
        ("from", "address"),
        ("to", "address"),
        ("value", "uint256"),
        ("validAfter", "uint256"),
        ("validBefore", "uint256"),
        ("nonce", "bytes32"),
    ];
    json!({
        "types": { "EIP712Domain": domain, "TransferWithAuthorization": fields.map(field) },
        "primaryType": "TransferWithAuthorization",
        "domain": {
            "name": token.name, "version": token.version, "chainId": token.chain.0, "verifyingContract": token.contract,
        },
        "message": {
            "from": says.from, "to": says.to, "value": says.value.units.to_string(), "nonce": says.nonce,
            "validAfter": says.valid_after.to_string(), "validBefore": says.valid_before.to_string(),
        },
    })
}

impl Vault for Anvils {
    fn accounts(&self) -> BoxFuture<'_, Result<Vec<VaultAccount>, Fault>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn sign<'a>(&'a self, request: &'a SigningRequest) -> BoxFuture<'a, Result<Signature, Fault>> {
        Box::pin(async move {
            let data = match &request.content {
                SigningContent::Authorization { token, authorization } => transfer(token, authorization),
                SigningContent::TypedData(text) => serde_json::from_str(text).unwrap(),
                _ => return Err(Fault::new(FaultCode::Unauthorized, "only typed data")),
            };
            self.typed_data(request.account, data).await
        })
    }
}
