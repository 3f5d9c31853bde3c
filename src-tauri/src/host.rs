//! What only a desktop can do.

use std::path::PathBuf;

use computepool_app::accounts::Secret;
use computepool_app::desktop::{Host, Notice};
use computepool_core::{Fault, FaultCode};
use tauri::{AppHandle, Manager as _};
use tauri_plugin_autostart::ManagerExt as _;
use tauri_plugin_dialog::DialogExt as _;
use tauri_plugin_notification::NotificationExt as _;

use crate::leaving;
use crate::watcher::Watcher;

/// The desktop, as the application sees it.
pub(crate) struct Shell {
    app: AppHandle,
}

impl Shell {
    pub(crate) fn new(app: AppHandle) -> Self {
        Self { app }
    }
}

impl Host for Shell {
    fn kind(&self) -> &'static str {
        "desktop"
    }

    fn show_secret(&self, title: &str, text: &Secret<String>) -> Result<(), Fault> {
        crate::window::show_secret(&self.app, title, text)
            .map_err(|error| Fault::new(FaultCode::Io, format!("the words cannot be shown: {error}")))
    }

    fn choose_file(&self, title: &str) -> Result<Option<PathBuf>, Fault> {
        let chosen = self.app.dialog().file().set_title(title).blocking_pick_file();
        let place = |file: tauri_plugin_dialog::FilePath| {
            file.into_path().map_err(|error| Fault::new(FaultCode::Io, format!("the file cannot be read: {error}")))
        };
        chosen.map(place).transpose()
    }

    fn notify(&self, notice: &Notice) {
        let shown = self.app.notification().builder().title(&notice.title).body(&notice.text).show();
        if let Err(error) = shown {
            tracing::warn!(%error, "a notification was not shown");
        }
    }

    fn quit(&self) {
        leaving::begin(&self.app);
    }

    fn tray(&self) -> Option<bool> {
        Some(self.app.state::<Watcher>().shows())
    }

    fn autostart(&self) -> Option<bool> {
        self.app.autolaunch().is_enabled().ok()
    }

    fn set_autostart(&self, on: bool) -> Result<(), Fault> {
        let login = self.app.autolaunch();
        let set = if on { login.enable() } else { login.disable() };
        set.map_err(|error| Fault::new(FaultCode::Io, format!("the login's list of programs was not changed: {error}")))
    }
}
