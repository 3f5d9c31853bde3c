//! Every rule alone, then together, on a clock of the test's own.

use computepool_sensors::{AppName, Blind, GpuUse};

use super::*;

/// A machine, its owner's rules and wishes, and the time.
struct Bench {
    policy: Policy,
    at: Moment,
    seen: Observation,
    rules: Rules,
    wishes: Wishes,
}

impl Bench {
    /// Nobody there, everything cool, and the owner wants to earn.
    fn free() -> Self {
        let gpu = GpuReading {
            id: "g0".into(),
            name: "RTX".into(),
            temperature_c: Some(50),
            fan: Some(30),
            watts: Some(60.0),
            ..GpuReading::default()
        };
        Self {
            policy: Policy::default(),
            at: Moment { uptime: Duration::from_secs(1000), now_ms: 1_000_000, weekday: 0, minute: 12 * 60 },
            seen: Observation {
                idle: Some(Duration::from_secs(3600)),
                power: Some(Power::Mains),
                network: Some(NetworkCost::Unmetered),
                gpus: vec![gpu],
                ..Observation::default()
            },
            rules: Rules { max_fan_percent: Some(80), max_watts: Some(300), ..Rules::default() },
            wishes: Wishes { earn: true, agreed: true, ..Wishes::default() },
        }
    }

    fn after(&mut self, ms: u64) -> Verdict {
        self.at.uptime += Duration::from_millis(ms);
        self.at.now_ms += ms;
        self.policy.judge(self.at, &self.seen, &self.rules, &self.wishes)
    }

    fn duty(&mut self) -> Duty {
        self.after(250).duty
    }

    fn reason(&mut self) -> Reason {
        self.after(250).reason().clone()
    }

    fn gpu(&mut self) -> &mut GpuReading {
        &mut self.seen.gpus[0]
    }
}

fn app(name: &str) -> AppName {
    AppName::from(name)
}

#[test]
fn a_machine_that_nobody_needs_serves() {
    let verdict = Bench::free().after(0);
    assert_eq!((verdict.duty, verdict.reasons), (Duty::Serve, vec![Reason::Free]));
}

#[test]
fn nothing_is_served_before_the_owner_has_agreed_and_switched_it_on() {
    let mut bench = Bench::free();
    bench.wishes.earn = false;
    assert_eq!((bench.duty(), bench.reason()), (Duty::Release, Reason::EarnOff));
    bench.wishes = Wishes { earn: true, agreed: false, ..Wishes::default() };
    assert_eq!((bench.duty(), bench.reason()), (Duty::Release, Reason::NotAgreed));
}

#[test]
fn a_key_press_takes_the_machine_back_at_once_and_the_countdown_is_told() {
    let mut bench = Bench::free();
    assert_eq!(bench.duty(), Duty::Serve);
    bench.seen.idle = Some(Duration::from_secs(2));
    let verdict = bench.after(250);
    assert_eq!((verdict.duty, verdict.reason()), (Duty::Release, &Reason::InUse { idle_s: 2, needed_s: 300 }));
    assert_eq!(verdict.reason().to_string(), "you are using this computer; sharing resumes in 5 min");
    bench.seen.idle = Some(Duration::from_secs(299));
    assert_eq!(bench.duty(), Duty::Release);
    bench.seen.idle = Some(Duration::from_secs(300));
    assert_eq!(bench.duty(), Duty::Serve);
    // Who locks the screen has left.
    bench.seen.idle = Some(Duration::ZERO);
    bench.seen.locked = Some(true);
    assert_eq!(bench.duty(), Duty::Serve);
    // Who shares always is not asked.
    bench.seen.locked = Some(false);
    bench.rules.when = When::Always;
    assert_eq!(bench.duty(), Duty::Serve);
}

#[test]
fn where_nobody_can_tell_whether_the_owner_is_there_the_owner_is_there() {
    let mut bench = Bench::free();
    bench.seen.idle = None;
    bench.seen.cannot_tell = vec![Blind { what: Sense::Input, why: "no such protocol".into() }];
    assert_eq!(bench.duty(), Duty::Release);
    assert_eq!(bench.reason(), Reason::CannotSeeInput { why: Some("no such protocol".into()) });
}

