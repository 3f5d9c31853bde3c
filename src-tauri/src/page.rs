//! The page's two doors: the table of commands, and the system's browser.

use computepool_app::desktop::Desktop;
use computepool_app::desktop::Problem;
use serde_json::Value;
use tauri::{AppHandle, Emitter as _, State};
use tauri_plugin_opener::OpenerExt as _;
use tokio::sync::broadcast::error::RecvError;

/// Runs a command of the table.
#[tauri::command]
pub(crate) async fn command(desktop: State<'_, Desktop>, name: String, args: Value) -> Result<Value, Problem> {
    desktop.call(&name, args).await.map_err(Problem::from)
}

/// Opens a web address in the system's browser; nothing else is an address here.
#[tauri::command]
pub(crate) fn open_outside(app: AppHandle, url: &str) -> Result<(), Problem> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    let opened = if web {
        app.opener().open_url(url, None::<&str>).map_err(|error| error.to_string())
    } else {
        Err(format!("{url:.40} is no web address"))
    };
    opened.map_err(|message| Problem { code: "open".to_owned(), message, hint: None })
}

/// Passes on what happens.
pub(crate) fn tell(app: &AppHandle, desktop: &Desktop) {
    let (app, mut events) = (app.clone(), desktop.events());
    tauri::async_runtime::spawn(async move {
        loop {
            let sent = match events.recv().await {
                Ok(event) => app.emit("host", &event),
                // Whoever was too slow to hear everything asks for everything.
                Err(RecvError::Lagged(_)) => app.emit("host", serde_json::json!({ "kind": "settings" })),
                Err(RecvError::Closed) => return,
            };
            if let Err(error) = sent {
                tracing::debug!(%error, "the page did not hear what happened");
            }
        }
    });
}
