//! Names of namespaces: every run has its own, and the leftovers of dead runs are known by theirs.

use std::path::Path;

use super::namespace::{self, NAMES};

/// What all of this program's namespaces begin with.
const MARK: &str = "cpl";

/// What the kernel calls a process of this program, at most fifteen bytes of its executable's name.
const PROCESS: &str = "computepool-lab";

/// The beginning of every name in one world: this process and a random number.
#[derive(Clone, Debug)]
pub(super) struct Prefix(String);

impl Prefix {
    /// A fresh one.
    pub(super) fn random() -> Self {
        Self(format!("{MARK}-{}-{:04x}", std::process::id(), rand::random::<u16>()))
    }

    /// The name of the namespace of `who`.
    pub(super) fn name(&self, who: &str) -> String {
        format!("{}-{who}", self.0)
    }
}

/// The process that made a namespace, by its name; `None` where the name is not one of ours.
fn maker(name: &str) -> Option<u32> {
    let mut parts = name.split('-');
    (parts.next() == Some(MARK)).then(|| parts.next()?.parse().ok()).flatten()
}

/// Whether a process runs that is this program.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == PROCESS)
}

/// Removes the namespaces that dead runs have left, and says how many there were.
pub(super) fn sweep() -> usize {
    let Ok(entries) = Path::new(NAMES).read_dir() else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let left: Vec<String> = names.filter(|name| maker(name).is_some_and(|pid| !runs(pid))).collect();
    for name in &left {
        namespace::remove(name);
    }
    left.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_who_made_it() {
        let name = Prefix::random().name("home-1");
        assert_eq!(maker(&name), Some(std::process::id()));
        for other in ["", "docker0", "cpl", "cpl-x-1-home", "xcpl-1-2-home"] {
            assert_eq!(maker(other), None, "{other}");
        }
    }
}
