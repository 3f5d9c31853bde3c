//! The window: closed it only hides, and a second start brings it back.

use computepool_app::accounts::Secret;
use computepool_app::desktop::Desktop;
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent};
use tauri_plugin_dialog::{DialogExt as _, MessageDialogKind};
use tauri_plugin_notification::NotificationExt as _;
use tauri_plugin_window_state::{AppHandleExt as _, StateFlags};

use crate::leaving;
use crate::watcher::Watcher;

const MAIN: &str = "main";

/// What is remembered of it from one start to the next.
pub(crate) fn remembered() -> StateFlags {
    StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED | StateFlags::FULLSCREEN
}

/// Shows the window, and makes it where there is none.
pub(crate) fn show(app: &AppHandle) {
    let window = match app.get_webview_window(MAIN) {
        Some(window) => Ok(window),
        None => make(app),
    };
    let window = match window {
        Ok(window) => window,
        Err(error) => return tracing::error!(%error, "there is no window"),
    };
    window.show().ok();
    window.unminimize().ok();
    window.set_focus().ok();
}

fn make(app: &AppHandle) -> tauri::Result<WebviewWindow> {
    let window = WebviewWindowBuilder::new(app, MAIN, WebviewUrl::App("index.html".into()))
        .title("ComputePool")
        .inner_size(1180.0, 800.0)
        .min_inner_size(420.0, 480.0)
        .build()?;
    let (closed, app) = (window.clone(), app.clone());
    window.on_window_event(move |event| {
        if let WindowEvent::CloseRequested { api, .. } = event {
            api.prevent_close();
            close_requested(&app, &closed);
        }
    });
    Ok(window)
}

/// Where there is a tray the application goes on in it. Where there is none it goes on only while it shares: nobody could
/// find it otherwise.
fn close_requested(app: &AppHandle, window: &WebviewWindow) {
    let tray = app.state::<Watcher>().shows();
    if !tray && !app.state::<Desktop>().settings().sharing.earn {
        return leaving::begin(app);
    }
    app.save_window_state(remembered()).ok();
    window.hide().ok();
    told_once(app, tray);
}

/// Ends the window for good.
pub(crate) fn close(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(MAIN) {
        window.destroy().ok();
    }
}

/// Closing does not end it: that is said once.
fn told_once(app: &AppHandle, tray: bool) {
    let desktop = app.state::<Desktop>();
    if desktop.settings().look.told_of_tray {
        return;
    }
    let told = desktop.set(|settings| settings.look.told_of_tray = true);
    let (title, text) = match tray {
        true => ("ComputePool goes on in the tray", "Quit it there, or in the command palette of its window."),
        false => ("ComputePool goes on sharing", "Start it again to see its window; quit it in its command palette."),
    };
    if told.is_ok() {
        app.notification().builder().title(title).body(text).show().ok();
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
