//! One generation on this node: what is expected next, what is under way, and what was done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use computepool_core::ports::EngineCommand;
use computepool_core::{Fault, FaultCode, GenerationId, Lane, Receipt};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::session::Session;
use crate::shared::lock;

/// Where a generation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The engine was asked, or is about to be.
    Opening,
    /// KV is reserved.
    Open,
    /// Ended, well or not; nothing is processed any more.
    Over,
}

/// What happens once an ended generation's KV is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// It stays until the orchestrator closes it.
    Await,
    /// It is forgotten: it was never admitted.
    Silent,
    /// It is accounted for.
    Report,
}

/// Room for prefill rows, held until they have left.
pub(crate) type Room = OwnedSemaphorePermit;

pub(crate) struct Generation {
    pub(crate) id: GenerationId,
    pub(crate) session: Arc<Session>,
    /// Positions that are fed before anything is sampled.
    pub(crate) prompt_len: u32,
    pub(crate) max_len: u32,
    /// Set with [`Phase::Over`].
    pub(crate) over: CancellationToken,
    /// Said by the orchestrator to the entry.
    pub(crate) begun: Notify,
    /// Where the dispatcher leaves the next token when this node is entry and exit at once.
    pub(crate) ring: Option<mpsc::Sender<RingToken>>,
    progress: Mutex<Progress>,
}

/// A token that goes from this node's exit to its own entry.
pub(crate) struct RingToken {
    pub(crate) position: u32,
    pub(crate) id: u32,
}

struct Progress {
    phase: Phase,
    farewell: Farewell,
    kv_free: bool,
    settled: bool,
    /// What opens it on the engine, until that is told.
    open: Option<EngineCommand>,
    opened: bool,
    /// Whether the entry was told to begin.
    begun: bool,
    /// Position of the next row to arrive.
    next: u32,
    /// Rows before this position have left this node, or are being written.
    departed: u32,
    /// Whether the exit sampled the last token.
    finished: bool,
    /// Room of the prefill rows that the engine works on.
    room: Option<Room>,
    work: Work,
}

#[derive(Default)]
struct Work {
    prefill_rows: u64,
    decode_rows: u64,
    steps: u64,
    compute_us: u64,
    hop: Duration,
    bytes_sent: u64,
}

impl Generation {
    pub(crate) fn new(
        session: Arc<Session>,
        open: EngineCommand,
        id: GenerationId,
        prompt_len: u32,
        max_len: u32,
        ring: Option<mpsc::Sender<RingToken>>,
    ) -> Self {
        Self {
            id,
            session,
            prompt_len,
            max_len,
            over: CancellationToken::new(),
            begun: Notify::new(),
            ring,
            progress: Mutex::new(Progress {
                phase: Phase::Opening,
                farewell: Farewell::Await,
                kv_free: false,
                settled: false,
                open: Some(open),
                opened: false,
                begun: false,
                next: 0,
                departed: 0,
                finished: false,
                room: None,
                work: Work::default(),
            }),
        }
    }

