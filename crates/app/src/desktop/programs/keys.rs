//! Keys of programs. Of each only a digest is kept, which recognises it and cannot be used in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use computepool_api::KeyDigest;
use computepool_core::ports::{Clock as _, SystemClock};
use computepool_core::{Fault, FaultCode};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::super::unknown;
use crate::paths::write_hint;

/// The most keys at once.
const MAX_KEYS: usize = 100;
const MAX_NAME: usize = 64;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// A key, and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::desktop) struct Key {
    /// What its owner calls it.
    pub name: String,
    /// Its SHA-256.
    pub digest: String,
    /// When it was made.
    pub created_ms: u64,
    /// Requests a minute, at most.
    pub per_minute: Option<u32>,
    /// Tokens in any 24 hours, at most: those of questions and answers.
    pub tokens_a_day: Option<u64>,
}

/// A request that may be passed on.
#[derive(Clone, Debug)]
pub(in crate::desktop) struct Admitted {
    /// The key's digest.
    pub digest: String,
    /// What its owner calls it.
    pub name: String,
}

/// What a key has used lately. A restart forgets it, and the wallet's own limits do not.
#[derive(Clone, Debug, Default)]
struct Used {
    asked_ms: Vec<u64>,
    tokens: Vec<(u64, u64)>,
    all: u64,
}

/// The keys.
pub(in crate::desktop) struct Keys {
    path: PathBuf,
    kept: Mutex<Vec<Key>>,
    used: Mutex<BTreeMap<String, Used>>,
    count: watch::Sender<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keys {
    /// Those in a folder. A file that cannot be read holds no key: whoever had one is refused, and asks for another.
    pub(in crate::desktop) fn within(folder: &Path) -> Self {
        let path = folder.join("keys.json");
        let read = std::fs::read(&path).ok().map(|text| serde_json::from_slice::<Vec<Key>>(&text));
        if let Some(Err(error)) = &read {
            tracing::warn!(%error, path = %path.display(), "the keys cannot be read; none is taken");
        }
        let kept = read.and_then(Result::ok).unwrap_or_default();
        let count = watch::Sender::new(kept.len());
        Self { path, kept: Mutex::new(kept), used: Mutex::default(), count }
    }

    /// How many there are, and when that changes.
    pub(in crate::desktop) fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// All of them, with the tokens that each has used in the last 24 hours.
    pub(in crate::desktop) fn list(&self) -> Vec<(Key, u64)> {
        let (now, used) = (SystemClock.now_ms(), lock(&self.used));
        let spent = |key: &Key| used.get(&key.digest).map_or(0, |used| used.tokens_since(now.saturating_sub(DAY_MS)));
        lock(&self.kept).iter().map(|key| (key.clone(), spent(key))).collect()
    }

    /// Makes one. It is told once, here.
    pub(in crate::desktop) fn make(
        &self,
        name: &str,
        per_minute: Option<u32>,
        tokens_a_day: Option<u64>,
    ) -> Result<String, Fault> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(unknown(format!(
                "a key has a name of up to {MAX_NAME} characters, none of them a control character"
            )));
        }
        if per_minute == Some(0) || tokens_a_day == Some(0) {
            return Err(unknown("a key that may do nothing is no key: leave the limit out, or revoke it".to_owned()));
        }
        let mut random = [0; 24];
        OsRng
            .try_fill_bytes(&mut random)
            .map_err(|error| Fault::new(FaultCode::Io, format!("this system gives no random numbers: {error}")))?;
        let secret = format!("cpk_{}", hex::encode(random));
        let key = Key {
            name: name.to_owned(),
            digest: KeyDigest::of(&secret).to_string(),
            created_ms: SystemClock.now_ms(),
            per_minute,
            tokens_a_day,
        };
        self.change(|keys| {
            if keys.len() >= MAX_KEYS {
                return Err(Fault::new(FaultCode::NoCapacity, format!("there are {MAX_KEYS} keys already"))
                    .hint("revoke one that is not used any more"));
            }
            if keys.iter().any(|key| key.name == name) {
                return Err(unknown(format!("there is a key {name:?} already")));
            }
            keys.push(key);
            Ok(())
        })?;
        Ok(secret)
    }

    /// Takes one back: from now on it opens nothing.
    pub(in crate::desktop) fn revoke(&self, name: &str) -> Result<(), Fault> {
        self.change(|keys| {
            let place = keys.iter().position(|key| key.name == name);
            keys.remove(place.ok_or_else(|| unknown("there is no such key".to_owned()))?);
            Ok(())
        })
    }

    /// Takes all of them back.
    pub(in crate::desktop) fn revoke_all(&self) -> Result<(), Fault> {
        self.change(|keys| {
            keys.clear();
            Ok(())
        })
    }

    /// Written down first, then true.
    fn change(&self, change: impl FnOnce(&mut Vec<Key>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut kept = lock(&self.kept);
        let mut keys = kept.clone();
        change(&mut keys)?;
        let text = serde_json::to_vec_pretty(&keys).map_err(|error| unknown(error.to_string()))?;
        let fresh = self.path.with_extension("json.new");
        let written = std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.path));
        written.map_err(|error| {
            Fault::new(FaultCode::Io, format!("the keys were not written down: {error}")).hint(write_hint(&error))
        })?;
        self.count.send_replace(keys.len());
        *kept = keys;
        Ok(())
    }

    /// Whether a request may be passed on, and whose it is.
    pub(in crate::desktop) fn admit(&self, shown: Option<&str>, asks: bool) -> Result<Admitted, Fault> {
        self.admit_at(shown, asks, SystemClock.now_ms())
    }

    fn admit_at(&self, shown: Option<&str>, asks: bool, now_ms: u64) -> Result<Admitted, Fault> {
        let digest = shown.map(|key| KeyDigest::of(key).to_string());
        let kept = lock(&self.kept);
        // Digests tell nothing of keys, so that how long comparing them takes tells nothing either.
        let key = digest.and_then(|digest| kept.iter().find(|key| key.digest == digest)).ok_or_else(|| {
            Fault::new(FaultCode::Unauthorized, "this key is not known, or was revoked")
                .hint("make one under Developer in ComputePool, and show it as Authorization: Bearer KEY")
        })?;
        let mut all = lock(&self.used);
        let used = all.entry(key.digest.clone()).or_default();
        used.forget(now_ms);
        if asks {
            let limited = |what: String, wait_ms: u64| {
                Err(Fault::new(FaultCode::RateLimited, what).retry_after_ms(wait_ms.max(1)))
            };
            if let Some(most) = key.per_minute
                && used.asked_ms.len() >= most as usize
            {
                let until = used.asked_ms.first().map_or(0, |first| (first + MINUTE_MS).saturating_sub(now_ms));
                return limited(format!("the key {:?} may ask {most} times a minute", key.name), until);
            }
            if let Some(most) = key.tokens_a_day
                && used.tokens_since(now_ms.saturating_sub(DAY_MS)) >= most
            {
                let until = used.tokens.first().map_or(0, |(at, _)| (at + DAY_MS).saturating_sub(now_ms));
                return limited(format!("the key {:?} may use {most} tokens a day, and has", key.name), until);
            }
            used.asked_ms.push(now_ms);
        }
        Ok(Admitted { digest: key.digest.clone(), name: key.name.clone() })
    }

    /// Counts what a request took.
    pub(in crate::desktop) fn spend(&self, digest: &str, tokens: u64) {
        let mut used = lock(&self.used);
        let used = used.entry(digest.to_owned()).or_default();
        used.all += tokens;
        used.tokens.push((SystemClock.now_ms(), tokens));
    }
}

