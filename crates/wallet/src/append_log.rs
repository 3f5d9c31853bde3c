//! A file of JSON lines that only ever grows, shared by several processes, and read again after a crash.
//!
//! Who writes holds a lock on a file beside it, first reads what others have added, adds lines, and has them on the disk
//! before the lock goes. A line without an end is what a crash left of a write that nobody was told of: it is cut off.
//! Anything else that does not read as it should refuses the whole file: who forgets half of what was spent spends it
//! twice.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::private_file::{self, FileError, at};

/// The layout of the lines.
const LAYOUT: u32 = 1;
/// The longest line.
const MAX_LINE: usize = 4 * 1024;
/// The longest file that is read.
const MAX_FILE: u64 = 64 << 20;
/// How often another process's lock is waited for, and how long each time.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a log cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The system does not let us.
    #[error(transparent)]
    File(#[from] FileError),
    /// It was there, and is not any more.
    #[error("{0} is gone")]
    Gone(PathBuf),
    /// A line is not what this program writes.
    #[error("{path} is damaged at line {line}: {why}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// It has grown beyond all use.
    #[error("{path} has {bytes} bytes, and at most {MAX_FILE} are read")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// How many.
        bytes: u64,
    },
    /// Another process holds the lock and does not let go.
    #[error("{0} is in use by another process")]
    Busy(PathBuf),
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    layout: u32,
    /// The number of the first entry: it grows when old ones are put aside.
    first: u64,
}

/// Every other line.
#[derive(Serialize, Deserialize)]
struct Numbered<T> {
    n: u64,
    #[serde(flatten)]
    entry: T,
}

/// How far this process has read.
#[derive(Default)]
struct Place {
    first: u64,
    next: u64,
    offset: u64,
}

/// A log of `T`.
pub(crate) struct AppendLog<T> {
    path: PathBuf,
    place: Mutex<Place>,
    entries: PhantomData<fn(T) -> T>,
}

/// The log while nobody else may write it.
pub(crate) struct Held<'a, T> {
    log: &'a AppendLog<T>,
    place: MutexGuard<'a, Place>,
    file: File,
    /// Letting go of the file lets go of the lock.
    _lock: File,
}

/// What has been added since this process last looked.
pub(crate) struct Fresh<T> {
    /// Old entries were put aside meanwhile: `entries` are all that count now.
    pub(crate) restarted: bool,
    pub(crate) entries: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> AppendLog<T> {
    /// A new log; `AlreadyExists` where there is one.
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        private_file::create(path, &head(0))?;
        Ok(Self::at(path))
    }

    /// A log that should be there. It is looked at when it is held.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), place: Mutex::default(), entries: PhantomData }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps other threads and processes out, for as long as the answer lives. Waits a few seconds for them at most.
    pub(crate) fn hold(&self) -> Result<Held<'_, T>, LogError> {
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = self.lock()?;
        let file = File::options().read(true).append(true).open(&self.path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => LogError::Gone(self.path.clone()),
            _ => at(&self.path)(error).into(),
        })?;
        Ok(Held { log: self, place, file, _lock: lock })
    }

    fn lock(&self) -> Result<File, LogError> {
        let path = self.path.with_extension("lock");
        let lock = private_file::private().create(true).truncate(false).write(true).open(&path).map_err(at(&path))?;
        for _ in 0..LOCK_TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(at(&path)(error).into()),
            }
        }
        Err(LogError::Busy(self.path.clone()))
    }
}

fn head(first: u64) -> Vec<u8> {
    format!("{{\"layout\":{LAYOUT},\"first\":{first}}}\n").into_bytes()
}

