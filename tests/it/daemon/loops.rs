//! When passes begin and what holds them up: interval, backoff, a slow or dead target, the bound of a pass.

use std::time::Duration;

use rosterd::daemon::Order;
use rosterd::daemon::status::{PassOutcome, TargetState};
use rosterd::sandbox::Knobs;
use tokio::time::Instant;

use super::virtually::{Field, Way};
use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
datazone = { access = "enabled" }
quicksight = { role = "READER" }
finspace = { type = "APP_USER" }
[users.alice]
email = "alice@example.com"
first_name = "Alice"
last_name = "Moreau"
sso_user = "alice"
roles = ["r"]
"#;

fn field() -> Field {
    let field = Field::new(empty_world());
    field.settings("", &format!("{}{}{}", portal(""), bi(""), research("")));
    field.write("roster.toml", ROSTER);
    field
}

#[tokio::test(start_paused = true)]
async fn the_first_pass_begins_at_once_and_the_next_ones_at_the_interval() {
    let field = field();
    let running = field.start();
    let begun = Instant::now();
    running.until("the first passes", |r| r.status().ready).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(qs(&field.sandbox.world(), "alice@example.com").is_some());
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    for target in ["portal", "bi", "research"] {
        // The first, and one a minute.
        assert!((10..=11).contains(&running.passes(target)), "{target}: {}", running.passes(target));
        assert_eq!(running.target(target).state, TargetState::InStep);
    }
    assert_eq!(field.writes().values().sum::<usize>(), 3, "later passes write nothing: {:?}", field.writes());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_never_answers_holds_no_other_back() {
    let field = field();
    field.way("quicksight", Way::Silent);
    let running = field.start();
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    assert!(running.passes("portal") >= 10 && running.passes("research") >= 10);
    assert!(running.passes("bi") <= 4, "each takes until `call_timeout`: {}", running.passes("bi"));
    assert_eq!(running.target("bi").state, TargetState::Failing);
    let status = running.status();
    assert!(!status.ready);
    assert_eq!(status.not_ready.len(), 1, "{:?}", status.not_ready);
    assert!(status.not_ready[0].starts_with("bi: failing"), "{:?}", status.not_ready);
    assert!(status.live, "slow is not hung");
    field.way("quicksight", Way::Open);
    running.until("bi comes back", |r| r.status().ready).await;
    running.stop().await;
}

/// Each is a failure that says what to do, and no other target notices.
#[tokio::test(start_paused = true)]
async fn whatever_the_way_does_the_loop_goes_on() {
    let cases = [
        (Way::Dead, "connection refused", "check the Region, the endpoint_url"),
        (Way::Garbage, "the answer cannot be read", "the next pass tries again"),
        (Way::Expired, "ExpiredTokenException", "renew the credentials"),
        (Way::Panics, "the pass panicked", "a mistake in rosterd"),
    ];
    for (way, what, advice) in cases {
        let field = field();
        field.settings("max_attempts = 2", &format!("{}{}{}", portal(""), bi(""), research("")));
        field.way("finspace", way);
        let running = field.start();
        running.until(&format!("{way:?} to show"), |r| r.target("research").consecutive_failures >= 2).await;
        let error = running.target("research").error.unwrap_or_default();
        assert!(error.contains(what) && error.contains(advice), "{way:?}: {error}");
        let note = running.status().errors.into_iter().find(|e| e.target.as_deref() == Some("research"));
        let note = note.unwrap_or_else(|| panic!("{way:?} is not among the last errors"));
        assert!(note.count >= 2 && note.message.contains(what) && note.advice.contains(advice), "{note:?}");
        assert_eq!(running.target("bi").state, TargetState::InStep);
        field.way("finspace", Way::Open);
        running.until("it comes back", |r| r.target("research").state == TargetState::InStep).await;
        assert!(running.status().ready);
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_keeps_failing_is_asked_less_and_less_often() {
    let field = field();
    field.settings("max_attempts = 1", &format!("{}{}", bi(""), research("")));
    field.way("quicksight", Way::Dead);
    let running = field.start();
    // Starts at 0, 1, 3, 7 and 15 minutes, and then every quarter of an hour.
    for (minutes, passes) in [(2, 2), (5, 3), (10, 4), (20, 5), (29, 5), (50, 7)] {
        tokio::time::sleep_until(start_of(&running).await + Duration::from_secs(minutes * 60)).await;
        assert_eq!(running.passes("bi"), passes, "after {minutes} minutes");
    }
    assert!(running.passes("research") > 45);
    // Somebody who has mended it need not wait.
    field.way("quicksight", Way::Open);
    running.order(Order::Reconcile { target: Some("bi".into()), force_removals: false }).await;
    let asked = Instant::now();
    running.until("bi is in step", |r| r.target("bi").state == TargetState::InStep).await;
    assert!(asked.elapsed() < Duration::from_secs(2));
    running.stop().await;
}

/// The moment the daemon started, as tokio's clock has it.
async fn start_of(running: &super::virtually::Running) -> Instant {
    let status = running.status();
    let passed = status.now.duration_since(status.started);
    Instant::now() - Duration::try_from(passed).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_pass_has_an_end_and_the_next_one_goes_on_from_there() {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 1000").unwrap());
    field.settings("pass_timeout = \"30s\"\nconcurrency = 1", &bi(""));
    let mut roster = "[roles.r]\nquicksight = { role = \"READER\" }\n".to_string();
    for number in 0..100 {
        roster.push_str(&format!("[users.u{number}]\nemail = \"u{number}@example.com\"\nroles = [\"r\"]\n"));
    }
    field.write("roster.toml", &roster);
    let running = field.start();
    running.another_pass("bi").await;
    let last = running.target("bi").last_pass.expect("a pass");
    assert_eq!(last.outcome, PassOutcome::Timeout);
    assert!((20..=31).contains(&last.made), "{last:?}");
    assert_eq!(running.target("bi").consecutive_failures, 0, "what comes forward is no failure");
    running.until("everybody is there", |r| r.target("bi").state == TargetState::InStep).await;
    assert_eq!(field.count("quicksight:RegisterUser"), 100, "nobody is registered twice");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn once_makes_one_pass_of_each_target_and_ends() {
    let field = field();
    let daemon = field.prepare_with(rosterd::daemon::SLACK, field.http(), true).expect("valid files");
    let ended = super::virtually::Running::of(daemon).ends().await;
    let outcomes: Vec<_> = ended.outcomes.into_iter().collect();
    let ok = |name: &str| (name.to_string(), Some(PassOutcome::Ok));
    assert_eq!(outcomes, [ok("bi"), ok("portal"), ok("research")]);
}

/// What a scheduler started goes on over midnight and whatever happens to the files.
#[tokio::test(start_paused = true)]
async fn once_is_one_pass_with_the_files_as_they_were() {
    let mut world = empty_world();
    world.ensure_environment(REGION);
    let field = Field::with(world, Knobs::from_toml("latency_ms = 9000").unwrap());
    field.settings("", &format!("{}{}{}", portal(""), bi(""), research("")));
    field.write("roster.toml", ROSTER);
    field.jump(jiff::SignedDuration::from_secs(12 * 3600 - 10));
    let daemon = field.prepare_with(rosterd::daemon::SLACK, field.http(), true).expect("valid files");
    let running = super::virtually::Running::of(daemon);
    field.write("roster.toml", "nonsense");
    running.order(Order::Reload(None)).await;
    let shared = std::sync::Arc::clone(&running.shared);
    let ended = running.ends().await;
    assert!(ended.outcomes.values().all(|o| *o == Some(PassOutcome::Ok)), "{ended:?}");
    for target in ["bi", "portal", "research"] {
        assert_eq!(super::virtually::passes(&shared, target), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn once_that_is_cut_off_is_not_done() {
    let field = field();
    field.way("quicksight", Way::Silent);
    let daemon = field.prepare_with(rosterd::daemon::SLACK, field.http(), true).expect("valid files");
    let running = super::virtually::Running::of(daemon);
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.order(Order::Stop("SIGTERM")).await;
    let ended = running.stop().await;
    assert!(ended.cut_off);
    assert_eq!(ended.outcomes.get("bi"), Some(&None), "it is on the list all the same");
}
