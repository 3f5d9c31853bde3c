use std::fs;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    text: String,
}

fn entry(text: &str) -> Entry {
    Entry { text: text.to_owned() }
}

fn add(log: &AppendLog<Entry>, text: &str) {
    let mut held = log.hold().unwrap();
    held.fresh().unwrap();
    held.append(&entry(text)).unwrap();
}

fn read(path: &Path) -> Result<Vec<String>, LogError> {
    let entries = AppendLog::<Entry>::at(path).hold()?.fresh()?.entries;
    Ok(entries.into_iter().map(|entry| entry.text).collect())
}

#[test]
fn two_processes_see_what_the_other_adds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spends.jsonl");
    let one = AppendLog::create(&path).unwrap();
    let other = AppendLog::at(&path);
    add(&one, "a");
    add(&other, "b");
    let fresh = one.hold().unwrap().fresh().unwrap();
    assert_eq!((fresh.restarted, fresh.entries), (false, vec![entry("b")]));
    add(&one, "c");
    assert_eq!(read(&path).unwrap(), ["a", "b", "c"]);
    assert!(AppendLog::<Entry>::create(&path).is_err(), "a log is written over");
}

#[test]
fn a_line_without_an_end_never_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spends.jsonl");
    let log = AppendLog::create(&path).unwrap();
    add(&log, "a");
    let whole = fs::read(&path).unwrap();
    add(&log, "b");
    let both = fs::read(&path).unwrap();
    for end in whole.len()..both.len() {
        fs::write(&path, &both[..end]).unwrap();
        assert_eq!(read(&path).unwrap(), ["a"], "cut at {end}");
        assert_eq!(fs::read(&path).unwrap(), whole, "cut at {end}");
    }
}

#[test]
fn whatever_else_is_wrong_refuses_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spends.jsonl");
    let log = AppendLog::create(&path).unwrap();
    for text in ["a", "b", "c"] {
        add(&log, text);
    }
    let good = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let without = |gone: usize| {
        let left: Vec<&str> = lines.iter().enumerate().filter(|(n, _)| *n != gone).map(|(_, line)| *line).collect();
        left.join("\n") + "\n"
    };
    let long = good.replace("\"b\"", &format!("\"{}\"", "b".repeat(MAX_LINE)));
    for bad in [without(0), without(1), without(2), good.replace("\"b\"", "b"), good.replace(":1,", ":9,"), long] {
        fs::write(&path, &bad).unwrap();
        assert!(matches!(read(&path), Err(LogError::Damaged { .. })), "{bad}");
    }
    // This process has read three lines: that they are fewer now is seen even where what is left reads well.
    fs::write(&path, without(3)).unwrap();
    assert!(matches!(log.hold().unwrap().fresh(), Err(LogError::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(read(&path), Err(LogError::Gone(_))));
}

#[test]
fn what_is_put_aside_is_kept_and_the_numbers_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spends.jsonl");
    let (log, other) = (AppendLog::create(&path).unwrap(), AppendLog::at(&path));
    for text in ["a", "b", "c"] {
        add(&other, text);
    }
    let mut held = log.hold().unwrap();
    held.fresh().unwrap();
    held.put_aside(&[entry("c")]).unwrap();
    assert_eq!(read(&folder.path().join("spends.until-3.jsonl")).unwrap(), ["a", "b", "c"]);
    add(&log, "d");
    let fresh = other.hold().unwrap().fresh().unwrap();
    assert_eq!((fresh.restarted, fresh.entries), (true, vec![entry("c"), entry("d")]));
    assert!(fs::read_to_string(&path).unwrap().contains("\"n\":3"));
}

#[test]
fn many_writers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spends.jsonl");
    let shared = AppendLog::create(&path).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (shared, path) = (&shared, &path);
            scope.spawn(move || {
                let own = AppendLog::at(path);
                for n in 0..5 {
                    add(if writer % 2 == 0 { shared } else { &own }, &format!("{writer}/{n}"));
                }
            });
        }
    });
    let mut all = read(&path).unwrap();
    all.sort();
    assert_eq!(all, (0..4).flat_map(|w| (0..5).map(move |n| format!("{w}/{n}"))).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_noisy_end_is_an_error_and_no_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spends.jsonl");
        add(&AppendLog::create(&path).unwrap(), "a");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(&tail);
        fs::write(&path, &bytes).unwrap();
        match read(&path) {
            Ok(entries) => prop_assert!(entries == ["a"] && !tail.contains(&b'\n')),
            Err(error) => {
                let damaged = matches!(error, LogError::Damaged { .. });
                prop_assert!(damaged, "{}", error);
            }
        }
    }
}
