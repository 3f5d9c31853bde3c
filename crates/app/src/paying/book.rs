//! What was paid, written down before it leaves: with it a payer gets back what is not used when the server is gone for
//! ever.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use computepool_core::ports::{SessionTerms, Voucher};
use computepool_core::{Account, Amount, ChainId, Fault, FaultCode};
use computepool_payments::client::Payment;
use serde::{Deserialize, Serialize};

use crate::paths;

/// A payment that has left the house.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptPayment {
    /// When, in Unix seconds.
    pub at_s: u64,
    /// What was paid for: the address that was asked.
    pub resource: String,
    /// On which chain.
    pub chain: ChainId,
    /// By whom.
    pub from: Account,
    /// Where the money goes. At an endpoint of ours that is the session's account.
    pub to: Account,
    /// How much, in USDC.
    pub amount: Amount,
    /// The terms of the session that it opens: with them, its account is found again.
    pub terms: SessionTerms,
    /// What was signed.
    pub voucher: Voucher,
}

/// A file with a line for each payment. Several processes may write it.
#[derive(Clone, Debug)]
pub struct PaymentBook {
    path: PathBuf,
}

impl KeptPayment {
    /// A payment that leaves at `at_s`, for what is at the address `resource`. `None` where it opens no session of ours.
    pub fn new(at_s: u64, resource: &str, payment: &Payment) -> Option<Self> {
        let authorization = payment.authorization;
        Some(Self {
            at_s,
            resource: resource.to_owned(),
            chain: payment.token.chain,
            from: authorization.from,
            to: authorization.to,
            amount: authorization.value,
            terms: payment.session?,
            voucher: Voucher { authorization, signature: payment.signature.clone() },
        })
    }
}

impl PaymentBook {
    /// The book in this file, which need not be there.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The user's own: beside `wallets` where these are not in the usual place.
    pub fn usual(wallets: Option<&Path>) -> Result<Self, Fault> {
        let folder = match wallets {
            Some(folder) => folder.to_owned(),
            None => paths::data_folder()?,
        };
        Ok(Self::at(folder.join("payments.jsonl")))
    }

    /// Writes a payment down; when this returns, it is on the disk.
    pub fn add(&self, payment: &KeptPayment) -> Result<(), Fault> {
        let failed = |error: std::io::Error| {
            Fault::new(FaultCode::Io, format!("nothing is paid, as it cannot be written to {}: {error}", self.name()))
        };
        if let Some(folder) = self.path.parent() {
            paths::make_folder(folder)?;
        }
        // A line that a crash has cut short stays alone.
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, payment).map_err(|error| failed(error.into()))?;
        line.push(b'\n');
        let mut file = File::options().create(true).append(true).open(&self.path).map_err(failed)?;
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(failed)
    }

    /// Everything that was paid, in order.
    pub fn read(&self) -> Result<Vec<KeptPayment>, Fault> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Fault::new(FaultCode::Io, format!("{} cannot be read: {error}", self.name()))),
        };
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let read = |line: &[u8]| {
            serde_json::from_slice::<KeptPayment>(line)
                .inspect_err(|error| tracing::warn!(%error, book = %self.name(), "a line of the payments is damaged"))
                .ok()
        };
        Ok(lines.filter_map(read).collect())
    }

    fn name(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

#[cfg(test)]
mod tests {
    use computepool_core::money::B256;
    use computepool_core::ports::{Authorization, CoalitionId};

    use super::*;

    fn payment(number: u8) -> KeptPayment {
        let (from, to) = (Account::new([1; 20]), Account::new([number; 20]));
        let (amount, salt) = (Amount::usdc(5), B256::repeat_byte(number));
        let coalition = CoalitionId(B256::repeat_byte(8));
        KeptPayment {
            at_s: number.into(),
            resource: "https://pool.example/v1/chat/completions".to_owned(),
            chain: ChainId::DEVNET,
            from,
            to,
            amount,
            terms: SessionTerms { coalition, amount, lifetime_s: 1, expires_s: 2, payer: from, salt },
            voucher: Voucher {
                authorization: Authorization { from, to, value: amount, valid_after: 0, valid_before: 9, nonce: salt },
                signature: vec![7; 65].into(),
            },
        }
    }

    #[test]
    fn a_book_survives_a_line_that_broke_off() {
        let folder = tempfile::tempdir().unwrap();
        let book = PaymentBook::at(folder.path().join("new").join("payments.jsonl"));
        assert_eq!(book.read().unwrap(), []);
        book.add(&payment(2)).unwrap();
        let mut file = File::options().append(true).open(&book.path).unwrap();
        file.write_all(b"\n{\"at_s\":3,\"res\xff").unwrap();
        book.add(&payment(4)).unwrap();
        assert_eq!(book.read().unwrap(), [payment(2), payment(4)]);
    }
}
