//! Servers of the test's own, and waiting for what is to be seen.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use computepool_sensors::{Observation, SensorOptions, Sensors};

/// A program that is ended with the test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    /// Has it hang, or go on.
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// Starts a program, and reads the first line that it says.
    fn start(command: &mut Command, package: &str) -> (Self, String) {
        let program = command.get_program().to_owned();
        let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{program:?}: {error}; apt-get install {package}"));
        let stdout = child.stdout.take().unwrap();
        let (tell, told) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).ok();
            tell.send(line).ok();
        });
        let line = told.recv_timeout(Duration::from_secs(20)).unwrap_or_default();
        assert!(!line.is_empty(), "{program:?} did not come up");
        (Self(child), line.trim().to_owned())
    }
}

/// An X server on a display of its own.
pub(crate) fn display() -> (Running, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"]);
    let (server, number) = Running::start(&mut command, "xvfb");
    (server, format!(":{number}"))
}

/// A bus of its own.
pub(crate) fn bus() -> (Running, String) {
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--print-address=1", "--nofork", "--nopidfile"]);
    Running::start(&mut command, "dbus")
}

/// Options that look at nothing but what the test names.
pub(crate) fn nowhere() -> SensorOptions {
    let none = std::path::PathBuf::from("/nonexistent");
    SensorOptions {
        sysfs: none.clone(),
        proc: none,
        display: None,
        wayland: false,
        session_bus: None,
        system_bus: None,
        ..SensorOptions::default()
    }
}

/// Waits until something is seen. How soon that is, `make owner-first` measures.
pub(crate) fn until(sensors: &Sensors, what: &str, holds: impl Fn(&Observation) -> bool) {
    let (seen, began) = (sensors.watch(), Instant::now());
    while !holds(&seen.borrow()) {
        assert!(began.elapsed() < Duration::from_secs(10), "never seen: {what}; {:?}", *seen.borrow());
        std::thread::sleep(Duration::from_millis(5));
    }
}
