//! Route tickets: the orchestrator's signed word on who may send what to whom in a session.

use serde::{Deserialize, Serialize};

use crate::ports::Verifier;
use crate::{ActivationType, ContentHash, Fault, FaultCode, Lane, LayerRange, NodeId, SessionId};

/// One place in a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteHop {
    /// Who serves it.
    pub node: NodeId,
    /// Which blocks it serves.
    pub layers: LayerRange,
    /// Where it can be dialled (multiaddresses as text); may be empty when already connected.
    pub addresses: Vec<String>,
}

/// What a session may use on each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// Generations open at once.
    pub max_generations: u32,
    /// Rows in one activation frame.
    pub max_rows: u32,
    /// Tokens in one sequence.
    pub max_context: u32,
}

/// The ordered shards of one session, the limits it runs under, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTicket {
    /// Whose ticket this is.
    pub session: SessionId,
    /// Which weights every node must serve.
    pub model: ContentHash,
    /// Entry first, exit last.
    pub hops: Vec<RouteHop>,
    /// Width of a hidden state.
    pub hidden: u32,
    /// How hidden states are stored on this route.
    pub activation: ActivationType,
    /// What the session may use.
    pub limits: SessionLimits,
    /// Unix milliseconds before which the ticket is not valid.
    pub not_before_ms: u64,
    /// Unix milliseconds after which nothing is accepted under it.
    pub expires_ms: u64,
}

/// A ticket as it travels: the exact bytes that were signed, who signed them, and the signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTicket {
    /// The ticket, encoded by the signer.
    pub body: Vec<u8>,
    /// The orchestrator.
    pub issuer: NodeId,
    /// Over [`SIGNING_DOMAIN`] followed by `body`.
    pub signature: Vec<u8>,
}

/// What is signed starts with these bytes, so that a ticket's signature is good for nothing else.
pub const SIGNING_DOMAIN: &[u8] = b"computepool/route-ticket/1\n";

/// No ticket is longer than this; a longer one is refused unread.
pub const MAX_TICKET_BYTES: usize = 64 * 1024;

/// Nodes' clocks may differ by this much before a ticket counts as not yet valid.
pub const CLOCK_SKEW_MS: u64 = 30_000;

/// Why a ticket, or a peer presenting one, was turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// The bytes are not a ticket.
    #[error("the route ticket cannot be read: {0}")]
    Malformed(String),
    /// Signed by somebody else.
    #[error("the route ticket was issued by {got}, this node trusts {trusted}")]
    Issuer {
        /// Who signed.
        got: NodeId,
        /// Whom this node registered with.
        trusted: NodeId,
    },
    /// The signature does not fit the bytes.
    #[error("the route ticket's signature is not valid")]
    Signature,
    /// Too early or too late.
    #[error("the route ticket is valid from {not_before_ms} to {expires_ms}, now is {now_ms}")]
    Time {
        /// Start of validity.
        not_before_ms: u64,
        /// End of validity.
        expires_ms: u64,
        /// This node's clock.
        now_ms: u64,
    },
    /// The peer does not hold the place it claims.
    #[error("{peer} may not open the {lane:?} lane to {me} in this session")]
    NotInRoute {
        /// Who asked.
        peer: NodeId,
        /// This node.
        me: NodeId,
        /// For what.
        lane: Lane,
    },
}

impl From<TicketError> for Fault {
    fn from(error: TicketError) -> Self {
        let code = match &error {
            TicketError::Malformed(_) | TicketError::Issuer { .. } | TicketError::Signature => FaultCode::BadTicket,
            TicketError::Time { .. } => FaultCode::TicketExpired,
            TicketError::NotInRoute { .. } => FaultCode::NotInTicket,
        };
        Fault::new(code, error.to_string())
    }
}

impl RouteTicket {
    /// Where `node` stands in the route. A node may stand in it once.
    pub fn place_of(&self, node: &NodeId) -> Option<usize> {
        self.hops.iter().position(|hop| &hop.node == node)
    }

    /// The hop after `place`, towards the exit.
    pub fn next(&self, place: usize) -> Option<&RouteHop> {
        self.hops.get(place + 1)
    }

