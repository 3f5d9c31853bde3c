use super::*;

const SCREEN: Area = Area { left: 0, top: 0, right: 1920, bottom: 1080 };
/// What Windows says where nothing speaks against a notification.
const FREE: i32 = 5;

fn window(place: Area) -> Window {
    Window {
        class: "UnityWndClass".to_owned(),
        app: Some(AppName::from("C:\\Games\\Hades.exe")),
        place,
        monitor: SCREEN,
        maximised: false,
    }
}

fn name(app: Option<AppName>) -> Option<String> {
    app.map(|app| app.to_string())
}

#[test]
fn the_clock_may_begin_again_between_an_input_and_now() {
    assert_eq!(idle(1_000, 61_000), Duration::from_secs(60));
    assert_eq!(idle(u32::MAX - 999, 4_000), Duration::from_secs(5));
    assert_eq!(idle(7, 7), Duration::ZERO);
    // An input after the clock was read is one of now, not one of 49 days ago.
    assert_eq!(idle(1_016, 1_000), Duration::ZERO);
    assert_eq!(idle(5, u32::MAX - 10), Duration::ZERO);
}

#[test]
fn a_lock_is_told_by_the_session_or_shown_by_another_desktop() {
    assert_eq!([locked(0), locked(1), locked(u32::MAX)], [Some(true), Some(false), None]);
    assert!(!hidden(Some("Default")));
    assert!(hidden(Some("Winlogon")));
    assert!(hidden(None));
}

#[test]
fn a_machine_without_a_battery_runs_on_mains() {
    let told = |line, battery, percent| power(Supply { line, battery, percent });
    assert_eq!(told(1, 8, 97), Some(Power::Mains));
    assert_eq!(told(0, 1, 63), Some(Power::Battery { percent: Some(63) }));
    assert_eq!(told(0, 255, 255), Some(Power::Battery { percent: None }));
    assert_eq!(told(255, 128, 255), Some(Power::Mains));
    assert_eq!(told(255, 255, 255), None);
}

#[test]
fn a_connection_is_metered_by_any_flag_that_costs() {
    for flags in [FIXED, VARIABLE, ROAMING | UNRESTRICTED, OVER_THE_LIMIT | UNRESTRICTED] {
        assert_eq!(cost(flags), Some(NetworkCost::Metered), "{flags:#x}");
    }
    assert_eq!(cost(UNRESTRICTED), Some(NetworkCost::Unmetered));
    // Congested says something of speed, and nothing of cost.
    assert_eq!(cost(0x2_0000 | UNRESTRICTED), Some(NetworkCost::Unmetered));
    assert_eq!(cost(0), None);
}

#[test]
fn executables_are_named_once_and_in_order() {
    let names = ["Steam.exe", "explorer.exe", "steam.exe", ""].map(str::to_owned);
    let names: Vec<String> = apps(names.into_iter()).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["explorer", "steam"]);
}

#[test]
fn a_window_covers_a_screen_when_it_reaches_its_edges_on_any_monitor() {
    assert_eq!(name(covering(FREE, Some(&window(SCREEN)))).as_deref(), Some("hades"));
    let larger = Area { left: -1, right: 1921, ..SCREEN };
    assert_eq!(name(covering(FREE, Some(&window(larger)))).as_deref(), Some("hades"));
    let above_the_task_bar = Area { bottom: 1040, ..SCREEN };
    assert_eq!(covering(FREE, Some(&window(above_the_task_bar))), None);
    let second = Area { left: 1920, right: 3840, ..SCREEN };
    let there = Window { monitor: second, ..window(second) };
    assert_eq!(name(covering(FREE, Some(&there))).as_deref(), Some("hades"));
    let nameless = Window { app: None, ..window(SCREEN) };
    assert_eq!(name(covering(FREE, Some(&nameless))).as_deref(), Some("an application"));
    assert_eq!(covering(FREE, None), None);
}

#[test]
fn the_desktop_and_maximised_windows_cover_nothing() {
    for class in SHELL {
        let shell = Window { class: class.to_owned(), app: Some(AppName::from("explorer.exe")), ..window(SCREEN) };
        assert_eq!(covering(FREE, Some(&shell)), None, "{class}");
    }
    let start = Window { app: Some(AppName::from("StartMenuExperienceHost.exe")), ..window(SCREEN) };
    assert_eq!(covering(FREE, Some(&start)), None);
    let maximised = Window { maximised: true, ..window(Area { left: -8, top: -8, right: 1928, bottom: 1088 }) };
    assert_eq!(covering(FREE, Some(&maximised)), None);
}

#[test]
fn the_shell_knows_of_applications_that_cover_a_screen_without_their_names() {
    let small = window(Area { right: 800, bottom: 600, ..SCREEN });
    let desktop = Window { class: "Progman".to_owned(), ..window(SCREEN) };
    assert_eq!(name(covering(OWNED, Some(&small))).as_deref(), Some("hades"));
    assert_eq!(name(covering(OWNED, Some(&desktop))).as_deref(), Some("an application"));
    assert_eq!(name(covering(BUSY, Some(&small))).as_deref(), Some("an application"));
    assert_eq!(name(covering(BUSY, Some(&window(SCREEN)))).as_deref(), Some("hades"));
    assert_eq!(name(covering(PRESENTATION, None)).as_deref(), Some("an application"));
    // A screen saver covers the screen of somebody who is away.
    assert_eq!(covering(NOT_PRESENT, Some(&window(SCREEN))), None);
}
