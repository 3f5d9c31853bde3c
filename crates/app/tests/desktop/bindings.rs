//! The page's types are those of the table of commands.

use computepool_app::desktop::commands::{COMMANDS, typescript};

const BINDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui/src/platform/generated/commands.ts");

#[test]
fn the_bindings_are_up_to_date() {
    let made = typescript();
    if std::env::var_os("UPDATE_BINDINGS").is_some() {
        std::fs::create_dir_all(std::path::Path::new(BINDINGS).parent().unwrap()).unwrap();
        std::fs::write(BINDINGS, &made).unwrap();
    }
    let committed = std::fs::read_to_string(BINDINGS).unwrap_or_default().replace("\r\n", "\n");
    assert!(made == committed, "ui/src/platform/generated/commands.ts is out of date: run `make bindings`");
    for command in COMMANDS {
        assert!(made.contains(&format!("  {command}: {{ args: ")), "{command}");
    }
}

#[test]
fn nothing_that_a_page_is_told_can_hold_a_key() {
    let made = typescript().to_lowercase();
    // What a page sends may open a wallet; what it is told may not.
    for (at, _) in made.match_indices("passphrase") {
        let name = made[..at].rfind("type ").map(|start| made[start..at].split_whitespace().nth(1).unwrap_or_default());
        assert!(matches!(name, Some("opening" | "newwallet" | "importing" | "answers")), "{name:?}");
    }
    for word in ["private", "mnemonic", " phrase:", "seed_phrase", "secret"] {
        assert!(!made.contains(word), "{word}");
    }
}
