//! GPUs whose drivers speak through `/sys/class/drm`: AMD's, and what Intel's tell.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::GpuReading;
use crate::board::Board;
use crate::nvidia::is_nvidia;

const EVERY: Duration = Duration::from_millis(500);

pub(super) fn start(board: &Board, sysfs: PathBuf) {
    board.spawn("drm", move |board| {
        loop {
            board.gpus(|gpu| !is_nvidia(gpu), look(&sysfs.join("class/drm")));
            if !board.sleep(EVERY) {
                return;
            }
        }
    });
}

fn look(drm: &Path) -> Vec<GpuReading> {
    let Ok(entries) = fs::read_dir(drm) else { return Vec::new() };
    let mut cards: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("card"));
            number.is_some_and(|number| number.parse::<u32>().is_ok())
        })
        .map(|entry| entry.path().join("device"))
        .collect();
    cards.sort();
    cards.iter().filter_map(|device| reading(device)).collect()
}

fn reading(device: &Path) -> Option<GpuReading> {
    let text = |path: PathBuf| fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let number = |path: PathBuf| text(path).and_then(|text| text.parse::<u64>().ok());
    let maker = match text(device.join("vendor")).as_deref() {
        Some("0x1002") => "AMD",
        Some("0x8086") => "Intel",
        // NVIDIA's own library says more.
        _ => return None,
    };
    let sensor = fs::read_dir(device.join("hwmon")).ok().and_then(|mut folders| folders.next()?.ok());
    let sensor = sensor.map(|folder| folder.path()).unwrap_or_default();
    let model = text(device.join("product_name")).or_else(|| text(device.join("device"))).unwrap_or_default();
    let fan = number(sensor.join("pwm1")).map(|duty| (duty.min(255) * 100 / 255) as u8);
    let slot = fs::canonicalize(device).ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Some(GpuReading {
        id: format!("{}-{}", maker.to_lowercase(), slot.unwrap_or_else(|| device.display().to_string())),
        name: format!("{maker} {model}"),
        utilisation: number(device.join("gpu_busy_percent")).map(|percent| percent.min(100) as u8),
        memory_total: number(device.join("mem_info_vram_total")),
        memory_used: number(device.join("mem_info_vram_used")),
        temperature_c: number(sensor.join("temp1_input")).map(|millidegrees| (millidegrees / 1000) as u16),
        fan,
        watts: number(sensor.join("power1_average")).map(|microwatts| microwatts as f32 / 1e6),
        watts_limit: number(sensor.join("power1_cap")).map(|microwatts| microwatts as f32 / 1e6),
        // These drivers do not say whose work it is.
        others: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amd_gpu_is_read_and_connectors_are_not() {
        let drm = tempfile::tempdir().unwrap();
        let device = drm.path().join("card1/device");
        let sensor = device.join("hwmon/hwmon3");
        fs::create_dir_all(&sensor).unwrap();
        fs::create_dir_all(drm.path().join("card1-DP-1/device")).unwrap();
        for (path, value) in [
            (device.join("vendor"), "0x1002"),
            (device.join("device"), "0x744c"),
            (device.join("gpu_busy_percent"), "37"),
            (device.join("mem_info_vram_total"), "25753026560"),
            (device.join("mem_info_vram_used"), "1048576"),
            (sensor.join("temp1_input"), "61000"),
            (sensor.join("pwm1"), "128"),
            (sensor.join("power1_average"), "41000000"),
        ] {
            fs::write(path, format!("{value}\n")).unwrap();
        }
        let gpus = look(drm.path());
        let [gpu] = gpus.as_slice() else { panic!("{gpus:?}") };
        assert_eq!((gpu.name.as_str(), gpu.utilisation, gpu.temperature_c), ("AMD 0x744c", Some(37), Some(61)));
        assert_eq!((gpu.memory_total, gpu.fan, gpu.watts), (Some(25_753_026_560), Some(50), Some(41.0)));
        assert!(look(&drm.path().join("none")).is_empty());
    }
}
