//! The pure parts: when the next pass begins, which clock counts, what counts as a change of files, the heart,
//! the history.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rosterd::daemon::clock::Clock;
use rosterd::daemon::heart::Heart;
use rosterd::daemon::history::History;
use rosterd::daemon::schedule::Rhythm;
use rosterd::daemon::watch::{Fingerprint, Watch};
use rosterd::telemetry::metrics::Attempts;
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

#[track_caller]
fn check_next(interval: u64, took: u64, failures: u32, seconds: u64) {
    let rhythm = Rhythm { interval: Duration::from_secs(interval), jitter: 0.0 };
    let started = Instant::now();
    let next = rhythm.next(started, started + Duration::from_secs(took), failures, 0.5);
    assert_eq!((next - started).as_secs(), seconds, "{interval} {took} {failures}");
}

#[tokio::test(start_paused = true)]
async fn the_next_start_is_an_interval_after_the_last_and_later_after_failures() {
    check_next(300, 2, 0, 300);
    check_next(300, 2, 1, 300);
    check_next(300, 2, 2, 600);
    check_next(300, 2, 3, 900);
    check_next(300, 2, 40, 900);
    check_next(86_400, 2, 9, 86_400);
    // A pass longer than the interval: nothing is made up for.
    check_next(300, 1000, 0, 1001);
    check_next(1, 0, 5, 16);
}

