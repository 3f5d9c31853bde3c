//! The window: closed it only hides, and a second start brings it back.

use computepool_app::accounts::Secret;
use computepool_app::desktop::{Desktop, Notice};
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindowBuilder, WindowEvent};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogKind};
use tauri_plugin_notification::NotificationExt as _;

const MAIN: &str = "main";

/// Shows the window, and makes it where there is none.
pub(crate) fn show(app: &AppHandle) {
    let window = match app.get_webview_window(MAIN) {
        Some(window) => Ok(window),
        None => WebviewWindowBuilder::new(app, MAIN, WebviewUrl::App("index.html".into()))
            .title("ComputePool")
            .inner_size(1180.0, 800.0)
            .min_inner_size(420.0, 480.0)
            .build(),
    };
    let window = match window {
        Ok(window) => window,
        Err(error) => return tracing::error!(%error, "there is no window"),
    };
    let (hiding, app) = (window.clone(), app.clone());
    window.on_window_event(move |event| {
        if let WindowEvent::CloseRequested { api, .. } = event {
            api.prevent_close();
            hiding.hide().ok();
            told_once(&app);
        }
    });
    window.show().ok();
    window.unminimize().ok();
    window.set_focus().ok();
}

/// Closing does not end it: that is said once.
fn told_once(app: &AppHandle) {
    let desktop = app.state::<Desktop>();
    if desktop.settings().look.told_of_tray {
        return;
    }
    let told = desktop.set(|settings| settings.look.told_of_tray = true);
    let notice = Notice {
        code: "tray".to_owned(),
        title: "ComputePool goes on in the tray".to_owned(),
        text: "Quit it there, or in the command palette of its window.".to_owned(),
    };
    if told.is_ok() {
        app.notification().builder().title(notice.title).body(notice.text).show().ok();
    }
}

/// A second instance was started.
pub(crate) fn called(app: &AppHandle, arguments: &[String]) {
    if let Some(link) = arguments.iter().find(|argument| argument.starts_with("computepool://")) {
        follow(app, link);
    }
    show(app);
}

/// A link was opened: an invite is put where its owner can look at it; nothing is joined by a click alone.
pub(crate) fn follow(app: &AppHandle, link: &str) {
    let desktop = app.state::<Desktop>();
    if let Err(fault) = desktop.offer_invite(link) {
        tracing::warn!(%fault, "a link was not followed");
    }
}

/// Shows a secret in the system's own window, which no page can look into.
pub(crate) fn show_secret(app: &AppHandle, title: &str, text: &Secret<String>) -> Result<(), String> {
    app.dialog().message(text.expose()).title(title).kind(MessageDialogKind::Info).blocking_show();
    Ok(())
}
