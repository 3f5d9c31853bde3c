//! One operator machine: joins an engine, lanes to neighbours and a control link for the generations it serves.
//!
//! A [`Node`] knows only the ports of `computepool-core`. It is the data plane: activations pass through it from a lane
//! to the engine and from the engine to the next lane, tokens go from the exit back to the entry, and the orchestrator
//! hears what happened but never sees an activation.
//!
//! # Tasks
//!
//! | task | how many | waits for |
//! |---|---|---|
//! | conductor | 1 | control messages, the sweep tick; handles each without waiting |
//! | dispatcher | 1 | engine events; handles each without waiting |
//! | errands | 1 | the engine's queue, to open and close generations in the order they were asked for |
//! | outbox | 1 | the control link |
//! | loader | 1 | the weights of an assigned shard, unless a later assignment comes; then the engine's load |
//! | lane reader | per incoming lane | frames; room for prefill rows; the engine's queue |
//! | lane writer | per outgoing lane | its queue; the neighbour |
//! | prompt feeder | per generation, entry only | room for prefill rows; the engine's queue |
//!
//! # Back-pressure
//!
//! A session owns a fixed number of prefill rows that may be in flight on this node. A reader or feeder takes room for a
//! chunk before it hands it to the engine; the room is given back when the resulting chunk has been written to the next
//! lane (or the exit took it). So a slow neighbour ends up slowing whoever sends prompts into its own session, and
//! nobody else. Single positions take no room: a generation has at most one of them between arrival and departure,
//! which the node checks rather than trusts, so the decode and return queues need as many places as the session has
//! generations.
//!
//! # Going on
//!
//! A generation may have been begun elsewhere: the tokens that were produced of its answer are fed behind the prompt, and
//! sampling starts after them. It may also take over the KV of another generation of its session, which every node of
//! the route holds up to the same position; then rows go round from there. The order to open the new one ends the old
//! one on this node: what comes late for it is dropped, its room is given back, and its account follows unasked. The
//! engine closes the old one with the command that opens the new one, so that no other can reserve the KV in between.
//!
//! # Why it cannot lock up
//!
//! *The dispatcher never waits*: every queue it writes to is sized so that an honest route cannot fill it, and a full
//! one fails the generation instead. Hence the engine can always hand out events, hence it always comes back to its
//! command queue, hence whoever waits for that queue goes on. What remains is waiting for room, which is given back by
//! a writer; a writer waits only for its own neighbour; and neighbours wait for each other only in route order,
//! towards the exit, which takes everything without writing anything that needs room. Two routes that cross the same
//! machines in opposite directions share no room, no queue and no task but the dispatcher, the conductor and the outbox,
//! none of which waits for a neighbour. A neighbour that stops reading altogether is ended by its link (`stalled`),
//! which fails its session.

mod admission;
mod conductor;
mod dispatcher;
mod errands;
mod generation;
mod lane_in;
mod lane_out;
mod lobby;
mod node;
mod opening;
mod options;
mod outbox;
mod plane;
mod prompt;
mod recent;
mod session;
mod shard;
mod shared;
mod snapshot;
mod step;

pub use node::{ExitReason, Node, NodeHandle, NodeParts};
pub use options::NodeOptions;
pub use shared::{Feed, SharedEngine};
pub use snapshot::NodeSnapshot;
