//! Input and full screen, by the X server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::screensaver::ConnectionExt as _;
use x11rb::protocol::xproto::{Atom, AtomEnum, ConnectionExt as _, MapState, Window, WindowClass};
use x11rb::rust_connection::RustConnection;

use super::apps::app_of;
use crate::board::Board;
use crate::{AppName, Sense};

const EVERY: Duration = Duration::from_millis(200);
/// The display may come back after its server was restarted.
const AGAIN: Duration = Duration::from_secs(3);

x11rb::atom_manager! {
    /// The names of what window managers say.
    Names:
    /// Names on their way.
    NamesCookie {
        _NET_ACTIVE_WINDOW,
        _NET_WM_PID,
        _NET_WM_STATE,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_HIDDEN,
        _NET_WM_WINDOW_TYPE,
        _NET_WM_WINDOW_TYPE_DESKTOP,
        _NET_WM_WINDOW_TYPE_DOCK,
        _NET_CLIENT_LIST,
    }
}

pub(super) fn start(board: &Board, display: String, proc: PathBuf) {
    board.spawn("x11", move |board| {
        loop {
            match Server::open(&display) {
                Ok(server) => {
                    if let Err(error) = server.look(board, &proc) {
                        tracing::warn!(%error, "the X server does not answer any more");
                    }
                }
                Err(error) => tracing::debug!(%error, "the X server cannot be reached"),
            }
            board.set(|seen| &mut seen.idle, None);
            board.set(|seen| &mut seen.fullscreen, None);
            for sense in [Sense::Input, Sense::Fullscreen] {
                board.blind(sense, format!("the display {display} does not answer"));
            }
            if !board.sleep(AGAIN) {
                return;
            }
        }
    });
}

struct Server {
    connection: RustConnection,
    root: Window,
    names: Names,
}

impl Server {
    fn open(display: &str) -> Result<Self, String> {
        let (connection, screen) = RustConnection::connect(Some(display)).map_err(|error| error.to_string())?;
        let root = connection.setup().roots.get(screen).ok_or("it has no screen")?.root;
        let names = Names::new(&connection).map_err(|error| error.to_string())?;
        let names = names.reply().map_err(|error| error.to_string())?;
        Ok(Self { connection, root, names })
    }

    /// Looks until the server goes away, or nobody wants to know.
    fn look(&self, board: &Board, proc: &Path) -> Result<(), ReplyError> {
        while !board.is_closed() {
            match self.idle() {
                Ok(idle) => {
                    board.sees(Sense::Input);
                    board.set(|seen| &mut seen.idle, Some(idle));
                }
                Err(ReplyError::X11Error(_)) => {
                    board.blind(Sense::Input, "this X server has no screen saver extension")
                }
                Err(error) => return Err(error),
            }
            match self.covering() {
                Ok(window) => {
                    board.sees(Sense::Fullscreen);
                    let app = window.map(|window| self.app(window, proc));
                    board.set(|seen| &mut seen.fullscreen, app);
                }
                // A window that goes away while it is looked at.
                Err(ReplyError::X11Error(_)) => {}
                Err(error) => return Err(error),
            }
            if !board.sleep(EVERY) {
                break;
            }
        }
        Ok(())
    }

    fn idle(&self) -> Result<Duration, ReplyError> {
        let info = self.connection.screensaver_query_info(self.root)?.reply()?;
        Ok(Duration::from_millis(u64::from(info.ms_since_user_input)))
    }

    /// A window that covers a whole monitor: the one in use, or without a window manager the topmost.
    fn covering(&self) -> Result<Option<Window>, ReplyError> {
        let managed = !self.values(self.root, self.names._NET_CLIENT_LIST, AtomEnum::WINDOW)?.is_empty();
        if managed {
            let active = self.values(self.root, self.names._NET_ACTIVE_WINDOW, AtomEnum::WINDOW)?;
            let Some(window) = active.first().copied().filter(|window| *window != 0) else { return Ok(None) };
            return Ok(self.covers(window)?.then_some(window));
        }
        for window in self.connection.query_tree(self.root)?.reply()?.children.into_iter().rev() {
            let attributes = self.connection.get_window_attributes(window)?.reply()?;
            let shown = attributes.map_state == MapState::VIEWABLE && attributes.class == WindowClass::INPUT_OUTPUT;
            if shown && self.covers(window)? {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    fn covers(&self, window: Window) -> Result<bool, ReplyError> {
        let kinds = self.values(window, self.names._NET_WM_WINDOW_TYPE, AtomEnum::ATOM)?;
        if kinds
            .iter()
            .any(|kind| [self.names._NET_WM_WINDOW_TYPE_DESKTOP, self.names._NET_WM_WINDOW_TYPE_DOCK].contains(kind))
        {
            return Ok(false);
        }
        let states = self.values(window, self.names._NET_WM_STATE, AtomEnum::ATOM)?;
        if states.contains(&self.names._NET_WM_STATE_HIDDEN) {
            return Ok(false);
        }
        if states.contains(&self.names._NET_WM_STATE_FULLSCREEN) {
            return Ok(true);
        }
        let size = self.connection.get_geometry(window)?.reply()?;
        let place = self.connection.translate_coordinates(window, self.root, 0, 0)?.reply()?;
        let (left, top) = (i32::from(place.dst_x), i32::from(place.dst_y));
        let (right, bottom) = (left + i32::from(size.width), top + i32::from(size.height));
        let monitors = self.connection.randr_get_monitors(self.root, true)?.reply()?.monitors;
        Ok(monitors.iter().any(|monitor| {
            let (x, y) = (i32::from(monitor.x), i32::from(monitor.y));
            let (end_x, end_y) = (x + i32::from(monitor.width), y + i32::from(monitor.height));
            left <= x && top <= y && right >= end_x && bottom >= end_y
        }))
    }

    fn values(&self, window: Window, name: Atom, kind: AtomEnum) -> Result<Vec<u32>, ReplyError> {
        let property = self.connection.get_property(false, window, name, kind, 0, 1024)?.reply()?;
        Ok(property.value32().map(Iterator::collect).unwrap_or_default())
    }

    /// Whose window it is: by its process, or by what it calls itself.
    fn app(&self, window: Window, proc: &Path) -> AppName {
        let pid =
            self.values(window, self.names._NET_WM_PID, AtomEnum::CARDINAL).ok().and_then(|it| it.first().copied());
        let named = || {
            let class =
                self.connection.get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 64).ok()?;
            let class = class.reply().ok()?.value;
            let name = class.split(|byte| *byte == 0).rfind(|name| !name.is_empty())?;
            Some(AppName::from(&*String::from_utf8_lossy(name)))
        };
        pid.and_then(|pid| app_of(proc, pid)).or_else(named).unwrap_or_else(|| AppName::from("an application"))
    }
}