#[test]
fn games_and_named_applications_take_the_machine_back_and_count_for_a_moment_after() {
    let mut bench = Bench::free();
    bench.rules.exclusive_apps = vec![" Blender.exe ".into()];
    bench.seen.fullscreen = Some(app("hades"));
    assert_eq!((bench.duty(), bench.reason()), (Duty::Release, Reason::Fullscreen { app: "hades".into() }));
    bench.seen.fullscreen = None;
    assert_eq!(bench.after(9_000).duty, Duty::Release, "a level loads");
    assert_eq!(bench.after(1_100).duty, Duty::Serve);
    bench.seen.apps = vec![app("bash"), app("blender")];
    assert_eq!((bench.duty(), bench.reason()), (Duty::Release, Reason::ExclusiveApp { app: " Blender.exe ".into() }));
    bench.rules.exclusive_apps.clear();
    assert_eq!(bench.after(10_100).duty, Duty::Serve);
    // Without the rule, a film may fill the screen.
    bench.rules.fullscreen = false;
    bench.seen.fullscreen = Some(app("mpv"));
    assert_eq!(bench.duty(), Duty::Serve);
}

#[test]
fn batteries_and_metered_connections_are_spared_unless_the_owner_allows_them() {
    let mut bench = Bench::free();
    bench.seen.power = Some(Power::Battery { percent: Some(80) });
    bench.seen.network = Some(NetworkCost::Metered);
    let verdict = bench.after(250);
    assert_eq!(verdict.duty, Duty::Release);
    assert_eq!(verdict.reasons, [Reason::OnBattery { percent: Some(80) }, Reason::Metered]);
    bench.rules.on_battery = true;
    bench.rules.on_metered = true;
    assert_eq!(bench.duty(), Duty::Serve);
    // A desktop that does not tell has no battery and no meter.
    bench.rules = Rules::default();
    (bench.seen.power, bench.seen.network) = (None, None);
    assert_eq!(bench.duty(), Duty::Serve);
}

#[test]
fn heat_stops_at_the_cap_and_ends_well_below_it() {
    let mut bench = Bench::free();
    for (celsius, duty) in [
        (83, Duty::Serve),
        (84, Duty::Release),
        (80, Duty::Release),
        (77, Duty::Release),
        (76, Duty::Serve),
        (83, Duty::Serve),
    ] {
        bench.gpu().temperature_c = Some(celsius);
        assert_eq!(bench.duty(), duty, "{celsius} °C");
    }
    // A GPU that never serves may be as hot as it likes.
    bench.gpu().temperature_c = Some(99);
    bench.rules.kept_gpus = vec!["g0".into()];
    assert_eq!(bench.duty(), Duty::Serve);
}

#[test]
fn fans_and_watts_have_caps_and_lower_ones_at_night() {
    let mut bench = Bench::free();
    bench.gpu().fan = Some(81);
    assert!(matches!(bench.reason(), Reason::TooLoud { percent: 81, cap: 80, .. }));
    bench.gpu().fan = Some(69);
    assert_eq!(bench.duty(), Duty::Serve);
    bench.rules.night = Some(Night { from: 22 * 60, to: 7 * 60, max_fan_percent: Some(40), max_watts: Some(500) });
    assert_eq!(bench.duty(), Duty::Serve, "it is noon");
    for minute in [22 * 60, 23 * 60, 0, 7 * 60 - 1] {
        bench.at.minute = minute;
        assert!(matches!(bench.reason(), Reason::TooLoud { cap: 40, .. }), "{minute}");
    }
    bench.at.minute = 7 * 60;
    bench.gpu().fan = Some(30);
    assert_eq!(bench.duty(), Duty::Serve);
    // A peak is no reason, what lasts is; and it is waited a while after.
    bench.gpu().watts = Some(320.0);
    assert_eq!(bench.duty(), Duty::Serve);
    assert_eq!(bench.after(2_000).reason(), &Reason::TooMuchPower { gpu: "RTX".into(), watts: 320, cap: 300 });
    bench.gpu().watts = Some(80.0);
    assert_eq!(bench.after(59_000).duty, Duty::Release);
    assert_eq!(bench.after(2_000).duty, Duty::Serve);
}

#[test]
fn others_may_use_the_gpu_a_little_and_what_lasts_counts_within_a_second() {
    let mut bench = Bench::free();
    let used = |percent| Some(GpuUse { memory: 1 << 30, utilisation: Some(percent), app: Some(app("comfyui")) });
    bench.gpu().others = used(24);
    assert_eq!(bench.after(5_000).duty, Duty::Serve);
    bench.gpu().others = used(60);
    assert_eq!(bench.duty(), Duty::Serve, "a blink is nothing");
    let verdict = bench.after(950);
    assert_eq!(verdict.reason(), &Reason::GpuInUse { gpu: "RTX".into(), app: Some("comfyui".into()), percent: 60 });
    bench.gpu().others = used(0);
    assert_eq!(bench.after(14_000).duty, Duty::Release);
    assert_eq!(bench.after(2_000).duty, Duty::Serve);
}

