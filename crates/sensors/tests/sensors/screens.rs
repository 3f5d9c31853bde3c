//! Input and windows of an X server.

use std::process::Command;
use std::time::{Duration, Instant};

use computepool_sensors::{Observation, Sense, SensorOptions, Sensors};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, CreateWindowAux, PropMode, WindowClass};
use x11rb::wrapper::ConnectionExt as _;

use crate::support::{display, nowhere, until};

/// What the X server's clock and ours may differ by.
const SLACK: Duration = Duration::from_millis(100);

fn touch(display: &str) {
    let touched = Command::new("xdotool").env("DISPLAY", display).args(["key", "a"]).status();
    let touched = touched.unwrap_or_else(|error| panic!("xdotool: {error}; apt-get install xdotool"));
    assert!(touched.success());
}

#[test]
fn a_key_press_ends_idleness() {
    let (_server, display) = display();
    let sensors = Sensors::start(SensorOptions { display: Some(display.clone()), ..nowhere() });
    until(&sensors, "idleness", |seen| seen.idle.is_some_and(|idle| idle >= Duration::from_millis(900)));
    let touched = Instant::now();
    touch(&display);
    until(&sensors, "input", |seen| seen.idle.is_some_and(|idle| idle < touched.elapsed() + SLACK));
    assert!(sensors.watch().borrow().cannot_tell.iter().all(|blind| blind.what != Sense::Input));
}

#[test]
fn a_display_that_hangs_is_not_believed_any_more_and_is_when_it_goes_on() {
    let (server, display) = display();
    let sensors = Sensors::start(SensorOptions { display: Some(display.clone()), ..nowhere() });
    until(&sensors, "idleness", |seen| seen.idle.is_some());
    server.signal("-STOP");
    let blind = |seen: &Observation| seen.cannot_tell.iter().any(|blind| blind.what == Sense::Input);
    until(&sensors, "nothing", |seen| seen.idle.is_none() && blind(seen));
    server.signal("-CONT");
    touch(&display);
    until(&sensors, "input", |seen| seen.idle.is_some_and(|idle| idle < Duration::from_secs(1)) && !blind(seen));
}

#[test]
fn a_window_that_covers_the_screen_is_seen_and_named_and_a_smaller_one_is_not() {
    let (_server, display) = display();
    let proc = tempfile::tempdir().unwrap();
    let game = proc.path().join("4242");
    std::fs::create_dir(&game).unwrap();
    std::fs::write(game.join("cmdline"), "/opt/Hades/Hades.exe\0").unwrap();
    let options = SensorOptions { display: Some(display.clone()), proc: proc.path().to_owned(), ..nowhere() };
    let sensors = Sensors::start(options);
    until(&sensors, "a screen", |seen| seen.idle.is_some() && seen.fullscreen.is_none());

    let (x, screen) = x11rb::connect(Some(&display)).unwrap();
    let root = &x.setup().roots[screen];
    let window = |width, height| {
        let id = x.generate_id().unwrap();
        let (depth, class, visual) = (root.root_depth, WindowClass::INPUT_OUTPUT, root.root_visual);
        x.create_window(depth, id, root.root, 0, 0, width, height, 0, class, visual, &CreateWindowAux::new()).unwrap();
        id
    };
    let pid = x.intern_atom(false, b"_NET_WM_PID").unwrap().reply().unwrap().atom;
    let small = window(400, 300);
    x.map_window(small).unwrap();
    x.flush().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sensors.watch().borrow().fullscreen, None);

    let whole = window(800, 600);
    x.change_property32(PropMode::REPLACE, whole, pid, AtomEnum::CARDINAL, &[4242]).unwrap();
    x.map_window(whole).unwrap();
    x.flush().unwrap();
    until(&sensors, "a game", |seen| seen.fullscreen.as_ref().is_some_and(|app| app.as_str() == "hades"));
    x.unmap_window(whole).unwrap();
    x.flush().unwrap();
    until(&sensors, "the end of the game", |seen| seen.fullscreen.is_none());
}

#[test]
fn a_display_that_goes_away_is_said_to_be_away_and_one_that_never_was_too() {
    let (server, display) = display();
    let sensors = Sensors::start(SensorOptions { display: Some(display), ..nowhere() });
    until(&sensors, "a screen", |seen| seen.idle.is_some());
    drop(server);
    until(&sensors, "blindness", |seen| {
        seen.idle.is_none() && seen.cannot_tell.iter().any(|blind| blind.what == Sense::Input)
    });
    let sensors = Sensors::start(SensorOptions { display: Some(":4711".into()), ..nowhere() });
    until(&sensors, "blindness", |seen| seen.cannot_tell.iter().any(|blind| blind.what == Sense::Input));
}