impl<T: Serialize + DeserializeOwned> Held<'_, T> {
    /// Reads on from where this process stopped.
    pub(crate) fn fresh(&mut self) -> Result<Fresh<T>, LogError> {
        let length = self.file.metadata().map_err(at(&self.log.path))?.len();
        if length > MAX_FILE {
            return Err(LogError::TooLong { path: self.log.path.clone(), bytes: length });
        }
        let (head, head_length) = self.head()?;
        let restarted = self.place.offset == 0 || head.first != self.place.first;
        if restarted {
            *self.place = Place { first: head.first, next: head.first, offset: head_length };
        }
        if length < self.place.offset {
            return Err(self.damaged("lines that were there are gone"));
        }
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.place.offset)).map_err(at(&self.log.path))?;
        (&self.file).take(length - self.place.offset).read_to_end(&mut bytes).map_err(at(&self.log.path))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole < bytes.len() {
            tracing::warn!(path = %self.log.path.display(), "cut off a line that a crash left unfinished");
            self.cut(self.place.offset + whole as u64)?;
        }
        let mut entries = Vec::new();
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            let numbered: Numbered<T> = match line.len() <= MAX_LINE {
                true => serde_json::from_slice(line).map_err(|error| self.damaged(&error.to_string()))?,
                false => return Err(self.damaged("it is too long")),
            };
            if numbered.n != self.place.next {
                return Err(self.damaged(&format!("number {} was to come, and {} did", self.place.next, numbered.n)));
            }
            self.place.next += 1;
            self.place.offset += line.len() as u64;
            entries.push(numbered.entry);
        }
        Ok(Fresh { restarted, entries })
    }

    /// Adds one entry, and returns when it is on the disk. Only after [`Held::fresh`].
    pub(crate) fn append(&mut self, entry: &T) -> Result<(), LogError> {
        let line = self.line(self.place.next, entry)?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Nobody is told of it, so it must not be read either. Where that fails as well, the next reader counts it.
            drop(self.cut(self.place.offset));
            return Err(at(&self.log.path)(error).into());
        }
        self.place.next += 1;
        self.place.offset += line.len() as u64;
        Ok(())
    }

    /// How much of the file has been read.
    pub(crate) fn length(&self) -> u64 {
        self.place.offset
    }

    /// Puts the file aside under a name with its last number, and goes on with a new one that begins with `kept`, the
    /// last entries of the old one.
    pub(crate) fn put_aside(mut self, kept: &[T]) -> Result<(), LogError> {
        let path = &self.log.path;
        let first = self.place.next - kept.len() as u64;
        let aside = path.with_extension(format!("until-{}.jsonl", self.place.next));
        let mut bytes = head(first);
        for (n, entry) in (first..).zip(kept) {
            bytes.extend(self.line(n, entry)?);
        }
        match std::fs::copy(path, &aside) {
            Ok(_) => {}
            Err(error) => return Err(at(&aside)(error).into()),
        }
        let next = self.place.next;
        *self.place = Place { first, next, offset: bytes.len() as u64 };
        // Where files that are open cannot be replaced, this one must be closed first; the lock is another file.
        let Self { log, file, _lock, .. } = self;
        drop(file);
        Ok(private_file::replace(&log.path, &bytes)?)
    }

    fn head(&mut self) -> Result<(Head, u64), LogError> {
        let mut start = Vec::new();
        self.file.seek(SeekFrom::Start(0)).map_err(at(&self.log.path))?;
        (&self.file).take(128).read_to_end(&mut start).map_err(at(&self.log.path))?;
        let damaged = |why: String| LogError::Damaged { path: self.log.path.clone(), line: 1, why };
        let end = start.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("it has no end".to_owned()))?;
        let head: Head = serde_json::from_slice(&start[..end]).map_err(|error| damaged(error.to_string()))?;
        if head.layout != LAYOUT {
            return Err(damaged(format!("layout {} is written by another version", head.layout)));
        }
        Ok((head, end as u64 + 1))
    }

    fn line(&self, n: u64, entry: &T) -> Result<Vec<u8>, LogError> {
        let mut line =
            serde_json::to_vec(&Numbered { n, entry }).map_err(|error| at(&self.log.path)(io::Error::other(error)))?;
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Err(at(&self.log.path)(io::Error::new(ErrorKind::InvalidInput, "the entry is too long")).into());
        }
        Ok(line)
    }

    fn cut(&self, length: u64) -> Result<(), LogError> {
        // A file opened for appending alone cannot be cut on every system.
        let file = File::options().write(true).open(&self.log.path).map_err(at(&self.log.path))?;
        Ok(file.set_len(length).and_then(|()| file.sync_all()).map_err(at(&self.log.path))?)
    }

    fn damaged(&self, why: &str) -> LogError {
        let line = self.place.next - self.place.first + 2;
        LogError::Damaged { path: self.log.path.clone(), line, why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests;
