//! Invite links: all that a stranger's machine needs to find an orchestrator.

use std::fmt;
use std::str::FromStr;

use crate::{Fault, FaultCode, NodeId};

/// Where an orchestrator is, as a link: `computepool://join/ID?at=MULTIADDRESS&at=…&relay=MULTIADDRESS`.
///
/// Multiaddresses are percent-encoded where a query needs it. A relay's address ends in `/p2p/ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// The orchestrator.
    pub orchestrator: NodeId,
    /// Where it can be dialled, without its id; at least one.
    pub addresses: Vec<String>,
    /// Relays to be reached through, each with its id at the end.
    pub relays: Vec<String>,
}

/// What every invite link starts with.
pub const INVITE_PREFIX: &str = "computepool://join/";
/// The longest link read, in bytes.
const MAX_LENGTH: usize = 4096;
/// The most addresses of each kind.
const MAX_ADDRESSES: usize = 16;

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{INVITE_PREFIX}{}", self.orchestrator)?;
        let addresses = self.addresses.iter().map(|address| ("at", address));
        for (index, (key, value)) in addresses.chain(self.relays.iter().map(|relay| ("relay", relay))).enumerate() {
            write!(f, "{}{key}=", if index == 0 { '?' } else { '&' })?;
            for byte in value.bytes() {
                match byte {
                    b'/' | b':' | b'.' | b'-' | b'_' | b'~' => write!(f, "{}", byte as char)?,
                    byte if byte.is_ascii_alphanumeric() => write!(f, "{}", byte as char)?,
                    byte => write!(f, "%{byte:02X}")?,
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Invite {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let bad = |what: &str| {
            Fault::new(FaultCode::InvalidRequest, format!("this is not an invite link: {what}"))
                .hint(format!("an invite looks like {INVITE_PREFIX}12D3Koo…?at=/ip4/203.0.113.7/tcp/8643"))
        };
        if text.len() > MAX_LENGTH {
            return Err(bad("it is too long"));
        }
        let rest = text.strip_prefix(INVITE_PREFIX).ok_or_else(|| bad("it starts differently"))?;
        let (id, query) = rest.split_once('?').ok_or_else(|| bad("it names no address"))?;
        let orchestrator = NodeId::new(id.trim_end_matches('/')).map_err(|_| bad("it names no peer id"))?;
        let mut invite = Self { orchestrator, addresses: Vec::new(), relays: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| bad("a part of it has no value"))?;
            let value = decode(value).ok_or_else(|| bad("a part of it is not well encoded"))?;
            let list = match key {
                "at" => &mut invite.addresses,
                "relay" => &mut invite.relays,
                // Of a later version.
                _ => continue,
            };
            if list.len() < MAX_ADDRESSES && !value.is_empty() {
                list.push(value);
            }
        }
        if invite.addresses.is_empty() {
            return Err(bad("it names no address"));
        }
        Ok(invite)
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reads_back_as_it_was_written() {
        let invite = Invite {
            orchestrator: NodeId::new("12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN").unwrap(),
            addresses: vec!["/ip4/203.0.113.7/tcp/8643".into(), "/ip6/2001:db8::1/udp/8643/quic-v1".into()],
            relays: vec!["/dns4/a&b=c/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN".into()],
        };
        assert_eq!(invite.to_string().parse::<Invite>().unwrap(), invite);
    }

    #[test]
    fn what_is_no_link_is_refused_with_a_hint() {
        let long = format!("{INVITE_PREFIX}id?at={}", "x".repeat(5000));
        for bad in ["", "http://x", INVITE_PREFIX, "computepool://join/id", "computepool://join/id?at=%zz", &long] {
            let fault = bad.parse::<Invite>().unwrap_err();
            assert!(fault.hint.is_some(), "{bad}");
        }
    }
}
