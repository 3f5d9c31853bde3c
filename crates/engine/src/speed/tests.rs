use computepool_model::config::Architecture;
use computepool_model::testkit::{TinyModel, TinySpec, as_q8_0};

use super::*;
use crate::accelerator::Accelerator;
use crate::cpu::Cpu;

#[test]
fn every_model_can_be_timed_on_either_device_even_one_of_a_single_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let model = ContentHash([3; 32]);
    for layers in [1, 4] {
        let spec = TinySpec { layers, ..TinySpec::new(Architecture::Qwen3) };
        TinyModel::random(spec).write_gguf(&path, &as_q8_0).unwrap();
        let measured =
            [measure(&Cpu::new(1), &path, model).unwrap(), measure(&Accelerator::processor(), &path, model).unwrap()];
        for speed in measured {
            assert_eq!(speed.model, model);
            let times = [speed.layer_ns, speed.layer_ns_8, speed.prefill_ns, speed.head_ns];
            // A block of 64 numbers takes microseconds; a second would be another unit.
            assert!(times.iter().all(|ns| (1..1_000_000_000).contains(ns)), "{speed:?}");
        }
    }
}

#[test]
fn small_models_are_timed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    TinyModel::random(TinySpec::new(Architecture::Llama)).write_gguf(&path, &as_q8_0).unwrap();
    let file = ModelFile::open(&path).unwrap();
    assert_eq!(timed_blocks(&file).unwrap(), LayerRange::new(0, 4).unwrap());
}

#[test]
fn the_median_ends_after_the_runs_or_the_patience_and_leaves_the_first_run_out() {
    let timed = |took: fn(usize) -> u64| {
        let mut runs = 0;
        let median = median(|| {
            runs += 1;
            Ok(Duration::from_millis(took(runs)))
        });
        (runs, median.unwrap().as_millis())
    };
    assert_eq!(timed(|run| if run == 1 { 100 } else { 1 }), (RUNS + 1, 1));
    assert_eq!(timed(|_| 10_000), (2, 10_000));
}
