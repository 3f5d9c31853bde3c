//! Linux: X11, D-Bus, `/sys` and `/proc`.

mod apps;
mod bus;
mod drm;
mod power;
mod x11;

pub(crate) use apps::app_of;

use crate::board::Board;
use crate::{Sense, SensorOptions};

pub(crate) fn start(board: &Board, options: &SensorOptions) {
    apps::start(board, options.proc.clone());
    power::start(board, options.sysfs.clone());
    drm::start(board, options.sysfs.clone());
    bus::start(board, options);
    match (&options.display, options.wayland) {
        (Some(display), false) => x11::start(board, display.clone(), options.proc.clone()),
        (_, true) => board.blind(
            Sense::Fullscreen,
            "Wayland does not tell which window covers the screen; games are found by their use of the GPU, and by the \
             applications that you name",
        ),
        (None, false) => board.blind(Sense::Fullscreen, "this session has no display"),
    }
}
