//! What went over the network, both ways, for owners who have a cap on that.

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::metrics::BandwidthTransport;
use libp2p::{PeerId, Transport as _};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

/// Bytes since the network was started: what streams carried, of all protocols and to all peers, without what IP, UDP and
/// TCP add to it (some percent).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes to others.
    pub sent: u64,
    /// Bytes from others.
    pub received: u64,
}

/// Where it is counted.
#[derive(Debug, Default)]
pub(super) struct Scales(Registry);

impl Scales {
    /// Counts what goes over a transport.
    pub(super) fn weigh(&mut self, transport: Boxed<(PeerId, StreamMuxerBox)>) -> Boxed<(PeerId, StreamMuxerBox)> {
        let weighed = BandwidthTransport::new(transport, &mut self.0);
        weighed.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed()
    }

    /// What was counted so far. The counters can only be read as text.
    pub(super) fn read(&self) -> Carried {
        let mut text = String::new();
        let mut carried = Carried::default();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.0);
        for line in text.lines().filter(|line| line.starts_with("libp2p_bandwidth_bytes_total{")) {
            let bytes = line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
            match line.contains("direction=\"Outbound\"") {
                true => carried.sent += bytes,
                false => carried.received += bytes,
            }
        }
        carried
    }
}