    /// Whether the route is contiguous, starts at layer 0, and names nobody twice.
    pub fn check_shape(&self) -> Result<(), TicketError> {
        let malformed = |what: &str| Err(TicketError::Malformed(what.to_owned()));
        let Some(first) = self.hops.first() else { return malformed("it names no node") };
        if !first.layers.is_entry() {
            return malformed("its first shard does not start at layer 0");
        }
        if self.hops.windows(2).any(|pair| pair[0].layers.end() != pair[1].layers.start()) {
            return malformed("its layer ranges do not join up");
        }
        if self.hops.iter().enumerate().any(|(i, hop)| self.place_of(&hop.node) != Some(i)) {
            return malformed("it names a node twice");
        }
        let limits = self.limits;
        if self.hidden == 0 || limits.max_rows == 0 || limits.max_generations == 0 || limits.max_context == 0 {
            return malformed("a limit is zero");
        }
        Ok(())
    }

    /// Whether the ticket holds at `now_ms`.
    pub fn check_time(&self, now_ms: u64) -> Result<(), TicketError> {
        if now_ms + CLOCK_SKEW_MS < self.not_before_ms || now_ms > self.expires_ms {
            return Err(TicketError::Time { not_before_ms: self.not_before_ms, expires_ms: self.expires_ms, now_ms });
        }
        Ok(())
    }

    /// Whether `peer` may open `lane` to `me`: the predecessor on the forward lanes, the exit to the entry on the way back.
    pub fn check_lane(&self, me: &NodeId, peer: &NodeId, lane: Lane) -> Result<(), TicketError> {
        let allowed = match (self.place_of(me), self.place_of(peer), lane) {
            (Some(me), Some(peer), Lane::Prefill | Lane::Decode) => peer + 1 == me,
            (Some(me), Some(peer), Lane::Return) => me == 0 && peer + 1 == self.hops.len() && peer != 0,
            _ => false,
        };
        if allowed { Ok(()) } else { Err(TicketError::NotInRoute { peer: peer.clone(), me: me.clone(), lane }) }
    }

    /// The most bytes that an activation's numbers may take in one frame of this session.
    pub fn max_activation_bytes(&self) -> u64 {
        u64::from(self.limits.max_rows) * u64::from(self.hidden) * self.activation.width() as u64
    }
}

impl SignedTicket {
    /// The bytes a signature is over.
    pub fn signed_bytes(body: &[u8]) -> Vec<u8> {
        [SIGNING_DOMAIN, body].concat()
    }

    /// Opens the ticket: checks issuer, signature, shape and time, in that order.
    pub fn open(&self, trusted: &NodeId, verifier: &dyn Verifier, now_ms: u64) -> Result<RouteTicket, TicketError> {
        if &self.issuer != trusted {
            return Err(TicketError::Issuer { got: self.issuer.clone(), trusted: trusted.clone() });
        }
        if self.body.len() > MAX_TICKET_BYTES {
            return Err(TicketError::Malformed(format!("it has {} bytes", self.body.len())));
        }
        if !verifier.verify(&self.issuer, &Self::signed_bytes(&self.body), &self.signature) {
            return Err(TicketError::Signature);
        }
        let ticket: RouteTicket =
            postcard::from_bytes(&self.body).map_err(|error| TicketError::Malformed(error.to_string()))?;
        ticket.check_shape()?;
        ticket.check_time(now_ms)?;
        Ok(ticket)
    }

    /// The session that the ticket names, unverified: good for answering about it, and for nothing else.
    pub fn claimed_session(&self) -> Option<SessionId> {
        // The first field of the body.
        postcard::take_from_bytes(&self.body).ok().map(|(session, _)| session)
    }

    /// Encodes and signs `ticket`.
    pub fn seal(ticket: &RouteTicket, signer: &dyn crate::ports::Signer) -> Result<Self, TicketError> {
        ticket.check_shape()?;
        let body = postcard::to_allocvec(ticket).map_err(|error| TicketError::Malformed(error.to_string()))?;
        let signature = signer.sign(&Self::signed_bytes(&body));
        Ok(Self { body, issuer: signer.node(), signature })
    }
}
