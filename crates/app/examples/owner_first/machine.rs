//! A machine to which things happen.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use computepool_app::desktop::Desktop;
use computepool_app::policy::Rules;
use computepool_sensors::{SensorOptions, Sensors};
use serde_json::json;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateWindowAux, WindowClass};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trigger {
    Game,
    Application,
    Battery,
    Heat,
    DataCap,
    Pause,
    EarnOff,
    Input,
}

impl Trigger {
    /// Input comes last: after it the machine is in use for a minute.
    pub(crate) const ALL: [Self; 8] = [
        Self::Game,
        Self::Application,
        Self::Battery,
        Self::Heat,
        Self::DataCap,
        Self::Pause,
        Self::EarnOff,
        Self::Input,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Game => "a game starts",
            Self::Application => "Blender starts",
            Self::Battery => "unplugged",
            Self::Heat => "the GPU is hot",
            Self::DataCap => "the month is full",
            Self::Pause => "Pause",
            Self::EarnOff => "Earn off",
            Self::Input => "a key is pressed",
        }
    }
}

/// Gigabytes that were carried before: all that its owner allows in a month.
const CARRIED_GB: u32 = 40;

pub(crate) struct Machine {
    server: Child,
    display: String,
    folder: tempfile::TempDir,
    running: Mutex<Vec<Box<dyn std::any::Any + Send>>>,
    pub(crate) sensors: Sensors,
    pub(crate) pids: Arc<Mutex<Vec<u32>>>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Whether a process is there. One that has ended, and that nobody has asked about yet, holds nothing any more.
pub(crate) fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

impl Machine {
    pub(crate) fn start() -> Self {
        let mut server = Command::new("Xvfb");
        server.args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp"]);
        let mut server =
            server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("Xvfb: apt-get install xvfb");
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("sys/class/power_supply/BAT0"), &[("type", "Battery"), ("capacity", "80")]);
        power(folder.path(), true);
        let device = folder.path().join("sys/class/drm/card0/device");
        write(&device, &[("vendor", "0x1002"), ("device", "0x744c"), ("gpu_busy_percent", "90")]);
        heat(folder.path(), 65);
        let month = jiff::Zoned::now().strftime("%Y-%m").to_string();
        let carried = format!("month = \"{month}\"\nbytes = {}\n", u64::from(CARRIED_GB) * 1_000_000_000);
        fs::create_dir_all(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/traffic.toml"), carried).unwrap();
        let pids: Arc<Mutex<Vec<u32>>> = Arc::default();
        let own = pids.clone();
        let sensors = Sensors::start(SensorOptions {
            own: Arc::new(move || own.lock().unwrap().clone()),
            sysfs: folder.path().join("sys"),
            display: Some(display.clone()),
            wayland: false,
            session_bus: None,
            system_bus: None,
            ..SensorOptions::default()
        });
        Self { server, display, folder, running: Mutex::default(), sensors, pids }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Something happens.
    pub(crate) async fn pull(&self, trigger: Trigger, desktop: &Desktop) {
        match trigger {
            Trigger::Game => {
                let (x, screen) = x11rb::connect(Some(&self.display)).unwrap();
                let root = x.setup().roots[screen].clone();
                let (window, class) = (x.generate_id().unwrap(), WindowClass::INPUT_OUTPUT);
                let look = CreateWindowAux::new();
                let (depth, visual) = (root.root_depth, root.root_visual);
                x.create_window(depth, window, root.root, 0, 0, 800, 600, 0, class, visual, &look).unwrap();
                x.map_window(window).unwrap();
                x.flush().unwrap();
                // The window goes with its connection.
                self.running.lock().unwrap().push(Box::new(x));
            }
            Trigger::Application => {
                let program = self.folder.path().join("Blender");
                fs::copy("/bin/sleep", &program).unwrap();
                let child = Command::new(program).arg("600").spawn().unwrap();
                self.running.lock().unwrap().push(Box::new(Ended(child)));
            }
            Trigger::Battery => power(self.folder.path(), false),
            Trigger::Heat => heat(self.folder.path(), 95),
            Trigger::DataCap => {
                desktop.set(|settings| settings.rules.data_cap_gb = Some(CARRIED_GB)).unwrap();
            }
            Trigger::Pause => {
                let pause = json!({"length": {"kind": "minutes", "minutes": 60}, "finish": false});
                desktop.call("pause", pause).await.unwrap();
            }
            Trigger::EarnOff => {
                desktop.call("earn_set", json!({"on": false})).await.unwrap();
            }
            Trigger::Input => {
                let key = Command::new("xdotool").env("DISPLAY", &self.display).args(["key", "a"]).status();
                assert!(key.expect("xdotool: apt-get install xdotool").success());
            }
        }
    }

    /// It is over.
    pub(crate) fn undo(&self, trigger: Trigger, desktop: &Desktop, rules: &Rules) {
        self.running.lock().unwrap().clear();
        power(self.folder.path(), true);
        heat(self.folder.path(), 65);
        if trigger != Trigger::Input {
            let set = desktop.set(|settings| {
                settings.rules = rules.clone();
                settings.sharing.pause = None;
                settings.sharing.earn = true;
            });
            set.unwrap();
        }
    }
}

fn power(folder: &Path, plugged: bool) {
    let supplies = folder.join("sys/class/power_supply");
    write(&supplies.join("AC"), &[("type", "Mains"), ("online", if plugged { "1" } else { "0" })]);
    write(&supplies.join("BAT0"), &[("status", if plugged { "Charging" } else { "Discharging" })]);
}

fn heat(folder: &Path, celsius: u32) {
    let sensor = folder.join("sys/class/drm/card0/device/hwmon/hwmon0");
    write(&sensor, &[("temp1_input", &format!("{celsius}000"))]);
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    fs::create_dir_all(folder).unwrap();
    for (name, value) in files {
        // Whole or not at all: somebody reads it meanwhile.
        let fresh = folder.join(format!(".{name}"));
        fs::write(&fresh, format!("{value}\n")).unwrap();
        fs::rename(fresh, folder.join(name)).unwrap();
    }
}
