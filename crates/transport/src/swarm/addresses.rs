//! Addresses: where to listen, and where a peer can be dialled.

use computepool_core::{Fault, FaultCode};
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Swarm};

use super::behaviour::Behaviour;
use super::peers::Transport;

/// No more addresses of one peer are tried than this.
const MAX_ADDRESSES: usize = 16;

/// Starts the listeners. QUIC may fail, for UDP is often closed; anything else may not.
pub(super) fn listen(swarm: &mut Swarm<Behaviour>, addresses: &[String]) -> Result<Vec<ListenerId>, Fault> {
    let mut listeners = Vec::new();
    for text in addresses {
        let address: Multiaddr = text.parse().map_err(|error| {
            Fault::new(FaultCode::InvalidRequest, format!("`{text}` is not an address to listen on: {error}"))
                .hint("for example /ip4/0.0.0.0/tcp/0 or /ip4/0.0.0.0/udp/0/quic-v1")
        })?;
        let quic = Transport::of(&address) == Some(Transport::Quic);
        match swarm.listen_on(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) if quic => {
                tracing::warn!(address = text, error = %error, "QUIC cannot listen here; going on over TCP");
            }
            Err(error) => {
                return Err(Fault::new(FaultCode::Io, format!("cannot listen on {text}: {error}"))
                    .hint("another program may hold the port; port 0 picks a free one"));
            }
        }
    }
    Ok(listeners)
}

/// Which of the texts are addresses of `peer` that can be dialled (over `over`, where that is said).
pub(super) fn dialable(peer: &PeerId, texts: &[String], over: Option<Transport>) -> Result<Vec<Multiaddr>, Fault> {
    let parsed = texts.iter().take(MAX_ADDRESSES).filter_map(|text| text.parse().ok());
    let ours = parsed.filter_map(|address| without_peer(address, peer));
    let reached: Vec<_> = ours
        .filter(|address| {
            let transport = Transport::of(address);
            transport.is_some() && over.is_none_or(|over| transport == Some(over))
        })
        .collect();
    if reached.is_empty() {
        return Err(match over {
            Some(transport) => Fault::new(FaultCode::LinkLost, format!("{peer} has no {transport} address")),
            None if texts.is_empty() => Fault::new(FaultCode::LinkLost, format!("no address of {peer} is known")),
            None => {
                Fault::new(FaultCode::InvalidRequest, format!("none of {peer}'s addresses can be dialled: {texts:?}"))
                    .hint("an address looks like /ip4/203.0.113.7/tcp/4001 or /ip4/203.0.113.7/udp/4001/quic-v1")
            }
        });
    }
    Ok(reached)
}

/// Takes a final `/p2p/…` off; `None` when it names somebody else.
fn without_peer(mut address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
    if let Some(Protocol::P2p(named)) = address.iter().last() {
        if named != *peer {
            return None;
        }
        address.pop();
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_peer_and_this_transport_are_dialled() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let texts = [
            "/ip4/127.0.0.1/tcp/1".to_owned(),
            format!("/ip4/127.0.0.1/udp/2/quic-v1/p2p/{peer}"),
            format!("/ip4/127.0.0.1/tcp/3/p2p/{other}"),
            "/ip4/127.0.0.1/udp/4".to_owned(),
            "nonsense".to_owned(),
        ];
        let all = dialable(&peer, &texts, None).unwrap();
        assert_eq!(
            all.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/2/quic-v1"]
        );
        assert_eq!(dialable(&peer, &texts, Some(Transport::Quic)).unwrap(), all[1..]);
        assert_eq!(dialable(&peer, &texts[4..], None).unwrap_err().code, FaultCode::InvalidRequest);
        assert_eq!(dialable(&peer, &texts[1..2], Some(Transport::Tcp)).unwrap_err().code, FaultCode::LinkLost);
        assert_eq!(dialable(&peer, &[], None).unwrap_err().code, FaultCode::LinkLost);
        let many = vec!["/ip4/127.0.0.1/tcp/1".to_owned(); 1_000];
        assert_eq!(dialable(&peer, &many, None).unwrap().len(), MAX_ADDRESSES);
    }
}
