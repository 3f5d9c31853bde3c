//! A process that is killed while it writes. The process is this test program, run again.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use computepool_core::ports::Journal;
use computepool_store::{Store, StoreError};

use crate::database::Database;
use crate::sample::{began, generation, generations, peer};

const URL: &str = "COMPUTEPOOL_STORE_TEST_URL";
const BATCH: u32 = 25;
/// The first batch after those that were written before.
const FIRST: &str = "COMPUTEPOOL_STORE_TEST_FIRST";

/// Not a test: where [`URL`] is set, this writes batches until it is killed, and says which are acknowledged.
#[test]
fn writer() {
    let (Ok(url), Ok(first)) = (std::env::var(URL), std::env::var(FIRST)) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&url, &peer("ada")).await.unwrap();
        for group in first.parse::<u32>().unwrap().. {
            let batch = (0..BATCH).map(|member| began(generation(group, member), 1, u64::from(group))).collect();
            store.write(batch).await.unwrap();
            let mut out = std::io::stdout();
            writeln!(out, "\nkept {group}").unwrap();
            out.flush().unwrap();
        }
    });
}

fn spawn_writer(url: &str, first: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--nocapture"])
        .env(URL, url)
        .env(FIRST, first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) async fn what_was_acknowledged_survives_a_kill(database: &Database) {
    let mut acknowledged = 0;
    // How many batches it may write, and then how far into the next ones the kill may come.
    for (patience, further) in [(1, 0), (7, 400), (20, 900), (3, 1_700), (5, 2_600)] {
        let mut child = spawn_writer(&database.url(), acknowledged);
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut kept = output.lines().map_while(Result::ok).filter(|line| line.starts_with("kept "));
        for _ in 0..patience {
            assert_eq!(kept.next(), Some(format!("kept {acknowledged}")), "the writer writes");
            acknowledged += 1;
        }
        // Two processes: the one that lives has the records.
        if patience == 1 {
            let refused = database.try_open("ada").await.unwrap_err();
            assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
        }
        std::thread::sleep(Duration::from_micros(further));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged += u32::try_from(kept.count()).unwrap();

        let store = database.open("ada").await;
        let found = generations(&store.read().await.unwrap());
        let whole = u32::try_from(found.len()).unwrap() / BATCH;
        let expected: Vec<_> = (0..whole).flat_map(|group| (0..BATCH).map(move |n| generation(group, n))).collect();
        let whole_only = found == expected;
        assert!(whole_only, "a batch is there by half, or missing among {} generations", found.len());
        assert!(whole >= acknowledged, "{acknowledged} batches were acknowledged, {whole} are there");
        assert!(whole <= acknowledged + 1, "at most the one that was being written is there beyond these");
        acknowledged = whole;
        store.close().await.unwrap();
    }
}
