//! What lies between two peers, as far as addresses tell.

use std::net::IpAddr;

use computepool_core::PathKind;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// The kind of a path that ends at `address`: the remote end of a connection, or what is dialled for one.
pub(super) fn kind_of(address: &Multiaddr) -> PathKind {
    if is_circuit(address) {
        return PathKind::Relayed;
    }
    match ip_of(address) {
        Some(ip) if is_local(ip) => PathKind::Lan,
        _ => PathKind::Direct,
    }
}

/// Whether an address leads through a relay.
pub(super) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

/// The first IP address in a multiaddress.
pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    })
}

/// The first TCP or UDP port in a multiaddress.
pub(super) fn port_of(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

/// Whether an IP address means something on this machine or its local network only: loopback, private (RFC 1918,
/// RFC 4193), link-local.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether peers anywhere could dial an IP address, as far as its looks tell: not local, not unspecified, not multicast,
/// not the space that carriers share among their customers (RFC 6598).
pub(super) fn is_global(ip: IpAddr) -> bool {
    let shared = matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64);
    !(is_local(ip) || ip.is_unspecified() || ip.is_multicast() || shared)
}

/// Whether two addresses are likely to be on one local network: the same IPv4 /24 or IPv6 /64.
pub(super) fn same_network(one: &Multiaddr, other: &Multiaddr) -> bool {
    match (ip_of(one), ip_of(other)) {
        (Some(IpAddr::V4(one)), Some(IpAddr::V4(other))) => one.octets()[..3] == other.octets()[..3],
        (Some(IpAddr::V6(one)), Some(IpAddr::V6(other))) => one.octets()[..8] == other.octets()[..8],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_tell_what_lies_between() {
        let relay = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for (text, kind) in [
            ("/ip4/127.0.0.1/tcp/1", PathKind::Lan),
            ("/ip4/192.168.7.9/udp/1/quic-v1", PathKind::Lan),
            ("/ip6/fe80::1/tcp/1", PathKind::Lan),
            ("/ip6/fd00::1/tcp/1", PathKind::Lan),
            ("/ip6/::ffff:10.1.2.3/tcp/1", PathKind::Lan),
            ("/ip4/203.0.113.7/tcp/1", PathKind::Direct),
            ("/ip4/100.64.0.1/tcp/1", PathKind::Direct),
            ("/ip6/2001:db8::1/udp/1/quic-v1", PathKind::Direct),
            ("/dns4/relay.example.org/tcp/1", PathKind::Direct),
        ] {
            assert_eq!(kind_of(&address(text)), kind, "{text}");
            let through = address(&format!("{text}/p2p/{relay}/p2p-circuit"));
            assert_eq!(kind_of(&through), PathKind::Relayed, "through {text}");
        }
    }

    #[test]
    fn neighbours_share_a_network() {
        let near = |one: &str, other: &str| same_network(&address(one), &address(other));
        assert!(near("/ip4/192.168.7.1/tcp/1", "/ip4/192.168.7.9/udp/1/quic-v1"));
        assert!(near("/ip6/fd00::1/tcp/1", "/ip6/fd00::2:1/tcp/1"));
        assert!(!near("/ip4/192.168.7.1/tcp/1", "/ip4/192.168.8.1/tcp/1"));
        assert!(!near("/ip4/192.168.7.1/tcp/1", "/ip6/fd00::1/tcp/1"));
        assert!(!near("/dns4/a.example/tcp/1", "/dns4/a.example/tcp/1"));
    }

    #[test]
    fn only_addresses_that_mean_the_same_everywhere_are_global() {
        for (ip, global) in [
            ("203.0.113.7", true),
            ("2001:db8::1", true),
            ("100.63.255.255", true),
            ("100.64.0.1", false),
            ("100.127.255.255", false),
            ("100.128.0.1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("224.0.0.251", false),
            ("169.254.1.1", false),
            ("172.16.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(is_global(ip.parse().unwrap()), global, "{ip}");
        }
    }
}
