//! The catalogue: what is found, what it is called, and that a big file is hashed once.

#![expect(clippy::unwrap_used, reason = "a test ends where its set-up fails")]

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime};

use computepool_core::{Fault, FaultCode, ModelId};
use computepool_model::ModelError;
use computepool_model::catalogue::{Catalogue, HashCache, ModelSource, hash_model, verify};
use computepool_model::config::Architecture;
use computepool_model::testkit::{TinyModel, TinySpec, as_f32};
use sha2::{Digest, Sha256};

fn tiny(seed: u64) -> TinyModel {
    TinyModel::random(TinySpec { layers: 2, seed, ..TinySpec::new(Architecture::Llama) })
}

fn source(path: &Path) -> ModelSource {
    ModelSource { id: None, path: path.to_path_buf() }
}

fn ids(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.entries().iter().map(|entry| entry.summary.id.as_str()).collect()
}

fn scan(sources: &[ModelSource], cache: &HashCache) -> (Catalogue, u64) {
    let mut hashed = 0;
    let mut last = 0;
    let mut progress = |progress: computepool_model::catalogue::HashProgress<'_>| {
        assert!(progress.done <= progress.total);
        hashed += progress.done - if progress.done > last { last } else { 0 };
        last = if progress.done == progress.total { 0 } else { progress.done };
        ControlFlow::Continue(())
    };
    let catalogue = Catalogue::scan(sources, cache, &mut progress).unwrap();
    (catalogue, hashed)
}

/// Makes a file look as if it had been written a while ago.
fn settle(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn folders_are_searched_and_what_is_found_gets_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path();
    fs::create_dir_all(models.join("publisher/model")).unwrap();
    tiny(1).write_gguf(&models.join("publisher/model/Tiny One.Q4.gguf"), &as_f32).unwrap();
    tiny(2).write_gguf(&models.join("ggml-model-f16.gguf"), &as_f32).unwrap();
    tiny(3).write_hf(&models.join("Tiny-HF"), 2, &as_f32).unwrap();
    fs::write(models.join("broken.gguf"), b"GGUF\x03\0\0\0").unwrap();
    fs::write(models.join("mmproj-tiny.gguf"), b"an image part").unwrap();
    fs::write(models.join("notes.txt"), b"not a model").unwrap();

    let (catalogue, _) = scan(&[source(models)], &HashCache::forgetful());
    assert_eq!(ids(&catalogue), ["tiny-hf", "tiny-llama", "tiny-one.q4"]);
    let [skipped] = catalogue.skipped() else { panic!("{:?}", catalogue.skipped()) };
    assert!(skipped.path.ends_with("broken.gguf"));
    assert_eq!(skipped.fault.code, FaultCode::BadModelFile);

    let entry = catalogue.by_id(&ModelId::new("tiny-one.q4").unwrap()).unwrap();
    let digest: [u8; 32] = Sha256::digest(fs::read(&entry.path).unwrap()).into();
    assert_eq!(entry.summary.hash.0, digest);
    assert_eq!(catalogue.by_hash(&entry.summary.hash).unwrap(), entry);
    assert_eq!(entry.summary.layer_count, 2);
}

#[test]
fn names_stay_unique_and_an_explicit_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for (folder, seed) in [("a", 1), ("b", 2), ("c", 1)] {
        fs::create_dir(path(folder)).unwrap();
        tiny(seed).write_gguf(&path(folder).join("tiny.gguf"), &as_f32).unwrap();
    }
    let (catalogue, _) = scan(&[source(dir.path())], &HashCache::forgetful());
    // c holds the bytes of a, and is the same model.
    let hash = catalogue.entries()[1].summary.hash.to_string();
    assert_eq!(ids(&catalogue), ["tiny".to_owned(), format!("tiny-{}", &hash[..8])]);

    let named: ModelSource = format!("tiny={}", path("b").join("tiny.gguf").display()).parse().unwrap();
    let (catalogue, _) = scan(&[source(dir.path()), named], &HashCache::forgetful());
    assert!(catalogue.by_id(&ModelId::new("tiny").unwrap()).unwrap().path.starts_with(path("b")));
    assert_eq!(catalogue.entries().len(), 2);

    let missing = [source(&path("absent.gguf"))];
    let error = Catalogue::scan(&missing, &HashCache::forgetful(), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert_eq!(Fault::from(error).code, FaultCode::Io);
    fs::write(path("broken.gguf"), b"GGUF\x03\0\0\0").unwrap();
    let broken = [source(&path("broken.gguf"))];
    assert!(Catalogue::scan(&broken, &HashCache::forgetful(), &mut |_| ControlFlow::Continue(())).is_err());
}

#[test]
fn a_big_file_is_hashed_once_until_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    tiny(1).write_gguf(&path, &as_f32).unwrap();
    let size = fs::metadata(&path).unwrap().len();
    let cache = HashCache::new(dir.path().join("cache"));

    // A file that was just written may change within the resolution of its time stamp: not remembered.
    settle(&path, 0);
    assert_eq!(scan(&[source(&path)], &cache).1, size);
    settle(&path, 100);
    let (first, hashed) = scan(&[source(&path)], &cache);
    assert_eq!(hashed, size);
    let (again, hashed) = scan(&[source(&path)], &cache);
    assert_eq!((hashed, again.entries()), (0, first.entries()));

    // Same size, other bytes, other time.
    tiny(2).write_gguf(&path, &as_f32).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), size);
    settle(&path, 50);
    let (changed, hashed) = scan(&[source(&path)], &cache);
    assert_eq!(hashed, size);
    assert_ne!(changed.entries()[0].summary.hash, first.entries()[0].summary.hash);

    // A damaged memory costs time, not truth.
    for sidecar in fs::read_dir(dir.path().join("cache")).unwrap() {
        fs::write(sidecar.unwrap().path(), b"{").unwrap();
    }
    let (healed, hashed) = scan(&[source(&path)], &cache);
    assert_eq!((hashed, healed.entries()), (size, changed.entries()));
}

#[test]
fn a_folder_is_hashed_by_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    tiny(1).write_hf(dir.path(), 2, &as_f32).unwrap();
    let hash = || hash_model(dir.path(), &mut |_| ControlFlow::Continue(())).unwrap();
    let names =
        ["config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.json"];
    let mut manifest = String::new();
    for name in names {
        manifest += &format!("{}  {name}\n", hex::encode(Sha256::digest(fs::read(dir.path().join(name)).unwrap())));
    }
    let before = hash();
    assert_eq!(before.0, <[u8; 32]>::from(Sha256::digest(manifest)));
    fs::write(dir.path().join("README.md"), "changes nothing").unwrap();
    assert_eq!(hash(), before);
    fs::write(dir.path().join("tokenizer.json"), "{}").unwrap();
    assert_ne!(hash(), before);
}

#[test]
fn verifying_tells_what_it_found_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    tiny(1).write_gguf(&path, &as_f32).unwrap();
    let hash = hash_model(&path, &mut |_| ControlFlow::Continue(())).unwrap();
    verify(&path, &hash, &mut |_| ControlFlow::Continue(())).unwrap();
    let mut other = hash;
    other.0[0] ^= 1;
    match verify(&path, &other, &mut |_| ControlFlow::Continue(())) {
        Err(ModelError::HashMismatch { expected, got, .. }) => assert_eq!((expected, got), (other, hash)),
        result => panic!("{result:?}"),
    }
    assert!(matches!(hash_model(&path, &mut |_| ControlFlow::Break(())), Err(ModelError::Cancelled)));
}
