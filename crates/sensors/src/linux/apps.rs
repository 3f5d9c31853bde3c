//! Which executables run, by `/proc`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::board::Board;
use crate::{AppName, Sense};

const EVERY: Duration = Duration::from_millis(600);
/// A process that was just forked becomes another program in a moment; after this long it keeps its name.
const YOUNG: Duration = Duration::from_secs(3);

struct Known {
    name: Option<AppName>,
    since: Instant,
    settled: bool,
}

pub(super) fn start(board: &Board, proc: PathBuf) {
    board.spawn("apps", move |board| {
        let me = rustix::process::getuid().as_raw();
        let mut known: HashMap<u32, Known> = HashMap::new();
        loop {
            match look(&proc, me, &mut known) {
                Ok(apps) => {
                    board.sees(Sense::Apps);
                    board.set(|seen| &mut seen.apps, apps);
                }
                Err(error) => board.blind(Sense::Apps, format!("the list of processes cannot be read: {error}")),
            }
            if !board.sleep(EVERY) {
                return;
            }
        }
    });
}

/// The names of this user's processes. Those known before are not looked at again.
fn look(proc: &Path, me: u32, known: &mut HashMap<u32, Known>) -> std::io::Result<Vec<AppName>> {
    let now = Instant::now();
    let mut alive = Vec::new();
    for entry in fs::read_dir(proc)? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        alive.push(pid);
        let process = known.entry(pid).or_insert(Known { name: None, since: now, settled: false });
        if process.settled {
            continue;
        }
        let mine = entry.metadata().is_ok_and(|folder| folder.uid() == me);
        process.name = if mine { app_of(proc, pid) } else { None };
        process.settled = now.duration_since(process.since) > YOUNG;
    }
    alive.sort_unstable();
    known.retain(|pid, _| alive.binary_search(pid).is_ok());
    let mut apps: Vec<AppName> = known.values().filter_map(|process| process.name.clone()).collect();
    apps.sort();
    apps.dedup();
    Ok(apps)
}

/// What a process is called; nothing for the kernel's own. Wine runs Windows programs under the name of its loader, and
/// names them in their command line.
pub(crate) fn app_of(proc: &Path, pid: u32) -> Option<AppName> {
    let folder = proc.join(pid.to_string());
    let command = fs::read(folder.join("cmdline")).ok()?;
    let first = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let first = String::from_utf8_lossy(first);
    if first.to_lowercase().ends_with(".exe") {
        return Some(AppName::from(&*first));
    }
    let link = fs::read_link(folder.join("exe")).ok();
    let name =
        link.as_ref().and_then(|path| path.file_name()?.to_str()).map(|name| name.trim_end_matches(" (deleted)"));
    match name {
        Some(name) => Some(AppName::from(name)),
        None if first.is_empty() => None,
        None => Some(AppName::from(&*first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, exe: &str, command: &str) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(&folder).unwrap();
        fs::remove_file(folder.join("exe")).ok();
        if !exe.is_empty() {
            std::os::unix::fs::symlink(exe, folder.join("exe")).unwrap();
        }
        fs::write(folder.join("cmdline"), command).unwrap();
    }

    #[test]
    fn executables_are_named_without_folders_and_windows_programs_by_their_own_names() {
        let proc = tempfile::tempdir().unwrap();
        process(proc.path(), 1, "/usr/bin/Blender", "blender\0--background\0");
        process(proc.path(), 2, "/usr/lib/wine/wine64", "Z:\\games\\Hades.EXE\0-window\0");
        process(proc.path(), 3, "", "");
        process(proc.path(), 4, "/opt/tool (deleted)", "tool\0");
        fs::create_dir(proc.path().join("irq")).unwrap();
        let me = rustix::process::getuid().as_raw();
        let mut known = HashMap::new();
        let names = |known: &mut _| -> Vec<String> {
            look(proc.path(), me, known).unwrap().iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(&mut known), ["blender", "hades", "tool"]);
        // A process becomes another program, and another ends.
        process(proc.path(), 4, "/opt/game", "game\0");
        fs::remove_dir_all(proc.path().join("1")).unwrap();
        assert_eq!(names(&mut known), ["game", "hades"]);
        // Other people's processes are not this user's.
        assert!(look(proc.path(), me + 1, &mut HashMap::new()).unwrap().is_empty());
    }
}
