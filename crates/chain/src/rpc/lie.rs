//! What an endpoint says is held against the question, and against what it said before.
//!
//! An endpoint may be broken, behind, or hostile. One answer alone proves nothing, but much of what it could say
//! contradicts itself: a receipt for another transaction, a block with another number, a chain that is not ours. Such
//! an answer is taken for no answer, and another endpoint is asked.

use alloy::primitives::{B256, keccak256};
use serde_json::Value;

/// How many blocks an endpoint's newest block may fall back: reorganisations are shorter, and a pool of machines
/// behind one address is seldom further apart.
const SLACK: u64 = 64;

/// How an answer gave itself away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lie {
    /// Another chain.
    #[error("it serves chain {got} and not {expected}")]
    Chain {
        /// Ours.
        expected: u64,
        /// Its.
        got: String,
    },
    /// About another transaction, block or contract than was asked for.
    #[error("asked about {asked}, it speaks of {got}")]
    Other {
        /// What the question was about.
        asked: String,
        /// What the answer is about.
        got: String,
    },
    /// Its newest block is far older than one that it showed before.
    #[error("it was at block {was} and is at block {now}")]
    WentBack {
        /// The newest block it showed.
        was: u64,
        /// What it shows now.
        now: u64,
    },
}

/// Compares an answer with its question. `highest` is the newest block that the endpoint has shown, and is kept.
pub(super) fn examine(
    chain_id: u64,
    highest: &mut u64,
    method: &str,
    params: &Value,
    result: &Value,
) -> Result<(), Lie> {
    match method {
        "eth_chainId" => match number(result) {
            Some(got) if got == chain_id => Ok(()),
            _ => Err(Lie::Chain { expected: chain_id, got: text(result) }),
        },
        "eth_blockNumber" => {
            let now = number(result).unwrap_or(0);
            if now + SLACK < *highest {
                return Err(Lie::WentBack { was: *highest, now });
            }
            *highest = now.max(*highest);
            Ok(())
        }
        "eth_getTransactionReceipt" if !result.is_null() => {
            same(&params[0], &result["transactionHash"])?;
            for log in result["logs"].as_array().into_iter().flatten() {
                same(&params[0], &log["transactionHash"])?;
                same(&result["blockHash"], &log["blockHash"])?;
            }
            Ok(())
        }
        "eth_getTransactionByHash" if !result.is_null() => same(&params[0], &result["hash"]),
        "eth_getBlockByHash" if !result.is_null() => same(&params[0], &result["hash"]),
        "eth_getBlockByNumber" if !result.is_null() && number(&params[0]).is_some() => {
            same(&params[0], &result["number"])
        }
        "eth_sendRawTransaction" => match hash_of(&params[0]) {
            Some(hash) => same(&Value::String(hash.to_string()), result),
            None => Ok(()),
        },
        "eth_getLogs" => logs(&params[0], result),
        _ => Ok(()),
    }
}

/// Every log must come from a contract that was asked for.
fn logs(filter: &Value, result: &Value) -> Result<(), Lie> {
    let wanted = match &filter["address"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let found = result.as_array().into_iter().flatten().filter_map(|log| log["address"].as_str());
    for address in found {
        if !wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(address)) {
            return Err(Lie::Other { asked: wanted.join(", "), got: address.to_owned() });
        }
    }
    Ok(())
}

fn same(asked: &Value, got: &Value) -> Result<(), Lie> {
    match (asked.as_str(), got.as_str()) {
        (Some(left), Some(right)) if left.eq_ignore_ascii_case(right) => Ok(()),
        _ if number(asked).is_some() && number(asked) == number(got) => Ok(()),
        _ => Err(Lie::Other { asked: text(asked), got: text(got) }),
    }
}

fn hash_of(raw: &Value) -> Option<B256> {
    let bytes = alloy::hex::decode(raw.as_str()?).ok()?;
    Some(keccak256(bytes))
}

/// A quantity that fits 64 bits; hashes do not.
fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// The value for a message, cut to a bearable length: it may be anything.
fn text(value: &Value) -> String {
    let mut text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some((cut, _)) = text.char_indices().nth(80) {
        text.truncate(cut);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(method: &str, params: Value, result: Value) -> Result<(), Lie> {
        examine(1, &mut 1_000, method, &params, &result)
    }

    #[test]
    fn lying_about_the_chain() {
        assert_eq!(judge("eth_chainId", json!([]), json!("0x1")), Ok(()));
        assert!(matches!(judge("eth_chainId", json!([]), json!("0x2")), Err(Lie::Chain { .. })));
        assert!(matches!(judge("eth_chainId", json!([]), json!(1)), Err(Lie::Chain { .. })));
    }

    #[test]
    fn lying_about_receipts() {
        let hash = B256::repeat_byte(1).to_string();
        let other = B256::repeat_byte(2).to_string();
        let asked = json!([hash]);
        let ask = |result| judge("eth_getTransactionReceipt", asked.clone(), result);
        assert_eq!(ask(Value::Null), Ok(()), "not landed yet is no lie");
        assert_eq!(ask(json!({ "transactionHash": hash.to_uppercase().replace("0X", "0x") })), Ok(()));
        assert!(ask(json!({ "transactionHash": other })).is_err());
        assert!(ask(json!({})).is_err());
        let foreign = json!({ "transactionHash": hash, "blockHash": hash,
            "logs": [{ "transactionHash": other, "blockHash": hash }] });
        assert!(ask(foreign).is_err(), "a log of another transaction");
    }

    #[test]
    fn lying_about_blocks() {
        let ask = |asked: &str, number: &str| {
            judge("eth_getBlockByNumber", json!([asked, false]), json!({ "number": number }))
        };
        assert_eq!(ask("0x10", "0x10"), Ok(()));
        assert!(ask("0x10", "0x11").is_err());
        assert_eq!(ask("latest", "0x11"), Ok(()));
    }

    #[test]
    fn lying_about_what_was_sent() {
        let raw = "0x01";
        let hash = keccak256([1]).to_string();
        assert_eq!(judge("eth_sendRawTransaction", json!([raw]), json!(hash)), Ok(()));
        let other = B256::repeat_byte(9).to_string();
        assert!(judge("eth_sendRawTransaction", json!([raw]), json!(other)).is_err());
    }

    #[test]
    fn lying_about_where_logs_come_from() {
        let filter = json!([{ "address": "0xAA" }]);
        assert_eq!(judge("eth_getLogs", filter.clone(), json!([{ "address": "0xaa" }])), Ok(()));
        assert!(judge("eth_getLogs", filter, json!([{ "address": "0xbb" }])).is_err());
    }

    #[test]
    fn going_back_a_little_is_a_reorganisation_and_far_is_a_lie() {
        let mut highest = 0;
        let mut at = |number: &str| examine(1, &mut highest, "eth_blockNumber", &json!([]), &json!(number));
        assert_eq!(at("0x100"), Ok(()));
        assert_eq!(at("0xf0"), Ok(()));
        assert_eq!(at("0x1"), Err(Lie::WentBack { was: 0x100, now: 1 }));
    }
}
