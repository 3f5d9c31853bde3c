//! NVIDIA's GPUs, through the library that comes with their driver.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::{Device, Nvml};

use crate::board::Board;
use crate::{AppName, GpuReading, GpuUse};

const EVERY: Duration = Duration::from_millis(500);
/// A driver may be installed, or come back after an update.
const AGAIN: Duration = Duration::from_secs(60);

pub(crate) fn start(board: &Board, own: Arc<dyn Fn() -> Vec<u32> + Send + Sync>) {
    board.spawn("nvidia", move |board| {
        loop {
            match Nvml::init() {
                Ok(nvml) => look(board, &nvml, &*own),
                // Most machines have none; that is nothing to speak of.
                Err(error) => tracing::debug!(%error, "no NVIDIA driver"),
            }
            if !board.sleep(AGAIN) {
                return;
            }
        }
    });
}

fn look(board: &Board, nvml: &Nvml, own: &dyn Fn() -> Vec<u32>) {
    loop {
        let count = match nvml.device_count() {
            Ok(count) => count,
            Err(error) => {
                tracing::warn!(%error, "the NVIDIA driver does not answer any more");
                return replace(board, Vec::new());
            }
        };
        let own = own();
        let readings = (0..count).filter_map(|index| reading(&nvml.device_by_index(index).ok()?, &own)).collect();
        replace(board, readings);
        if !board.sleep(EVERY) {
            return;
        }
    }
}

fn replace(board: &Board, fresh: Vec<GpuReading>) {
    board.gpus(is_nvidia, fresh);
}

/// Their UUIDs begin so.
pub(crate) fn is_nvidia(gpu: &GpuReading) -> bool {
    gpu.id.starts_with("GPU-")
}

fn reading(device: &Device<'_>, own: &[u32]) -> Option<GpuReading> {
    let percent = |value: u32| u8::try_from(value.min(100)).ok();
    let memory = device.memory_info().ok();
    let utilisation = device.utilization_rates().ok().and_then(|rates| percent(rates.gpu));
    Some(GpuReading {
        id: device.uuid().ok()?,
        name: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
        utilisation,
        memory_total: memory.as_ref().map(|memory| memory.total),
        memory_used: memory.as_ref().map(|memory| memory.used),
        temperature_c: device.temperature(TemperatureSensor::Gpu).ok().and_then(|celsius| u16::try_from(celsius).ok()),
        fan: device.fan_speed(0).ok().and_then(percent),
        watts: device.power_usage().ok().map(|milliwatts| milliwatts as f32 / 1000.0),
        watts_limit: device.enforced_power_limit().ok().map(|milliwatts| milliwatts as f32 / 1000.0),
        others: others(device, own, utilisation),
    })
}

/// What processes that are not ours use.
fn others(device: &Device<'_>, own: &[u32], whole: Option<u8>) -> Option<GpuUse> {
    let mut memory: HashMap<u32, u64> = HashMap::new();
    let compute = device.running_compute_processes().unwrap_or_default();
    let graphics = device.running_graphics_processes().unwrap_or_default();
    for process in compute.into_iter().chain(graphics) {
        let used = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => bytes,
            UsedGpuMemory::Unavailable => 0,
        };
        let most = memory.entry(process.pid).or_default();
        *most = used.max(*most);
    }
    let ours = memory.keys().any(|pid| own.contains(pid));
    memory.retain(|pid, _| !own.contains(pid));
    let mut busy: HashMap<u32, u32> = HashMap::new();
    let samples = device.process_utilization_stats(None);
    for sample in samples.as_ref().ok().into_iter().flatten() {
        if !own.contains(&sample.pid) {
            let most = busy.entry(sample.pid).or_default();
            *most = sample.sm_util.max(*most);
        }
    }
    // Where the driver does not say who keeps it busy, all of it is others' unless we are on it.
    let utilisation = match samples {
        Ok(_) => Some(busy.values().sum::<u32>().min(100) as u8),
        Err(_) if !ours => whole,
        Err(_) => None,
    };
    let most = busy.iter().filter(|(_, busy)| **busy > 0).max_by_key(|(_, busy)| **busy).map(|(pid, _)| *pid);
    let most = most.or_else(|| memory.iter().max_by_key(|(_, bytes)| **bytes).map(|(pid, _)| *pid));
    Some(GpuUse { memory: memory.values().sum(), utilisation, app: most.and_then(name_of) })
}

#[cfg(target_os = "linux")]
fn name_of(pid: u32) -> Option<AppName> {
    crate::linux::app_of(std::path::Path::new("/proc"), pid)
}

#[cfg(windows)]
fn name_of(pid: u32) -> Option<AppName> {
    crate::windows::app_of(pid)
}

#[cfg(not(any(target_os = "linux", windows)))]
fn name_of(_: u32) -> Option<AppName> {
    None
}
