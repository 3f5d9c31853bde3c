//! Prints what the senses see, a line of JSON a second: `look [SECONDS]`.
#![expect(clippy::print_stdout, reason = "an example that is run to be read")]

use std::thread;
use std::time::Duration;

use computepool_sensors::{SensorOptions, Sensors};

fn main() {
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let sensors = Sensors::start(SensorOptions::default());
    let seen = sensors.watch();
    for _ in 0..seconds {
        thread::sleep(Duration::from_secs(1));
        match serde_json::to_string(&*seen.borrow()) {
            Ok(line) => println!("{line}"),
            Err(error) => println!("this cannot be written: {error}"),
        }
    }
}
