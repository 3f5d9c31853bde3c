//! The desktop host: a window, a tray, single instance and deep links around `computepool_app::desktop`. No logic.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

mod host;
mod leaving;
mod page;
mod tray;
mod watcher;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use computepool_app::cluster::ClusterSettings;
use computepool_app::desktop::{Launch, Launched};
use computepool_app::{ModelSource, sample_model_path};
use computepool_core::{Fault, FaultCode};
use tauri::{AppHandle, Manager as _, RunEvent};

use host::Shell;

/// What can be said on the command line, and in the entry that starts it at login.
#[derive(Clone, Debug, Parser)]
#[command(name = "computepool-desktop", version)]
struct Arguments {
    /// Start in the tray, without a window.
    #[arg(long)]
    hidden: bool,
    /// Where settings, wallets and conversations are kept; the user's data folder when absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Start a network on this machine, with play money, to try everything.
    #[arg(long)]
    trial: bool,
    /// The `computepool` program that such a network is made of; the one beside this program when absent.
    #[arg(long)]
    program: Option<PathBuf>,
    /// How many nodes that network starts with beside this machine; as many as it has shards when absent.
    #[arg(long, requires = "trial")]
    nodes: Option<usize>,
    /// A link that was opened: computepool://…
    link: Option<String>,
}

fn main() -> ExitCode {
    computepool_app::logging::start("warn");
    let arguments = Arguments::parse();
    let shown = arguments.clone();
    let built = tauri::Builder::default()
        // First: a second instance hands over its arguments and ends before anything else begins.
        .plugin(tauri_plugin_single_instance::init(|app, arguments, _| window::called(app, &arguments)))
        .plugin(tauri_plugin_autostart::Builder::new().arg("--hidden").app_name("ComputePool").build())
        .plugin(tauri_plugin_clipboard_manager::init())
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_notification::init())
        .plugin(tauri_plugin_opener::init())
        // Where it was and how large; whether it was hidden is asked anew with each start.
        .plugin(tauri_plugin_window_state::Builder::new().with_state_flags(window::remembered()).build())
        .invoke_handler(tauri::generate_handler![page::command, page::open_outside])
        .manage(watcher::Watcher::default())
        .setup(move |app| {
            let launched = tauri::async_runtime::block_on(launch(app.handle(), &shown))?;
            let desktop = launched.desktop().clone();
            app.manage(desktop.clone());
            app.manage(leaving::Running::new(launched));
            page::tell(app.handle(), &desktop);
            watcher::start(app.state::<watcher::Watcher>().inner());
            tray::start(app.handle(), &desktop);
            if let Some(link) = &shown.link {
                window::follow(app.handle(), link);
            }
            if !shown.hidden {
                window::show(app.handle());
            }
            Ok(())
        })
        .build(tauri::generate_context!());
    let app = match built {
        Ok(app) => app,
        Err(error) => {
            tracing::error!(%error, "the application cannot be started");
            return ExitCode::FAILURE;
        }
    };
    app.run(|app, event| match event {
        // The last window was closed: the tray goes on.
        RunEvent::ExitRequested { code: None, api, .. } => api.prevent_exit(),
        // The session ends, or the system does: what was not handed over yet is handed over now.
        RunEvent::Exit => leaving::at_once(app),
        _ => {}
    });
    ExitCode::SUCCESS
}

async fn launch(app: &AppHandle, arguments: &Arguments) -> Result<Launched, Fault> {
    let own = std::env::current_exe()
        .map_err(|error| Fault::new(FaultCode::Io, format!("this program cannot be found: {error}")))?;
    let folder = own.parent().map(PathBuf::from).unwrap_or_default();
    let program = arguments.program.clone().unwrap_or_else(|| folder.join("computepool"));
    let engines = program.parent().map(PathBuf::from);
    let (models, trial) = match arguments.trial {
        false => {
            let path = computepool_app::paths::cache_folder()?.join("models");
            computepool_app::paths::make_folder(&path)?;
            (vec![ModelSource { id: None, path }], None)
        }
        true => {
            let model = format!("smollm2-135m-instruct={}", sample_model_path()?.display());
            let logs = computepool_app::paths::cache_folder()?.join("logs").join(std::process::id().to_string());
            let mut settings = ClusterSettings::trial(program, model.clone(), logs);
            settings.nodes = arguments.nodes;
            (vec![model.parse()?], Some(settings))
        }
    };
    let host = std::sync::Arc::new(Shell::new(app.clone()));
    Launched::start(Launch { data: arguments.data.clone(), models, engines, chain: None, trial, host }).await
}
