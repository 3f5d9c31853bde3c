//! The tray: the state and its reason first, then what can be done about it. Where a desktop has no tray the window offers
//! all of it too.

use std::time::Duration;

use computepool_app::desktop::{Desktop, Face, Status};
use serde_json::{Value, json};
use tauri::image::Image;
use tauri::menu::{CheckMenuItem, Menu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager as _, Wry};
use tauri_plugin_clipboard_manager::ClipboardExt as _;

use crate::{leaving, window};

/// The entries that change.
struct Entries {
    state: MenuItem<Wry>,
    earn: CheckMenuItem<Wry>,
    pause: Submenu<Wry>,
    resume: MenuItem<Wry>,
    earned: MenuItem<Wry>,
    copy: MenuItem<Wry>,
}

/// The first row, where leaving is told as well.
struct FirstRow(MenuItem<Wry>);

/// Puts the tray there. A desktop without one says so nowhere; an error is logged, and the window has everything.
pub(crate) fn start(app: &AppHandle, desktop: &Desktop) {
    match build(app) {
        Ok((tray, entries)) => {
            app.manage(FirstRow(entries.state.clone()));
            follow(desktop.clone(), tray, entries);
        }
        Err(error) => tracing::warn!(%error, "there is no tray here"),
    }
}

fn build(app: &AppHandle) -> tauri::Result<(TrayIcon, Entries)> {
    let item = |id: &str, text: &str| MenuItem::with_id(app, id, text, true, None::<&str>);
    let state = MenuItem::with_id(app, "state", "Starting", false, None::<&str>)?;
    let earn = CheckMenuItem::with_id(app, "earn", "Earn", true, false, None::<&str>)?;
    let (hour, hours) = (item("pause-60", "For 1 hour")?, item("pause-240", "For 4 hours")?);
    let (tomorrow, ever) = (item("pause-tomorrow", "Until tomorrow")?, item("pause-ever", "Until I resume")?);
    let finish = item("pause-finish", "Finish current work, then pause")?;
    let pause = Submenu::with_id_and_items(app, "pause", "Pause", true, &[&hour, &hours, &tomorrow, &ever, &finish])?;
    let resume = item("resume", "Resume")?;
    let earned = MenuItem::with_id(app, "earned", "Earned today: –", false, None::<&str>)?;
    let copy = item("copy", "Copy API address")?;
    let (open, quit) = (item("open", "Open ComputePool")?, item("quit", "Quit")?);
    let (line, other_line) = (PredefinedMenuItem::separator(app)?, PredefinedMenuItem::separator(app)?);
    let menu =
        Menu::with_items(app, &[&state, &earned, &line, &earn, &pause, &resume, &other_line, &copy, &open, &quit])?;
    let tray = TrayIconBuilder::with_id("main")
        .icon(picture(Face::Idle)?)
        .tooltip("ComputePool")
        .menu(&menu)
        .on_menu_event(|app, event| chosen(app, event.id.as_ref()))
        .build(app)?;
    Ok((tray, Entries { state, earn, pause, resume, earned, copy }))
}

fn picture(face: Face) -> tauri::Result<Image<'static>> {
    Image::from_bytes(match face {
        Face::Idle => include_bytes!("../../icons/tray-idle.png"),
        Face::Earning => include_bytes!("../../icons/tray-earning.png"),
        Face::Paused => include_bytes!("../../icons/tray-paused.png"),
        Face::Attention => include_bytes!("../../icons/tray-attention.png"),
        Face::Offline => include_bytes!("../../icons/tray-offline.png"),
    })
}

/// What an entry asks of the table of commands.
fn chosen(app: &AppHandle, id: &str) {
    let pause = |length: Value, finish: bool| ("pause", json!({ "length": length, "finish": finish }));
    let desktop = app.state::<Desktop>().inner().clone();
    let (command, arguments) = match id {
        "open" => return window::show(app),
        "copy" => return copy_address(app, &desktop),
        "quit" => return leaving::begin(app),
        "earn" => ("earn_set", json!({ "on": !desktop.settings().sharing.earn })),
        "pause-60" => pause(json!({ "kind": "minutes", "minutes": 60 }), false),
        "pause-240" => pause(json!({ "kind": "minutes", "minutes": 240 }), false),
        "pause-tomorrow" => pause(json!({ "kind": "tomorrow" }), false),
        "pause-ever" => pause(json!({ "kind": "until_resumed" }), false),
        "pause-finish" => pause(json!({ "kind": "until_resumed" }), true),
        "resume" => ("resume", json!({})),
        _ => return,
    };
    let app = app.clone();
    tauri::async_runtime::spawn(async move {
        if let Err(fault) = desktop.call(command, arguments).await {
            tracing::warn!(%fault, command, "the tray's wish was not done");
            window::show(&app);
        }
    });
}

fn copy_address(app: &AppHandle, desktop: &Desktop) {
    let Some(address) = desktop.status().api else { return };
    if let Err(error) = app.clipboard().write_text(address) {
        tracing::warn!(%error, "the address was not copied");
    }
}

/// Says in the first row that the application leaves, and for how long it has been at it.
pub(crate) fn say_leaving(app: &AppHandle, since: Duration) {
    if let Some(row) = app.try_state::<FirstRow>() {
        row.0.set_text(format!("Leaving: handing over, {} s", since.as_secs())).ok();
    }
}

/// Shows every change of the status.
fn follow(desktop: Desktop, tray: TrayIcon, entries: Entries) {
    tauri::async_runtime::spawn(async move {
        let mut events = desktop.events();
        let mut shown: Option<Status> = None;
        loop {
            let status = desktop.status();
            if shown.as_ref().map(look) != Some(look(&status)) {
                if let Err(error) = show(&tray, &entries, &status, shown.as_ref().map(|old| old.face)) {
                    tracing::debug!(%error, "the tray was not changed");
                }
                shown = Some(status);
            }
            if matches!(events.recv().await, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                return;
            }
        }
    });
}

/// What of a status can be seen here.
type Look<'a> = (Face, &'a str, bool, bool, Option<&'a str>, bool);

fn look(status: &Status) -> Look<'_> {
    let earned = status.earned_today.as_ref().map(|earned| earned.amount.as_str());
    (status.face, &status.sentence, status.earn, status.pause.is_some(), earned, status.api.is_some())
}

/// Four digits behind the point are enough for a glance; the window has all of them.
fn earned_today(status: &Status) -> String {
    match &status.earned_today {
        None => "Earned today: –".to_owned(),
        Some(earned) => {
            let (whole, rest) = earned.amount.split_once('.').unwrap_or((&earned.amount, "0"));
            format!("Earned today: {whole}.{:.4} {}", rest, earned.asset)
        }
    }
}

fn show(tray: &TrayIcon, entries: &Entries, status: &Status, before: Option<Face>) -> tauri::Result<()> {
    if before != Some(status.face) {
        tray.set_icon(Some(picture(status.face)?))?;
    }
    tray.set_tooltip(Some(format!("ComputePool: {}", status.sentence)))?;
    entries.state.set_text(&status.sentence)?;
    entries.earned.set_text(earned_today(status))?;
    entries.copy.set_enabled(status.api.is_some())?;
    entries.earn.set_checked(status.earn)?;
    entries.pause.set_enabled(status.earn && status.pause.is_none())?;
    entries.resume.set_enabled(status.pause.is_some())
}
