//! What the page may call of this host: two commands, and nothing else.

fn main() {
    let commands = tauri_build::AppManifest::new().commands(&["command", "open_outside"]);
    let attributes = tauri_build::Attributes::new().app_manifest(commands);
    tauri_build::try_build(attributes).expect("the manifest of the desktop host");
}
