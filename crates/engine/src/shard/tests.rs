//! Every architecture, as GGUF file and as folder, on our kernels and on candle: one model must give one answer.

use std::path::Path;

use computepool_model::config::Architecture;
use computepool_model::testkit::{TinyModel, TinySpec, as_f32, as_q8_0};
use tempfile::tempdir;

use super::*;

const IDS: [u32; 40] = {
    let mut ids = [0; 40];
    let mut i = 0;
    while i < 40 {
        ids[i] = 3 + (i as u32 * 37) % 90;
        i += 1;
    }
    ids
};

/// The largest difference, relative to the largest logit.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let size = a.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs())) / size
}

fn cpu(path: &Path, chunk: usize) -> Vec<f32> {
    logits(&Cpu::new(1), path, &IDS, chunk).unwrap()
}

fn candle(path: &Path, chunk: usize) -> Vec<f32> {
    logits(&Accelerator::processor(), path, &IDS, chunk).unwrap()
}

fn each(mut check: impl FnMut(Architecture, bool, &TinyModel)) {
    for &architecture in Architecture::ALL {
        for tied in [true, false] {
            let mut spec = TinySpec::new(architecture);
            spec.tied = tied;
            check(architecture, tied, &TinyModel::random(spec));
        }
    }
}

#[test]
fn candle_and_our_kernels_agree_on_every_architecture() {
    each(|architecture, tied, model| {
        let folder = tempdir().unwrap();
        if architecture != Architecture::Mistral {
            let file = folder.path().join("model.gguf");
            model.write_gguf(&file, &as_f32).unwrap();
            let ours = cpu(&file, usize::MAX);
            let off = apart(&ours, &candle(&file, usize::MAX));
            assert!(off < 1e-4, "{architecture:?} tied {tied}: {off}");
            let off = apart(&ours, &candle(&file, 7));
            assert!(off < 1e-4, "{architecture:?} tied {tied} in chunks: {off}");
        }
        model.write_hf(folder.path(), 1, &as_f32).unwrap();
        let off = apart(&cpu(folder.path(), usize::MAX), &candle(folder.path(), 13));
        assert!(off < 1e-4, "{architecture:?} tied {tied}, folder: {off}");
    });
}

#[test]
fn a_file_and_a_folder_with_the_same_weights_give_the_same_logits() {
    each(|architecture, tied, model| {
        if architecture == Architecture::Mistral {
            return;
        }
        let folder = tempdir().unwrap();
        let file = folder.path().join("model.gguf");
        model.write_gguf(&file, &as_f32).unwrap();
        let hf = folder.path().join("hf");
        model.write_hf(&hf, 2, &as_f32).unwrap();
        let off = apart(&cpu(&file, usize::MAX), &cpu(&hf, usize::MAX));
        assert!(off < 1e-5, "{architecture:?} tied {tied}: {off}");
    });
}

#[test]
fn chunks_change_no_bit_on_any_architecture() {
    each(|architecture, tied, model| {
        let folder = tempdir().unwrap();
        model.write_hf(folder.path(), 1, &as_f32).unwrap();
        let bits = |chunk| cpu(folder.path(), chunk).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let whole = bits(usize::MAX);
        for chunk in [1, 5, 16] {
            assert!(bits(chunk) == whole, "{architecture:?} tied {tied}, chunks of {chunk}");
        }
    });
}

#[test]
fn every_instruction_set_and_number_of_threads_gives_the_same_logits_of_a_quantised_model() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("model.gguf");
    TinyModel::random(TinySpec::new(Architecture::Llama)).write_gguf(&file, &as_q8_0).unwrap();
    let bits = |cpu: &Cpu| logits(cpu, &file, &IDS, 9).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let reference = bits(&Cpu::with_isa(crate::kernels::Isa::Portable, 1));
    for isa in crate::kernels::Isa::available() {
        for threads in [1, 2, 3] {
            assert!(bits(&Cpu::with_isa(isa, threads)) == reference, "{isa:?}, {threads} threads");
        }
    }
}
