//! The way to one process: frames that wait to be written, bounded in number and in bytes.

use std::sync::Arc;

use computepool_core::ports::EngineCommand;
use computepool_core::{Fault, FaultCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::pipe::{HostMessage, MAX_FRAME_BYTES, encode};

/// Frames that wait for the process; further ones make their senders wait.
const FRAMES: usize = 64;

/// Kilobytes that wait for the process: two of the largest frames.
const KILOBYTES: usize = 2 * MAX_FRAME_BYTES / 1024;

/// A frame on its way, and the room it takes until it is written.
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

/// Puts frames on their way to one process.
#[derive(Clone)]
pub(super) struct Lane {
    frames: mpsc::Sender<Frame>,
    room: Arc<Semaphore>,
}

impl Lane {
    /// A lane, and its far end.
    pub(super) fn open() -> (Self, mpsc::Receiver<Frame>) {
        let (frames, incoming) = mpsc::channel(FRAMES);
        (Self { frames, room: Arc::new(Semaphore::new(KILOBYTES)) }, incoming)
    }

    /// Turns away everybody who waits or comes later: the process is gone.
    pub(super) fn close(&self) {
        self.room.close();
    }

    /// Sends a command; waits while too much is on its way already.
    pub(super) async fn command(&self, command: EngineCommand) -> Result<(), Fault> {
        let bytes = frame(&HostMessage::Command(command))?;
        let kilobytes = (bytes.len() / 1024 + 1) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(kilobytes).await.map_err(|_| down())?;
        self.frames.send(Frame { bytes, _room: Some(room) }).await.map_err(|_| down())
    }

    /// Sends what the process is started for: the first frame, for which there is always room.
    pub(super) fn begin(&self, message: &HostMessage) -> Result<(), Fault> {
        let bytes = frame(message)?;
        self.frames.try_send(Frame { bytes, _room: None }).map_err(|_| down())
    }

    /// Sends a ping, unless there is no room.
    pub(super) fn ping(&self, number: u64) -> bool {
        let frame = frame(&HostMessage::Ping(number));
        frame.is_ok_and(|bytes| self.frames.try_send(Frame { bytes, _room: None }).is_ok())
    }
}

/// What is said where no process serves.
pub(super) fn down() -> Fault {
    Fault::new(FaultCode::EngineLost, "no engine is serving at the moment").retry_after_ms(1_000)
}

fn frame(message: &HostMessage) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).map_err(|error| Fault::new(FaultCode::InvalidRequest, error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use computepool_core::ports::StepInput;
    use computepool_core::{Activation, ActivationType, GenerationId};

    use super::*;

    fn step(bytes: u32) -> EngineCommand {
        let data = Bytes::from(vec![0; bytes as usize]);
        let hidden = Activation::new(1, bytes / 4, ActivationType::F32, data).unwrap();
        EngineCommand::Step {
            generation: GenerationId([0; 16]),
            position: 0,
            sample: false,
            input: StepInput::Hidden(hidden),
        }
    }

    #[tokio::test]
    async fn large_frames_wait_for_room_and_are_let_go_when_the_process_is() {
        let (lane, mut incoming) = Lane::open();
        let large = MAX_FRAME_BYTES as u32 / 2;
        for _ in 0..3 {
            lane.command(step(large)).await.unwrap();
        }
        let waiting = tokio::spawn({
            let lane = lane.clone();
            async move {
                let first = lane.command(step(large)).await;
                (first, lane.command(step(large)).await)
            }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "four halves do not fit beside their headers");
        drop(incoming.recv().await.unwrap());
        tokio::task::yield_now().await;
        lane.close();
        let (first, second) = waiting.await.unwrap();
        assert_eq!(first, Ok(()));
        assert_eq!(second, Err(down()));
    }

    #[tokio::test]
    async fn what_no_frame_can_hold_is_refused() {
        let (lane, _incoming) = Lane::open();
        let fault = lane.command(step(MAX_FRAME_BYTES as u32)).await.unwrap_err();
        assert_eq!(fault.code, FaultCode::InvalidRequest);
    }
}