impl Used {
    fn forget(&mut self, now_ms: u64) {
        self.asked_ms.retain(|at| at + MINUTE_MS > now_ms);
        self.tokens.retain(|(at, _)| at + DAY_MS > now_ms);
    }

    fn tokens_since(&self, since_ms: u64) -> u64 {
        self.tokens.iter().filter(|(at, _)| *at >= since_ms).map(|(_, tokens)| tokens).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_as_digests_and_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::within(folder.path());
        let secret = keys.make("editor", None, None).unwrap();
        assert!(keys.make("editor", None, None).is_err(), "the name is taken");
        assert!(keys.make("", None, None).is_err() && keys.make("a\nb", None, None).is_err());
        assert!(keys.make("none", Some(0), None).is_err());
        let text = std::fs::read_to_string(folder.path().join("keys.json")).unwrap();
        assert!(!text.contains(&secret) && text.contains("editor"));
        let again = Keys::within(folder.path());
        assert_eq!(again.admit(Some(&secret), true).unwrap().name, "editor");
        for wrong in [None, Some(""), Some("cpk_"), Some(&text[..]), Some(&secret[..secret.len() - 1])] {
            assert_eq!(again.admit(wrong, true).unwrap_err().code, FaultCode::Unauthorized);
        }
        again.revoke("editor").unwrap();
        assert!(again.admit(Some(&secret), false).is_err());
        assert_eq!((*again.watch().borrow(), again.revoke("editor").is_err()), (0, true));
    }

    #[test]
    fn limits_hold_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::within(folder.path());
        let secret = keys.make("editor", Some(2), Some(100)).unwrap();
        let ask = |now_ms| keys.admit_at(Some(&secret), true, now_ms);
        let now = SystemClock.now_ms();
        let digest = ask(now).unwrap().digest;
        ask(now + 1_000).unwrap();
        let fault = ask(now + 2_000).unwrap_err();
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert!(keys.admit_at(Some(&secret), false, now + 2_000).is_ok(), "looking costs nothing");
        ask(now + MINUTE_MS).unwrap();
        keys.spend(&digest, 60);
        ask(now + 3 * MINUTE_MS).unwrap();
        keys.spend(&digest, 60);
        assert!(ask(now + 5 * MINUTE_MS).unwrap_err().message.contains("100 tokens a day"));
        assert_eq!(keys.list()[0].1, 120);
        ask(now + DAY_MS + MINUTE_MS).unwrap();
    }

    #[test]
    fn what_cannot_be_written_down_is_not_done() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::within(folder.path());
        std::fs::create_dir(folder.path().join("keys.json.new")).unwrap();
        assert!(keys.make("editor", None, None).is_err());
        assert!(keys.list().is_empty());
    }
}
