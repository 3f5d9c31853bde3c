//! Addresses: where to listen, and where a peer can be dialled.

use computepool_core::{Fault, FaultCode};
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Swarm};

use super::behaviour::Behaviour;
use super::paths::{ip_of, is_circuit};
use super::peers::{Transport, Way};

/// No more addresses of one peer are tried than this.
pub(super) const MAX_ADDRESSES: usize = 16;

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

/// Whether these are addresses of this machine to itself alone.
pub(super) fn loopback_only(texts: &[String]) -> bool {
    let mut ips = texts.iter().filter_map(|text| ip_of(&text.parse().ok()?));
    ips.all(|ip| ip.is_loopback())
}

/// The addresses at which the owner says that this node can be reached, without its own peer id.
pub(super) fn external(me: &PeerId, texts: &[String]) -> Result<Vec<Multiaddr>, Fault> {
    let parse = |text: &String| {
        let parsed = text.parse().ok().and_then(|address| without_peer(address, me));
        parsed.filter(|address| Transport::of(address).is_some()).ok_or_else(|| {
            Fault::new(FaultCode::InvalidRequest, format!("`{text}` is not an address of this node"))
                .hint("for example /ip4/203.0.113.7/tcp/4001 or /dns4/node.example.org/udp/4001/quic-v1")
        })
    };
    texts.iter().map(parse).collect()
}

/// A relay's peer id and its address without it, from a multiaddress that ends in `/p2p/ID`.
pub(super) fn relay(text: &str) -> Result<(PeerId, Multiaddr), Fault> {
    let parsed = text.parse::<Multiaddr>().ok().filter(|address| !is_circuit(address)).and_then(|mut address| {
        let Some(Protocol::P2p(peer)) = address.pop() else { return None };
        Transport::of(&address).map(|_| (peer, address))
    });
    parsed.ok_or_else(|| {
        Fault::new(FaultCode::InvalidRequest, format!("`{text}` is not the address of a relay"))
            .hint("for example /ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…, as `computepool relay` prints it")
    })
}

/// Which of the texts are addresses of `peer` that can be dialled; circuits come last.
pub(super) fn dialable(peer: &PeerId, texts: &[String]) -> Result<Vec<Multiaddr>, Fault> {
    let parsed = texts.iter().take(MAX_ADDRESSES).filter_map(|text| text.parse().ok());
    let ours = parsed.filter_map(|address| without_peer(address, peer));
    let mut reached: Vec<_> = ours.filter(|address| Transport::of(address).is_some()).collect();
    reached.sort_by_key(is_circuit);
    if reached.is_empty() {
        return Err(if texts.is_empty() {
            Fault::new(FaultCode::LinkLost, format!("no address of {peer} is known"))
        } else {
            Fault::new(FaultCode::InvalidRequest, format!("none of {peer}'s addresses can be dialled: {texts:?}"))
                .hint("an address looks like /ip4/203.0.113.7/tcp/4001 or /ip4/203.0.113.7/udp/4001/quic-v1")
        });
    }
    Ok(reached)
}

/// Those of `addresses` that lead to a connection that does for `way`.
pub(super) fn leading(addresses: &[Multiaddr], way: Way) -> Vec<Multiaddr> {
    let fits = |address: &&Multiaddr| match way {
        Way::Any => true,
        Way::Direct => !is_circuit(address),
        Way::Over(transport) => !is_circuit(address) && Transport::of(address) == Some(transport),
    };
    addresses.iter().filter(fits).cloned().collect()
}

/// Takes a final `/p2p/…` off; `None` when it names somebody else.
pub(super) fn without_peer(mut address: Multiaddr, peer: &PeerId) -> Option<Multiaddr> {
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
    fn only_addresses_of_this_peer_are_dialled_and_circuits_come_last() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let texts = [
            format!("/ip4/127.0.0.1/tcp/5/p2p/{other}/p2p-circuit"),
            "/ip4/127.0.0.1/tcp/1".to_owned(),
            format!("/ip4/127.0.0.1/udp/2/quic-v1/p2p/{peer}"),
            format!("/ip4/127.0.0.1/tcp/3/p2p/{other}"),
            "/ip4/127.0.0.1/udp/4".to_owned(),
            "nonsense".to_owned(),
        ];
        let all = dialable(&peer, &texts).unwrap();
        let circuit = format!("/ip4/127.0.0.1/tcp/5/p2p/{other}/p2p-circuit");
        assert_eq!(
            all.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/2/quic-v1", &circuit]
        );
        assert_eq!(leading(&all, Way::Any), all);
        assert_eq!(leading(&all, Way::Direct), all[..2]);
        assert_eq!(leading(&all, Way::Over(Transport::Quic)), all[1..2]);
        assert_eq!(leading(&all, Way::Over(Transport::Tcp)), all[..1], "a circuit over TCP is no TCP to the peer");
        assert_eq!(dialable(&peer, &texts[5..]).unwrap_err().code, FaultCode::InvalidRequest);
        assert_eq!(dialable(&peer, &[]).unwrap_err().code, FaultCode::LinkLost);
        let many = vec!["/ip4/127.0.0.1/tcp/1".to_owned(); 1_000];
        assert_eq!(dialable(&peer, &many).unwrap().len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_demo_listens_to_its_own_machine_alone() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(loopback_only(&texts(&["/ip4/127.0.0.1/tcp/0", "/ip6/::1/udp/0/quic-v1"])));
        assert!(!loopback_only(&texts(&["/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"])));
    }

    #[test]
    fn a_relay_is_named_by_its_peer_id_and_an_external_address_may_not_name_another() {
        let (me, other) = (PeerId::random(), PeerId::random());
        let (peer, address) = relay(&format!("/dns4/relay.example.org/tcp/4001/p2p/{other}")).unwrap();
        assert_eq!((peer, address.to_string().as_str()), (other, "/dns4/relay.example.org/tcp/4001"));
        for wrong in ["/ip4/1.2.3.4/tcp/1".to_owned(), format!("/ip4/1.2.3.4/p2p/{other}"), "relay".to_owned()] {
            assert_eq!(relay(&wrong).unwrap_err().code, FaultCode::InvalidRequest, "{wrong}");
        }
        let (mine, theirs) = (format!("/ip4/1.2.3.4/tcp/1/p2p/{me}"), format!("/ip4/1.2.3.4/tcp/1/p2p/{other}"));
        assert_eq!(external(&me, &[mine]).unwrap(), ["/ip4/1.2.3.4/tcp/1".parse::<Multiaddr>().unwrap()]);
        assert_eq!(external(&me, &[theirs]).unwrap_err().code, FaultCode::InvalidRequest);
    }
}
