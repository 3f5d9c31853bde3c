//! The reading end of the pipe.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use crate::pipe::{HostMessage, PipeError, read_blocking};

/// Messages that wait here; further ones wait in the pipe, and then in the host.
pub(super) const QUEUE: usize = 64;

/// A process whose host is gone ends at the latest after this.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Status of a process that had to leave in the middle of a step.
const LEFT_MID_STEP: i32 = 75;

/// Messages as a thread reads them.
pub(super) struct Inbox {
    messages: Receiver<Result<HostMessage, PipeError>>,
    /// Dropped with the inbox: tells the thread that nobody has to be stopped any more.
    _serving: SyncSender<()>,
}

/// What is there without waiting.
pub(super) enum Poll {
    /// A message.
    Message(HostMessage),
    /// Nothing yet.
    Empty,
    /// The host is gone.
    Closed,
}

impl Inbox {
    pub(super) fn start(mut input: impl Read + Send + 'static) -> std::io::Result<Self> {
        let (sender, messages) = sync_channel(QUEUE);
        let (serving, served) = sync_channel::<()>(0);
        std::thread::Builder::new().name("pipe".to_owned()).spawn(move || {
            let mut buffer = Vec::new();
            let closed = loop {
                match read_blocking(&mut input, &mut buffer) {
                    Ok(message) => {
                        if sender.send(Ok(message)).is_err() {
                            break true;
                        }
                    }
                    Err(PipeError::Closed | PipeError::Truncated) => break true,
                    Err(error) => {
                        // The queue may be full: the main thread then finds this once it has emptied it.
                        let _ = sender.send(Err(error));
                        break false;
                    }
                }
            };
            drop(sender);
            if closed && served.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout) {
                // The host is gone and a step does not end: nobody is left to wait for it.
                std::process::exit(LEFT_MID_STEP);
            }
        })?;
        Ok(Self { messages, _serving: serving })
    }

    /// The next message; `None` once the host is gone.
    pub(super) fn wait(&mut self) -> Result<Option<HostMessage>, PipeError> {
        self.messages.recv().ok().transpose()
    }

    /// The next message if there is one.
    pub(super) fn poll(&mut self) -> Result<Poll, PipeError> {
        match self.messages.try_recv() {
            Ok(message) => message.map(Poll::Message),
            Err(TryRecvError::Empty) => Ok(Poll::Empty),
            Err(TryRecvError::Disconnected) => Ok(Poll::Closed),
        }
    }
}