#[test]
fn a_months_data_can_be_used_up() {
    let mut bench = Bench::free();
    bench.rules.data_cap_gb = Some(2);
    bench.wishes.carried_bytes = 1_999_999_999;
    assert_eq!(bench.duty(), Duty::Serve);
    bench.wishes.carried_bytes = 2_000_000_000;
    assert_eq!(bench.duty(), Duty::Release);
    bench.rules.data_cap_gb = None;
    assert_eq!(bench.duty(), Duty::Serve);
}

#[test]
fn a_schedule_lets_finish_what_runs_and_knows_midnight() {
    let mut bench = Bench::free();
    // Friday and Saturday nights.
    let days = [false, false, false, false, true, true, false];
    bench.rules.schedule = vec![Span { days, from: 22 * 60, to: 6 * 60 }];
    let mut at = |weekday, minute| {
        (bench.at.weekday, bench.at.minute) = (weekday, minute);
        bench.duty()
    };
    assert_eq!(at(4, 21 * 60), Duty::Finish);
    assert_eq!(at(4, 22 * 60), Duty::Serve);
    assert_eq!(at(5, 5 * 60), Duty::Serve);
    assert_eq!(at(5, 6 * 60), Duty::Finish);
    assert_eq!(at(6, 5 * 60), Duty::Serve);
    assert_eq!(at(6, 23 * 60), Duty::Finish);
    assert_eq!(at(0, 5 * 60), Duty::Finish);
    // Somebody who comes back meanwhile does not wait for that.
    bench.seen.idle = Some(Duration::ZERO);
    assert_eq!(bench.duty(), Duty::Release);
}

#[test]
fn a_pause_ends_when_it_was_said_to_and_never_by_itself_otherwise() {
    let mut bench = Bench::free();
    bench.wishes.pause = Some(Pause { until_ms: Some(bench.at.now_ms + 3_600_000), finish: false });
    assert_eq!(bench.duty(), Duty::Release);
    assert_eq!(bench.after(3_599_000).duty, Duty::Release);
    assert_eq!(bench.after(1_000).duty, Duty::Serve);
    bench.wishes.pause = Some(Pause { until_ms: None, finish: true });
    assert_eq!(bench.duty(), Duty::Finish);
    assert_eq!(bench.after(365 * 24 * 3_600_000).reason(), &Reason::Paused { until_ms: None });
    // A machine that is taken back while it finishes is given back.
    bench.seen.fullscreen = Some(app("hades"));
    let verdict = bench.after(250);
    assert_eq!((verdict.duty, verdict.reasons.len()), (Duty::Release, 2));
}

#[test]
fn clocks_that_jump_end_no_wait_early() {
    let mut bench = Bench::free();
    bench.gpu().watts = Some(400.0);
    assert_eq!(bench.duty(), Duty::Serve);
    // The wall clock is a day ahead, and back again; what lasts is counted by the clock that never jumps.
    bench.at.now_ms += 86_400_000;
    assert_eq!(bench.duty(), Duty::Serve);
    bench.at.now_ms -= 90_000_000_u64.min(bench.at.now_ms);
    assert_eq!(bench.duty(), Duty::Serve);
    assert_eq!(bench.after(2_000).duty, Duty::Release);
}

#[test]
fn rules_that_make_no_sense_are_refused_with_what_would() {
    let good = Rules::default();
    assert_eq!(good.check(), Ok(()));
    let bad = [
        Rules { max_temperature_c: Some(10), ..good.clone() },
        Rules { max_fan_percent: Some(101), ..good.clone() },
        Rules { when: When::Idle { minutes: 0 }, ..good.clone() },
        Rules { schedule: vec![Span { days: [true; 7], from: 1440, to: 0 }], ..good.clone() },
        Rules { exclusive_apps: vec!["../x".into()], ..good.clone() },
        Rules { exclusive_apps: vec!["a".into(); 65], ..good.clone() },
        Rules { night: Some(Night { from: 0, to: 2000, max_fan_percent: None, max_watts: None }), ..good.clone() },
    ];
    for rules in bad {
        assert!(rules.check().is_err(), "{rules:?}");
    }
}
