//! Quitting: what runs is handed over first, and the tray says for how long already.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use computepool_app::desktop::Launched;
use tauri::{AppHandle, Manager as _};

use crate::{tray, window};

/// The application while it runs.
pub(crate) struct Running(Mutex<Option<Launched>>);

impl Running {
    pub(crate) fn new(launched: Launched) -> Self {
        Self(Mutex::new(Some(launched)))
    }

    fn take(&self) -> Option<Launched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Begins to leave; the process ends when everything has been handed over.
pub(crate) fn begin(app: &AppHandle) {
    // Asked twice, it leaves once.
    let Some(launched) = app.state::<Running>().take() else { return };
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        let (began, mut seconds) = (Instant::now(), tokio::time::interval(Duration::from_secs(1)));
        let leaving = leave(launched);
        tokio::pin!(leaving);
        loop {
            tokio::select! {
                () = &mut leaving => break,
                _ = seconds.tick() => tray::say_leaving(&app, began.elapsed()),
            }
        }
        window::close(&app);
        app.exit(0);
    });
}

/// Leaves before the process ends, however it came to that.
pub(crate) fn at_once(app: &AppHandle) {
    if let Some(launched) = app.state::<Running>().take() {
        tauri::async_runtime::block_on(leave(launched));
    }
}

async fn leave(launched: Launched) {
    if !launched.quit().await {
        tracing::warn!("a process had to be ended");
    }
}
