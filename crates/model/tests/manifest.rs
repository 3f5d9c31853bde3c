//! Manifests: the blocks that they name for a layer range are enough to load it, and they name no more than that takes.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use computepool_core::ports::Text;
use computepool_core::ports::{Signer, Verifier};
use computepool_core::{ContentHash, LayerRange, Manifest, ModelId, NodeId, Sealed};
use computepool_model::ModelError;
use computepool_model::catalogue::{Catalogue, HashCache, SAMPLE_MODEL_SHA256, hash_model, sample_model_path};
use computepool_model::config::{Architecture, RopeScaling};
use computepool_model::manifest::{block_bytes_for, build};
use computepool_model::testkit::{TinyModel, TinySpec, as_bf16, as_f32};
use computepool_model::text::ModelText;
use computepool_model::weights::ModelFile;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const BLOCK: u32 = 1 << 16;

fn id() -> ModelId {
    ModelId::new("tiny").unwrap()
}

fn quiet(_: computepool_model::catalogue::HashProgress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Writes the model as a GGUF file or a folder, with a layout in which layers are scattered over the file.
fn write(spec: &TinySpec, folder: Option<usize>, dir: &Path) -> PathBuf {
    let model = TinyModel::random(spec.clone());
    match folder {
        None => {
            let path = dir.join("tiny.gguf");
            model.write_gguf(&path, &as_f32).unwrap();
            path
        }
        Some(files) => {
            let path = dir.join("tiny");
            model.write_hf(&path, files, &as_bf16).unwrap();
            path
        }
    }
}

/// The files of a manifest in which only the wanted blocks are there; all else is a hole.
fn partial(original: &Path, manifest: &Manifest, layers: LayerRange, dir: &Path) -> PathBuf {
    let folder = dir.join(layers.to_string());
    fs::create_dir(&folder).unwrap();
    for ((index, file), blocks) in manifest.files.iter().enumerate().zip(manifest.blocks_for(layers)) {
        let from = if original.is_dir() { original.join(&file.name) } else { original.to_path_buf() };
        let mut from = File::open(from).unwrap();
        let mut to = File::create(folder.join(&file.name)).unwrap();
        to.set_len(file.bytes).unwrap();
        for block in blocks {
            let mut bytes = vec![0; manifest.block_len(index as u32, block).unwrap() as usize];
            let at = SeekFrom::Start(u64::from(block) * u64::from(manifest.block_bytes));
            from.seek(at).unwrap();
            from.read_exact(&mut bytes).unwrap();
            assert_eq!(ContentHash(Sha256::digest(&bytes).into()), file.blocks[block as usize]);
            to.seek(at).unwrap();
            to.write_all(&bytes).unwrap();
        }
    }
    if original.is_dir() { folder } else { folder.join(&manifest.files[0].name) }
}

fn every_range_loads(spec: &TinySpec, files: Option<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let path = write(spec, files, dir.path());
    let manifest = build(&path, id(), Some(BLOCK), &mut quiet).unwrap();
    assert_eq!(manifest.summary.hash, hash_model(&path, &mut quiet).unwrap());
    let whole = ModelFile::open(&path).unwrap();
    // The tokenizer of a tiny GGUF file is too small to be used; that of a folder works.
    let says = |file: &ModelFile| ModelText::open(file).map(|text| text.encode("Hello", false).unwrap());
    let said = says(&whole).map_err(|error| error.to_string());
    assert!(said.is_ok() || files.is_none());
    for start in 0..spec.layers {
        for end in start + 1..=spec.layers {
            let layers = LayerRange::new(start, end).unwrap();
            let path = partial(&path, &manifest, layers, dir.path());
            let part = ModelFile::open(&path).unwrap();
            assert_eq!(part.config(), whole.config());
            let names = whole.shard_tensors(layers);
            assert_eq!(part.shard_tensors(layers), names);
            for name in names {
                let (got, expected) = (part.require(name).unwrap(), whole.require(name).unwrap());
                assert!(got.bytes() == expected.bytes(), "{name} of {layers} in blocks of {}", manifest.block_bytes);
            }
            assert_eq!(says(&part).map_err(|error| error.to_string()), said);

            let mut catalogue = Catalogue::default();
            catalogue.admit(&path, &manifest.summary).unwrap();
            assert_eq!(catalogue.by_hash(&manifest.summary.hash).unwrap().path, path);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_blocks_of_a_range_are_enough_to_load_it(
        tied: bool,
        files in prop_oneof![Just(None), Just(Some(1)), Just(Some(3))],
        layers in 1u32..5,
        ffn in prop_oneof![Just(96usize), Just(160), Just(416)],
        vocabulary in 257usize..700,
        scaled: bool,
    ) {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_context: 256,
        };
        let rope_scaling = if scaled { scaling } else { RopeScaling::None };
        let spec = TinySpec { tied, layers, ffn, vocabulary, rope_scaling, ..TinySpec::new(Architecture::Llama) };
        every_range_loads(&spec, files);
    }
}

#[test]
fn a_shard_of_the_sample_model_loads_from_its_blocks() {
    let path = sample_model_path().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let manifest = build(&path, id(), None, &mut quiet).unwrap();
    assert_eq!(manifest.summary.hash.to_string(), SAMPLE_MODEL_SHA256);
    let whole = ModelFile::open(&path).unwrap();
    for layers in [LayerRange::new(0, 10).unwrap(), LayerRange::new(10, 20).unwrap(), LayerRange::new(20, 30).unwrap()]
    {
        let part = ModelFile::open(&partial(&path, &manifest, layers, dir.path())).unwrap();
        for name in whole.shard_tensors(layers) {
            assert!(part.require(name).unwrap().bytes() == whole.require(name).unwrap().bytes(), "{name} of {layers}");
        }
        let says = |file: &ModelFile| ModelText::open(file).unwrap().encode("Hello, world", true).unwrap();
        assert_eq!(says(&part), says(&whole));
    }
}

#[test]
fn a_tied_head_is_the_embedding_and_a_middle_shard_fetches_neither() {
    let dir = tempfile::tempdir().unwrap();
    for tied in [true, false] {
        let spec = TinySpec { tied, layers: 4, ffn: 416, vocabulary: 2000, ..TinySpec::new(Architecture::Qwen3) };
        let path = write(&spec, None, dir.path());
        let manifest = build(&path, id(), Some(BLOCK), &mut quiet).unwrap();
        let bytes = |start, end| -> u64 {
            let layers = LayerRange::new(start, end).unwrap();
            let blocks = manifest.blocks_for(layers);
            blocks[0].iter().map(|block| u64::from(manifest.block_len(0, *block).unwrap())).sum()
        };
        let embedding = manifest.summary.embedding_bytes;
        assert!(bytes(1, 3) < bytes(0, 2), "{tied}");
        assert!(bytes(0, 2) >= embedding && bytes(2, 4) >= embedding, "{tied}");
        // A range's bytes are its tensors', the header, and no more than the rest of two blocks for each piece.
        let file = ModelFile::open(&path).unwrap();
        let layers = LayerRange::new(1, 3).unwrap();
        let header = manifest.common[0].end;
        let pieces = manifest.layers.iter().map(Vec::len).max().unwrap() as u64 * 2 + 1;
        assert!(bytes(1, 3) <= file.shard_bytes(layers) + header + pieces * 2 * u64::from(BLOCK));
    }
}

#[test]
fn a_manifest_is_remembered_until_a_file_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&TinySpec::new(Architecture::Llama), None, dir.path());
    let then = SystemTime::now() - Duration::from_secs(60);
    File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    let cache = HashCache::new(dir.path().join("cache"));
    let mut read = 0;
    let mut manifest = |blocks: Option<u32>| {
        let mut last = 0;
        let manifest = cache.manifest(&path, id(), blocks, &mut |at| {
            last = at.done;
            ControlFlow::Continue(())
        });
        read += last;
        (manifest.unwrap(), read)
    };
    let length = fs::metadata(&path).unwrap().len();
    let (first, read) = manifest(Some(BLOCK));
    assert_eq!(read, length);
    assert_eq!(manifest(Some(BLOCK)), (first.clone(), length));
    assert_eq!(manifest(None), (first.clone(), length), "any block size will do");
    assert_eq!(cache.hash(&path, &mut |_| unreachable!("its hash is known as well")).unwrap(), first.summary.hash);
    let (other, read) = manifest(Some(BLOCK * 2));
    assert_eq!((other.block_bytes, other.summary.hash, read), (BLOCK * 2, first.summary.hash, 2 * length));

    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_ne!(manifest(None).0.summary.hash, first.summary.hash);
}

