//! Conversations, kept on this machine alone: a file for each.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use computepool_core::{Fault, FaultCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;

use super::unknown;
use crate::paths::make_folder;

/// A conversation. What is in it is the page's affair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub(super) struct Thread {
    /// Its name: letters, digits and `-`.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// When it was changed last.
    #[ts(type = "number")]
    pub updated_ms: u64,
    /// Its messages, as the page keeps them.
    #[ts(type = "unknown")]
    pub body: Value,
}

/// A conversation in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub(super) struct ThreadHead {
    /// Its name.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// When it was changed last.
    #[ts(type = "number")]
    pub updated_ms: u64,
    /// Where what was searched for was found.
    pub found: Option<String>,
}

/// The most conversations that are kept, and the most bytes of one.
const MAX_THREADS: usize = 5_000;
const MAX_BYTES: usize = 900 * 1024;
const MAX_TITLE: usize = 200;
const MAX_ID: usize = 64;
/// Characters around a find.
const AROUND: usize = 40;

/// The folder of conversations. Everything here blocks on the disk.
#[derive(Clone, Debug)]
pub(super) struct Threads(PathBuf);

impl Threads {
    pub(super) fn within(folder: &Path) -> Self {
        Self(folder.join("conversations"))
    }

    fn path(&self, id: &str) -> Result<PathBuf, Fault> {
        let fits = !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            let id: String = id.chars().take(20).collect();
            return Err(unknown(format!("{id:?} is no name of a conversation: letters, digits and - are")));
        }
        Ok(self.0.join(format!("{id}.json")))
    }

    /// Keeps one, in place of what there was of it.
    pub(super) fn put(&self, thread: &Thread) -> Result<(), Fault> {
        let path = self.path(&thread.id)?;
        if thread.title.chars().count() > MAX_TITLE {
            return Err(unknown(format!("a title has up to {MAX_TITLE} characters")));
        }
        let text = serde_json::to_vec(thread).map_err(|error| unknown(error.to_string()))?;
        if text.len() > MAX_BYTES {
            return Err(unknown("this conversation has become too long to be kept: begin another".to_owned()));
        }
        make_folder(&self.0)?;
        if !path.exists() && self.files()?.len() >= MAX_THREADS {
            return Err(Fault::new(FaultCode::NoCapacity, format!("{MAX_THREADS} conversations are kept already"))
                .hint("delete some that are not needed any more"));
        }
        let fresh = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::File::create(&fresh)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)
        };
        write().map_err(|error| {
            std::fs::remove_file(&fresh).ok();
            io("this conversation was not kept", &error)
        })
    }

    /// One of them.
    pub(super) fn get(&self, id: &str) -> Result<Thread, Fault> {
        match read(&self.path(id)?) {
            Ok(Some(thread)) => Ok(thread),
            Ok(None) => Err(unknown("this conversation cannot be read any more".to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(unknown("there is no such conversation".to_owned()))
            }
            Err(error) => Err(io("this conversation cannot be read", &error)),
        }
    }

    /// Throws one away; it is well where it was not there.
    pub(super) fn delete(&self, id: &str) -> Result<(), Fault> {
        match std::fs::remove_file(self.path(id)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io("this conversation was not deleted", &error)),
            _ => Ok(()),
        }
    }

    /// All of them, or those in which a text occurs; newest first.
    pub(super) fn list(&self, query: &str) -> Result<Vec<ThreadHead>, Fault> {
        let query = query.trim().to_lowercase();
        let mut heads = Vec::new();
        for path in self.files()? {
            // What cannot be read is left alone, and out.
            let Ok(Some(thread)) = read(&path) else { continue };
            let found = if query.is_empty() { None } else { find(&thread, &query) };
            if query.is_empty() || found.is_some() {
                heads.push(ThreadHead { id: thread.id, title: thread.title, updated_ms: thread.updated_ms, found });
            }
        }
        heads.sort_by(|one, other| (other.updated_ms, &other.id).cmp(&(one.updated_ms, &one.id)));
        Ok(heads)
    }

    fn files(&self) -> Result<Vec<PathBuf>, Fault> {
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| io("the conversations cannot be listed", &error))?,
        };
        let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        Ok(entries.flatten().map(|entry| entry.path()).filter(json).collect())
    }
}

fn read(path: &Path) -> std::io::Result<Option<Thread>> {
    Ok(serde_json::from_slice(&std::fs::read(path)?).ok())
}

fn io(what: &str, error: &std::io::Error) -> Fault {
    Fault::new(FaultCode::Io, format!("{what}: {error}")).hint(crate::paths::write_hint(error))
}

/// Where a text occurs in a title or in any text of a conversation.
fn find(thread: &Thread, query: &str) -> Option<String> {
    fn texts<'a>(value: &'a Value, each: &mut dyn FnMut(&'a str)) {
        match value {
            Value::String(text) => each(text),
            Value::Array(items) => items.iter().for_each(|item| texts(item, each)),
            Value::Object(fields) => fields.values().for_each(|field| texts(field, each)),
            _ => {}
        }
    }
    let mut found = None;
    let mut look = |text: &str| {
        let lower = text.to_lowercase();
        if let (None, Some(at)) = (&found, lower.find(query)) {
            let before = lower[..at].chars().count().saturating_sub(AROUND);
            found = Some(text.chars().skip(before).take(2 * AROUND + query.chars().count()).collect());
        }
    };
    look(&thread.title);
    texts(&thread.body, &mut look);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn thread(id: &str, at: u64, text: &str) -> Thread {
        Thread {
            id: id.into(),
            title: format!("About {id}"),
            updated_ms: at,
            body: json!({"messages": [{"text": text}]}),
        }
    }

    #[test]
    fn conversations_are_kept_found_and_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let threads = Threads::within(folder.path());
        assert!(threads.list("").unwrap().is_empty());
        threads.put(&thread("a", 1, "Leuchttürme ÜBER alles")).unwrap();
        threads.put(&thread("b", 2, "lighthouses")).unwrap();
        threads.put(&thread("a", 3, "Leuchttürme über alles")).unwrap();
        let ids =
            |query: &str| -> Vec<String> { threads.list(query).unwrap().into_iter().map(|head| head.id).collect() };
        assert_eq!(ids(""), ["a", "b"]);
        assert_eq!(ids("LIGHT"), ["b"]);
        assert_eq!(ids("über"), ["a"]);
        assert_eq!(ids("nothing of it"), [""; 0]);
        assert_eq!(threads.get("b").unwrap(), thread("b", 2, "lighthouses"));
        threads.delete("b").unwrap();
        threads.delete("b").unwrap();
        assert_eq!(threads.get("b").unwrap_err().code, FaultCode::InvalidRequest);
        // One that was damaged costs no other.
        std::fs::write(folder.path().join("conversations/c.json"), "{").unwrap();
        assert_eq!(ids(""), ["a"]);
    }

    #[test]
    fn names_lead_nowhere_else_and_sizes_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let threads = Threads::within(folder.path());
        for id in ["", "../x", "a/b", "a.json", "ä", &"x".repeat(65)] {
            assert!(threads.put(&thread(id, 1, "")).is_err(), "{id}");
            assert!(threads.get(id).is_err() && threads.delete(id).is_err(), "{id}");
        }
        assert!(threads.put(&thread("a", 1, &"x".repeat(MAX_BYTES))).is_err());
        assert!(threads.put(&Thread { title: "x".repeat(201), ..thread("a", 1, "") }).is_err());
        assert!(threads.list("").unwrap().is_empty());
    }
}
