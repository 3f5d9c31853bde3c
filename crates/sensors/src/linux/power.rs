//! Where the current comes from, by `/sys/class/power_supply`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::board::Board;
use crate::{Power, Sense};

const EVERY: Duration = Duration::from_millis(500);

pub(super) fn start(board: &Board, sysfs: PathBuf) {
    board.spawn("power", move |board| {
        loop {
            match look(&sysfs.join("class/power_supply")) {
                Ok(power) => {
                    board.sees(Sense::Power);
                    board.set(|seen| &mut seen.power, Some(power));
                }
                Err(error) => {
                    board.set(|seen| &mut seen.power, None);
                    board.blind(Sense::Power, format!("the power supplies cannot be read: {error}"));
                }
            }
            if !board.sleep(EVERY) {
                return;
            }
        }
    });
}

/// A machine whose batteries are not being emptied runs on mains; so does one without batteries.
fn look(supplies: &Path) -> std::io::Result<Power> {
    let entries = match fs::read_dir(supplies) {
        // Kernels of virtual machines have none of this.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Power::Mains),
        entries => entries?,
    };
    let (mut online, mut discharging, mut percent) = (false, false, None);
    for entry in entries.flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).map(|text| text.trim().to_owned()).ok();
        // Mice and headsets have batteries too.
        if read("scope").is_some_and(|scope| scope == "Device") {
            continue;
        }
        match read("type").as_deref() {
            Some("Mains" | "USB") => online |= read("online").is_some_and(|online| online == "1"),
            Some("Battery") => {
                discharging |= read("status").is_some_and(|status| status == "Discharging");
                percent = percent.or(read("capacity").and_then(|capacity| capacity.parse().ok()));
            }
            _ => {}
        }
    }
    Ok(if discharging && !online { Power::Battery { percent } } else { Power::Mains })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(folder: &Path, name: &str, facts: &[(&str, &str)]) {
        fs::create_dir_all(folder.join(name)).unwrap();
        for (fact, value) in facts {
            fs::write(folder.join(name).join(fact), format!("{value}\n")).unwrap();
        }
    }

    #[test]
    fn batteries_count_when_they_are_emptied_and_are_the_machines_own() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(&folder.path().join("none")).unwrap(), Power::Mains);
        supply(folder.path(), "mouse", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")]);
        assert_eq!(look(folder.path()).unwrap(), Power::Mains);
        supply(folder.path(), "BAT0", &[("type", "Battery"), ("status", "Discharging"), ("capacity", "63")]);
        supply(folder.path(), "AC", &[("type", "Mains"), ("online", "0")]);
        assert_eq!(look(folder.path()).unwrap(), Power::Battery { percent: Some(63) });
        supply(folder.path(), "AC", &[("online", "1")]);
        assert_eq!(look(folder.path()).unwrap(), Power::Mains);
        supply(folder.path(), "AC", &[("online", "0")]);
        supply(folder.path(), "BAT0", &[("status", "Charging")]);
        assert_eq!(look(folder.path()).unwrap(), Power::Mains);
    }
}
