//! What only a desktop can do.

use std::sync::Mutex;

use computepool_app::accounts::Secret;
use computepool_app::desktop::{Host, Launched, Notice};
use computepool_core::{Fault, FaultCode};
use tauri::{AppHandle, Manager as _};
use tauri_plugin_notification::NotificationExt as _;

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

    fn notify(&self, notice: &Notice) {
        let shown = self.app.notification().builder().title(&notice.title).body(&notice.text).show();
        if let Err(error) = shown {
            tracing::warn!(%error, "a notification was not shown");
        }
    }
}

/// The application while it runs.
pub(crate) struct Running(Mutex<Option<Launched>>);

impl Running {
    pub(crate) fn new(launched: Launched) -> Self {
        Self(Mutex::new(Some(launched)))
    }

    fn take(&self) -> Option<Launched> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

/// Hands everything over, and ends what was started.
pub(crate) fn quit(app: &AppHandle) {
    if let Some(launched) = app.state::<Running>().take() {
        let left = tauri::async_runtime::block_on(launched.quit());
        if !left {
            tracing::warn!("a process had to be ended");
        }
    }
}
