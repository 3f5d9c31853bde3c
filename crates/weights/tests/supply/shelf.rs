//! What a shelf says of itself, and that it survives what happens to disks and processes.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};

use computepool_core::ports::BlockShelf as _;
use computepool_core::{FaultCode, HeldModel, LayerRange};
use computepool_weights::WeightsError;

use crate::fetching::stocked;
use crate::model::{BLOCK, LAYERS, TestShelf, ensure, model, model_in_blocks, open, range};
use crate::web::{Manner, Server};

fn ranges(shelf: &TestShelf) -> Vec<Option<LayerRange>> {
    shelf.shelf.held().into_iter().map(|HeldModel { layers, .. }| layers).collect()
}

#[tokio::test]
async fn what_is_held_is_told_in_the_longest_ranges_and_outlives_the_process() {
    let model = model(21);
    let shelf = stocked(&model, 1..3).await;
    let server = Server::start(&model, Manner::Well).await;
    ensure(&shelf.supply(None), &model, range(4, 5), &[&server.url]).await.unwrap();
    let held = [Some(range(1, 3)), Some(range(4, 5))];
    assert_eq!(ranges(&shelf), held);
    assert_eq!(shelf.shelf.path(&model.hash()), Some(shelf.folder().join(model.hash().to_string()).join("files")));
    let bytes = shelf.shelf.bytes();

    let shelf = shelf.reopened();
    assert_eq!((ranges(&shelf).as_slice(), shelf.shelf.bytes()), (held.as_slice(), bytes));
    assert_eq!(shelf.shelf.summaries(), std::slice::from_ref(&model.manifest.summary));
    let block = model.manifest.blocks_for(range(1, 3))[0][1] as usize;
    let hash = model.manifest.files[0].blocks[block];
    let start = block * BLOCK as usize;
    let read = shelf.shelf.read(hash).await.unwrap();
    assert_eq!(read, model.files[0].1[start..start + BLOCK as usize]);

    shelf.shelf.remove(&model.hash()).unwrap();
    assert_eq!((shelf.shelf.held(), shelf.shelf.bytes()), (vec![], 0));
    assert_eq!(shelf.shelf.read(hash).await, None);
    assert!(!shelf.folder().join(model.hash().to_string()).exists());
}

#[tokio::test]
async fn blocks_that_were_written_but_not_noted_are_found_again() {
    let model = model(22);
    let server = Server::start(&model, Manner::Well).await;
    // The marks are lost, torn, of another manifest, or behind what was written.
    for harm in 0..4 {
        let shelf = stocked(&model, 0..4).await;
        let folder = shelf.folder().join(model.hash().to_string());
        match harm {
            0 => fs::remove_file(folder.join("marks")).unwrap(),
            1 => File::options().write(true).open(folder.join("marks")).unwrap().set_len(60).unwrap(),
            2 => fs::write(folder.join("marks"), [0; 100]).unwrap(),
            _ => drop(File::create(folder.join("unsettled")).unwrap()),
        }
        let shelf = shelf.reopened();
        let before = server.bytes();
        ensure(&shelf.supply(None), &model, range(0, 4), &[&server.url]).await.unwrap();
        assert_eq!(server.bytes(), before, "{harm}: nothing is fetched again");
        assert!(!folder.join("unsettled").exists());
        assert_eq!(ranges(&shelf.reopened()), [Some(range(0, 4))]);
    }
}

#[tokio::test]
async fn a_later_manifest_keeps_what_is_right_under_it() {
    let (coarse, fine) = (model_in_blocks(23, 2 * BLOCK), model_in_blocks(23, BLOCK));
    let shelf = stocked(&coarse, 0..3).await;
    let server = Server::start(&fine, Manner::Well).await;
    ensure(&shelf.supply(None), &fine, range(0, 3), &[&server.url]).await.unwrap();
    assert_eq!(server.bytes(), 0);
    assert!(fine.is_there(&shelf, range(0, 3)));
    assert_eq!(ranges(&shelf.reopened()), [Some(range(0, 3))]);
}

#[tokio::test]
async fn a_file_that_changed_is_noticed() {
    let model = model(24);
    let shelf = stocked(&model, 0..4).await;
    let path = shelf.folder().join(model.hash().to_string()).join("files/main/first.bin");
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    file.write_all(b"rot").unwrap();
    assert_eq!(shelf.shelf.read(model.manifest.files[0].blocks[0]).await, None, "a peer is never sent a wrong block");
    // The header is needed by every layer.
    assert!(shelf.shelf.held().is_empty());
    let server = Server::start(&model, Manner::Well).await;
    ensure(&shelf.supply(None), &model, range(0, 4), &[&server.url]).await.unwrap();
    assert_eq!(server.bytes(), BLOCK);

    // One that was cut short counts for nothing, the other file stays.
    file.set_len(BLOCK).unwrap();
    drop(file);
    let shelf = shelf.reopened();
    let before = server.bytes();
    ensure(&shelf.supply(None), &model, range(0, 4), &[&server.url]).await.unwrap();
    assert!(model.is_there(&shelf, range(0, 4)));
    let first: u64 = server.bytes() - before;
    assert!(first > 0 && first < model.bytes(range(0, 4)), "{first}");
}

#[tokio::test]
async fn the_owners_limit_is_checked_before_anything_is_fetched() {
    let model = model(25);
    let server = Server::start(&model, Manner::Well).await;
    let needed = model.bytes(range(0, 2));
    let shelf = TestShelf::limited(Some(needed));
    let supply = shelf.supply(None);
    let fault = ensure(&supply, &model, range(0, LAYERS), &[&server.url]).await.unwrap_err();
    assert_eq!((fault.code, server.bytes()), (FaultCode::NoCapacity, 0));
    assert!(fault.hint.is_some());
    ensure(&supply, &model, range(0, 2), &[&server.url]).await.unwrap();
    let fault = ensure(&supply, &model, range(0, 3), &[&server.url]).await.unwrap_err();
    assert_eq!(fault.code, FaultCode::NoCapacity);
    assert_eq!(shelf.shelf.bytes(), needed);
}

#[tokio::test]
async fn one_process_at_a_time_uses_a_folder() {
    let shelf = TestShelf::new();
    assert!(matches!(open(shelf.folder(), None), Err(WeightsError::InUse { .. })));
    let folder = shelf.folder();
    let again = shelf.reopened();
    assert!(folder.is_dir());
    drop(again);
}