#[test]
fn a_file_that_is_not_what_the_manifest_says_is_not_admitted() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&TinySpec::new(Architecture::Llama), None, dir.path());
    let mut summary = build(&path, id(), None, &mut quiet).unwrap().summary;
    summary.layer_bytes[1] += 1;
    let refused = Catalogue::default().admit(&path, &summary).unwrap_err();
    assert!(matches!(refused, ModelError::NotAsDescribed { .. }), "{refused}");
}

struct Anybody;

impl Signer for Anybody {
    fn node(&self) -> NodeId {
        NodeId::new("owner").unwrap()
    }
    fn sign(&self, _: &[u8]) -> Vec<u8> {
        vec![1]
    }
}

impl Verifier for Anybody {
    fn verify(&self, _: &NodeId, _: &[u8], signature: &[u8]) -> bool {
        signature == [1]
    }
}

#[test]
fn what_is_built_can_be_sealed_and_big_models_fit() {
    let dir = tempfile::tempdir().unwrap();
    for files in [None, Some(3)] {
        let path = write(&TinySpec::new(Architecture::Gemma3), files, dir.path());
        let manifest = build(&path, id(), None, &mut quiet).unwrap();
        let sealed = Sealed::seal(&manifest, &Anybody).unwrap();
        assert_eq!(sealed.open::<Manifest>(&Anybody).unwrap(), manifest);
    }
    assert_eq!(block_bytes_for(100 << 20), 1 << 18);
    assert_eq!(block_bytes_for(40 << 30), 1 << 21);
    for bytes in [1, 1 << 30, 70 << 30, 250 << 30] {
        let blocks = bytes / u64::from(block_bytes_for(bytes)) + 1;
        assert!(blocks <= (1 << 15) + 1, "{blocks} hashes of 33 bytes for {bytes}");
    }
}
