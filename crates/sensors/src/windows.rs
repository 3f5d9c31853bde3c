//! Windows: what the system tells any program of the session that it runs in. Nothing here needs an administrator.

#[cfg(windows)]
mod calls;
mod meaning;

#[cfg(windows)]
pub(crate) use looking::{app_of, start};

/// The threads; they exist on Windows alone, what they make of its answers is tested everywhere.
#[cfg(windows)]
mod looking {
    use std::time::Duration;

    use super::{calls, meaning};
    use crate::board::Board;
    use crate::{AppName, NetworkCost, Observation, Power, Sense};

    /// How often a call is made that only reads what Windows has in memory.
    const OFTEN: Duration = Duration::from_millis(250);
    /// How often all processes are gone through.
    const EVERY: Duration = Duration::from_millis(500);
    /// How often a service is asked.
    const SOMETIMES: Duration = Duration::from_secs(1);

    const SERVICE: &str =
        "this runs as a Windows service, which does not see the session of whoever sits at the screen";

    pub(crate) fn start(board: &Board) {
        match calls::session_of(std::process::id()) {
            // Windows keeps services in a session of their own, where nobody ever types.
            Some(0) => {
                for sense in [Sense::Input, Sense::Lock, Sense::Fullscreen, Sense::Apps] {
                    board.blind(sense, SERVICE);
                }
            }
            session => {
                keep_looking(board, "input", Sense::Input, OFTEN, |seen| &mut seen.idle, idle);
                keep_looking(board, "lock", Sense::Lock, OFTEN, |seen| &mut seen.locked, locked);
                keep_looking(board, "screen", Sense::Fullscreen, OFTEN, |seen| &mut seen.fullscreen, fullscreen);
                keep_looking(board, "apps", Sense::Apps, EVERY, |seen| &mut seen.apps, move || apps(session));
            }
        }
        keep_looking(board, "power", Sense::Power, EVERY, |seen| &mut seen.power, power);
        keep_looking(board, "network", Sense::Network, SOMETIMES, |seen| &mut seen.network, network);
    }

    /// Looks again and again in a thread of its own. What cannot be told is taken off the board, and the reason put there.
    fn keep_looking<T: Default + PartialEq + 'static>(
        board: &Board,
        name: &str,
        sense: Sense,
        every: Duration,
        place: fn(&mut Observation) -> &mut T,
        look: impl Fn() -> Result<T, String> + Send + 'static,
    ) {
        board.spawn(name, move |board| {
            loop {
                match look() {
                    Ok(value) => {
                        board.sees(sense);
                        board.set(place, value);
                    }
                    Err(why) => {
                        board.set(place, T::default());
                        board.blind(sense, why);
                    }
                }
                if !board.sleep(every) {
                    return;
                }
            }
        });
    }

    fn idle() -> Result<Option<Duration>, String> {
        let (last, now) = calls::last_input()
            .map_err(|error| format!("Windows does not say when its keyboard or mouse was used last: {error}"))?;
        Ok(Some(meaning::idle(last, now)))
    }

    /// By the session's own word, or by the desktop that is shown: behind a lock it is one that nobody may open.
    fn locked() -> Result<Option<bool>, String> {
        let told = calls::session_flags().ok().and_then(meaning::locked);
        let shown = || calls::input_desktop().map(|name| meaning::hidden(name.as_deref()));
        let locked = told.map_or_else(shown, Ok);
        locked.map(Some).map_err(|error| format!("Windows does not say whether the screen is locked: {error}"))
    }

    /// Where no window is in use, as while the lock is shown, nothing covers the screen.
    fn fullscreen() -> Result<Option<AppName>, String> {
        let state = calls::notification_state()
            .map_err(|error| format!("Windows does not say whether an application covers the screen: {error}"))?;
        Ok(meaning::covering(state, calls::window_in_use().as_ref()))
    }

    fn apps(session: Option<u32>) -> Result<Vec<AppName>, String> {
        let session = session.ok_or("Windows does not say which session this runs in")?;
        let processes = calls::processes().map_err(|error| format!("the list of processes cannot be read: {error}"))?;
        let mine = processes.into_iter().filter(|(pid, _)| calls::session_of(*pid) == Some(session));
        Ok(meaning::apps(mine.map(|(_, name)| name)))
    }

    fn power() -> Result<Option<Power>, String> {
        let supply = calls::power().map_err(|error| format!("the power supplies cannot be read: {error}"))?;
        meaning::power(supply).map(Some).ok_or_else(|| "Windows does not know where its current comes from".to_owned())
    }

    fn network() -> Result<Option<NetworkCost>, String> {
        let flags = calls::connection_cost()
            .map_err(|error| format!("Windows does not say whether the connection is metered: {error}"))?;
        let unknown = || "Windows does not know whether the connection is metered".to_owned();
        meaning::cost(flags).map(Some).ok_or_else(unknown)
    }

    /// What a process is called. Some guard themselves against being opened; the list of all processes names them too.
    pub(crate) fn app_of(pid: u32) -> Option<AppName> {
        let listed = || calls::processes().ok()?.into_iter().find(|(other, _)| *other == pid).map(|(_, name)| name);
        calls::image_of(pid).or_else(listed).map(|name| AppName::from(&*name))
    }
}