    /// With the rows before `first` in the engine already: the next one is the first to arrive.
    pub(crate) fn starting_at(mut self, first: u32) -> Self {
        let progress = self.progress.get_mut().unwrap_or_else(PoisonError::into_inner);
        (progress.next, progress.departed) = (first, first);
        self
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.progress).phase == Phase::Over
    }

    /// The command that opens it; given out once, and not after its end.
    pub(crate) fn take_open(&self) -> Option<EngineCommand> {
        let mut progress = lock(&self.progress);
        if progress.phase == Phase::Over {
            return None;
        }
        progress.opened = true;
        progress.open.take()
    }

    /// Whether the engine was told of it.
    pub(crate) fn was_opened(&self) -> bool {
        lock(&self.progress).opened
    }

    /// The engine admitted it; `false` when it was over already.
    pub(crate) fn admit(&self) -> bool {
        let mut progress = lock(&self.progress);
        let admitted = progress.phase == Phase::Opening;
        if admitted {
            progress.phase = Phase::Open;
        }
        admitted
    }

    /// Lets the entry begin, once. `Ok(false)`: it already did, or is over.
    pub(crate) fn begin(&self) -> Result<bool, Fault> {
        let mut progress = lock(&self.progress);
        match progress.phase {
            Phase::Opening => Err(Fault::new(
                FaultCode::ProtocolViolation,
                "the orchestrator began a generation that the engine has not admitted yet",
            )),
            Phase::Over => Ok(false),
            Phase::Open => Ok(!std::mem::replace(&mut progress.begun, true)),
        }
    }

    /// Ends it and gives the room of what is under way back. The phase it was in; `None` when it was over already.
    pub(crate) fn end(&self) -> Option<Phase> {
        let mut progress = lock(&self.progress);
        if progress.phase == Phase::Over {
            return None;
        }
        let was = std::mem::replace(&mut progress.phase, Phase::Over);
        if was == Phase::Opening {
            progress.farewell = Farewell::Silent;
        }
        progress.room = None;
        progress.open = None;
        drop(progress);
        self.over.cancel();
        Some(was)
    }

    /// Ends it if the engine has admitted it; its KV stays until the engine says that it is closed.
    pub(crate) fn hand_over(&self) -> bool {
        // What happens in between can only be its end.
        lock(&self.progress).phase == Phase::Open && self.end() == Some(Phase::Open)
    }

    /// The orchestrator, or the end of the session, asks for the account.
    pub(crate) fn report(&self) {
        lock(&self.progress).farewell = Farewell::Report;
    }

    pub(crate) fn kv_freed(&self) {
        lock(&self.progress).kv_free = true;
    }

    /// Whether it can leave the node, and how; says so once.
    pub(crate) fn settle(&self) -> Option<Farewell> {
        let mut progress = lock(&self.progress);
        let due = progress.phase == Phase::Over
            && progress.kv_free
            && progress.farewell != Farewell::Await
            && !std::mem::replace(&mut progress.settled, true);
        due.then_some(progress.farewell)
    }

    /// Checks what a neighbour sends against what must come next, and counts it as arrived. `Ok(false)`: the
    /// generation is over, the frame is merely late.
    pub(crate) fn arrive(&self, lane: Lane, position: u32, rows: u32, sample: bool) -> Result<bool, Fault> {
        let mut progress = lock(&self.progress);
        match progress.phase {
            Phase::Over => return Ok(false),
            Phase::Opening => {
                return Err(Fault::new(FaultCode::WrongSession, format!("generation {} is not open yet", self.id)));
            }
            Phase::Open => {}
        }
        let wrong = |what: String| Err(Fault::new(FaultCode::WrongShape, what));
        let (next, prompt_len, max_len) = (progress.next, self.prompt_len, self.max_len);
        if position < next {
            return Err(Fault::new(
                FaultCode::Replay,
                format!("position {position} was processed already, {next} comes next"),
            ));
        }
        if position > next {
            return wrong(format!("position {position} came where {next} comes next"));
        }
        let end = match position.checked_add(rows) {
            Some(end) if rows > 0 && end <= max_len => end,
            _ => return wrong(format!("{rows} rows from {position} do not fit {max_len} positions")),
        };
        if lane == Lane::Prefill {
            if end > prompt_len {
                return wrong(format!("rows {position}..{end} pass the end of the prompt at {prompt_len}"));
            }
            if sample != (end == prompt_len) {
                return wrong(format!(
                    "rows {position}..{end} of a prompt of {prompt_len} came with sample = {sample}"
                ));
            }
        } else {
            if position < prompt_len {
                return wrong(format!("position {position} belongs to the prompt of {prompt_len}"));
            }
            if rows != 1 || !sample {
                return wrong(format!("{rows} rows with sample = {sample} where a single position is sampled"));
            }
            if progress.departed != next {
                return wrong(format!("position {position} came before {} had left", next - 1));
            }
            if progress.finished {
                return wrong(format!("position {position} came after the last token"));
            }
        }
        progress.next = end;
        Ok(true)
    }

    /// Counts rows that start here as arrived.
    pub(crate) fn originate(&self, end: u32) {
        lock(&self.progress).next = end;
    }

    /// Keeps the room of rows that go to the engine; `false` when the generation is over, and the room is free again.
    pub(crate) fn keep(&self, room: Room) -> bool {
        let mut progress = lock(&self.progress);
        if progress.phase == Phase::Over {
            return false;
        }
        match &mut progress.room {
            Some(kept) => kept.merge(room),
            none => *none = Some(room),
        }
        true
    }

    /// Accounts for a step of `rows` rows from `start`, and hands out the room of those rows. `None`: it is over.
    pub(crate) fn answered(&self, start: u32, rows: u32, compute_us: u64) -> Option<Option<Room>> {
        let mut progress = lock(&self.progress);
        let prefill = start < self.prompt_len;
        let work = &mut progress.work;
        work.steps += 1;
        work.compute_us += compute_us;
        if prefill {
            work.prefill_rows += u64::from(rows);
        } else {
            work.decode_rows += u64::from(rows);
        }
        if progress.phase == Phase::Over {
            return None;
        }
        Some(if prefill { progress.room.as_mut().and_then(|kept| kept.split(self.session.places(rows))) } else { None })
    }

    /// Rows before `end` are leaving.
    pub(crate) fn depart(&self, end: u32) {
        let mut progress = lock(&self.progress);
        progress.departed = progress.departed.max(end);
    }

    /// The exit sampled the last token.
    pub(crate) fn finish(&self) {
        lock(&self.progress).finished = true;
    }

    /// Counts bytes handed to a link.
    pub(crate) fn sending(&self, bytes: u64) {
        lock(&self.progress).work.bytes_sent += bytes;
    }

    /// Counts the time a link took for them.
    pub(crate) fn sent(&self, hop: Duration) {
        lock(&self.progress).work.hop += hop;
    }

    /// The account of what was done; `None` when that is nothing.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        let progress = lock(&self.progress);
        let work = &progress.work;
        let hop = self.session.hop();
        (work.steps > 0).then(|| Receipt {
            generation: self.id,
            session: self.session.id,
            node: hop.node.clone(),
            model: self.session.ticket.model,
            layers: hop.layers,
            prefill_rows: work.prefill_rows,
            decode_rows: work.decode_rows,
            steps: work.steps,
            compute_us: work.compute_us,
            hop_us: work.hop.as_micros() as u64,
            bytes_sent: work.bytes_sent,
        })
    }
}