proptest! {
    #[test]
    fn jitter_moves_a_start_by_its_share_at_most(chance in 0.0..1.0_f64, jitter in 0.0..0.5_f64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let rhythm = Rhythm { interval: 100 * MINUTE, jitter };
        let started = Instant::now();
        let wait = (rhythm.next(started, started, 0, chance) - started).as_secs_f64() / 6000.0;
        prop_assert!((1.0 - jitter - 1e-6..=1.0 + jitter + 1e-6).contains(&wait));
    }

    /// However the clock jumps about, what counts never runs ahead of an hour of doubt.
    #[test]
    fn the_time_that_counts_follows_jumps_only_after_an_hour(jumps in prop::collection::vec(-400_i64..400, 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let (start, mut monotonic) = (Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000), Instant::now());
        let mut clock = Clock::new(start, monotonic, None);
        let (mut expected, mut wall) = (start, start);
        for days in jumps {
            wall += SignedDuration::from_hours(24 * days);
            for _ in 0..5 {
                monotonic += 10 * MINUTE;
                wall += SignedDuration::from_mins(10);
                expected += SignedDuration::from_mins(10);
                let reading = clock.read(wall, monotonic);
                prop_assert_eq!(reading.doubted.is_none(), reading.now == wall);
                if reading.doubted.is_none() {
                    expected = wall;
                }
                prop_assert_eq!(reading.now, expected);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_jump_is_believed_after_an_hour_and_small_steps_at_once() {
    let (start, begun): (Timestamp, _) = ("2027-01-10T12:00:00Z".parse().unwrap(), Instant::now());
    let mut clock = Clock::new(start, begun, None);
    let at = |minutes: i64| start + SignedDuration::from_mins(minutes);
    let later = |minutes: u32| begun + minutes * MINUTE;
    assert_eq!(clock.read(at(9), later(1)).now, at(9), "NTP's step");
    assert_eq!(clock.read(at(1000), later(2)).now, at(10), "a jump");
    assert_eq!(clock.read(at(1059), later(61)).now, at(69));
    let believed = clock.read(at(1060), later(62));
    assert_eq!((believed.now, believed.doubted), (at(1060), None));
    assert_eq!(clock.read(at(0), later(63)).now, at(1061), "back again is a jump, too");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_starts_behind_what_is_remembered_is_doubted_until_it_has_caught_up() {
    let (then, begun): (Timestamp, _) = ("2027-01-10T12:00:00Z".parse().unwrap(), Instant::now());
    let wall = then - SignedDuration::from_hours(24);
    let start = || Clock::new(wall, begun, Some(then));
    let mut clock = start();
    let first = clock.read(wall, begun);
    assert!(first.behind && first.now == then && first.believed.is_none());
    // It is set right: later than what was remembered is what time it is after a while without rosterd.
    let right = then + SignedDuration::from_hours(72);
    let reading = clock.read(right, begun + MINUTE);
    assert_eq!((reading.now, reading.behind, reading.believed), (right, false, None));
    // Or nobody sets it.
    let mut clock = start();
    clock.read(wall, begun);
    let reading = clock.read(wall + SignedDuration::from_hours(1), begun + 60 * MINUTE);
    assert_eq!(reading.now, wall + SignedDuration::from_hours(1));
    assert_eq!((reading.behind, reading.believed), (false, Some(SignedDuration::from_hours(-24))));
    assert!(!Clock::new(then, begun, Some(wall)).read(then, begun).behind);
}

#[test]
fn a_change_counts_when_it_has_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let (config, roster) = (dir.path().join("rosterd.toml"), dir.path().join("roster"));
    std::fs::write(&config, "a").unwrap();
    std::fs::create_dir(&roster).unwrap();
    let look = || Fingerprint::of(&config, Some(&roster));
    let mut watch = Watch::new(look());
    assert!(!watch.look(look()) && !watch.look(look()));
    std::fs::write(roster.join("team.toml"), "x").unwrap();
    assert!(!watch.look(look()), "it may be half written");
    std::fs::write(roster.join("team.toml"), "xy").unwrap();
    assert!(!watch.look(look()), "and was");
    assert!(watch.look(look()));
    std::fs::write(roster.join("notes.txt"), "x").unwrap();
    let mut watch = Watch::new(look());
    std::fs::write(roster.join("notes.txt"), "xyz").unwrap();
    assert!(!watch.look(look()) && !watch.look(look()), "no roster");
    std::fs::remove_file(&config).unwrap();
    assert!(!watch.look(look()));
    assert!(watch.look(look()), "gone is a change");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_not_heard_from_is_named() {
    let heart = Heart::new(Duration::from_secs(30));
    heart.beat("supervisor", Instant::now() + Duration::from_secs(2));
    heart.beat("bi", Instant::now() + MINUTE);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(heart.late(Instant::now()), None);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(heart.late(Instant::now()).as_deref(), Some("supervisor"));
    heart.beat("supervisor", Instant::now() + 10 * MINUTE);
    assert_eq!(heart.late(Instant::now()), None);
    tokio::time::advance(MINUTE).await;
    assert_eq!(heart.late(Instant::now()).as_deref(), Some("bi"));
    heart.rest("bi");
    assert_eq!(heart.late(Instant::now()), None);
}

#[test]
fn the_history_is_a_day_and_no_more_whatever_the_clock_does() {
    let mut history = History::default();
    let start: Timestamp = "2027-01-10T12:00:00Z".parse().unwrap();
    let at = |minutes: i64| start + SignedDuration::from_mins(minutes);
    let attempts = |all| Attempts { all, throttled: all / 10 };
    history.sample(at(0), attempts(10), 3);
    history.pass(at(1), 2, 1, 5);
    history.sample(at(14), attempts(30), 0);
    let first = history.quarters()[0];
    assert_eq!((first.made, first.failed, first.drift, first.attempts, first.throttled), (2, 1, 5, 30, 3));
    history.sample(at(47), attempts(40), 0);
    assert_eq!(history.quarters().len(), 4, "quarters without news are there, too");
    for minutes in [60 * 24 * 3, 60 * 24 * 3 - 300, 60 * 24 * 400, 0, 60 * 24 * 400 + 20] {
        history.sample(at(minutes), attempts(50), 0);
        assert!(history.quarters().len() <= 97, "{}", history.quarters().len());
    }
    for quarter in 0..1000 {
        history.sample(at(60 * 24 * 400 + quarter * 15), attempts(50), 0);
    }
    assert_eq!(history.quarters().len(), 96);
    let starts: Vec<_> = history.quarters().iter().map(|q| q.start).collect();
    assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
}
