//! What waits for a date: `removal_grace`, `expires`, and a clock that jumps.

use std::time::Duration;

use jiff::SignedDuration;

use super::virtually::{Field, Running};
use crate::support::*;

/// Bob expires in two days.
const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "READER" }
[users.alice]
email = "alice@example.com"
roles = ["r"]
[users.bob]
email = "bob@example.com"
roles = ["r"]
expires = 2027-01-12
"#;

fn field(rest: &str) -> Field {
    let mut world = empty_world();
    qs_user(&mut world, "p9", "gone@example.com", "READER");
    let field = Field::new(world);
    field.settings("interval = \"10m\"", &bi(&format!("{}\n{rest}", sync("delete"))));
    field.write("roster.toml", ROSTER);
    field
}

fn is_there(field: &Field, name: &str) -> bool {
    qs(&field.sandbox.world(), name).is_some()
}

async fn hours(number: u64) {
    tokio::time::sleep(Duration::from_secs(number * 3600)).await;
}

async fn first_pass(field: &Field) -> Running {
    let running = field.start();
    running.until("the first pass", |r| r.status().ready).await;
    running
}

#[tokio::test(start_paused = true)]
async fn grace_counts_from_the_first_pass_that_saw_it_over_restarts() {
    let field = field("removal_grace = \"24h\"");
    let running = first_pass(&field).await;
    assert_eq!(running.target("bi").held, 1);
    hours(12).await;
    running.stop().await;
    let running = first_pass(&field).await;
    hours(11).await;
    assert!(is_there(&field, "gone@example.com"), "23 of 24 hours");
    hours(2).await;
    assert!(!is_there(&field, "gone@example.com"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn expires_holds_from_the_beginning_of_its_day_and_while_the_files_are_broken() {
    let field = field("");
    let running = first_pass(&field).await;
    field.write("roster.toml", "this is no roster");
    running.until("it is noticed", |r| !r.status().configuration.last_reload_ok).await;
    hours(35).await;
    assert!(is_there(&field, "bob@example.com"), "an hour before midnight of the eleventh");
    let status = running.status();
    assert!(!status.ready && !status.configuration.last_reload_ok, "another day mends no file");
    hours(2).await;
    assert!(!is_there(&field, "bob@example.com"), "an hour after");
    let status = running.status();
    assert!(!status.ready && !status.configuration.last_reload_ok, "another day mends no file");
    assert!(is_there(&field, "alice@example.com"));
    running.stop().await;
}

/// The files change in the last seconds of a day, and are read in the first ones of the next.
#[tokio::test(start_paused = true)]
async fn what_is_read_at_midnight_is_not_undone_by_midnight() {
    for seconds_before in 0..8 {
        let field = field("");
        let running = first_pass(&field).await;
        let midnight = Duration::from_secs(12 * 3600);
        let now = running.status().now.duration_since(running.status().started);
        let now = Duration::try_from(now).unwrap();
        tokio::time::sleep(midnight - now - Duration::from_secs(seconds_before)).await;
        let more = "[users.new]\nemail = \"new@example.com\"\nroles = [\"r\"]\n";
        field.write("roster.toml", &format!("{ROSTER}{more}"));
        hours(1).await;
        assert!(is_there(&field, "new@example.com"), "{seconds_before} s before midnight");
        let generation = running.shared.generation();
        assert_eq!(generation.day.to_string(), "2027-01-11");
        running.stop().await;
    }
}

/// The last person of the roster expires: more likely a mistake than a wish, and said once.
#[tokio::test(start_paused = true)]
async fn a_day_on_which_nobody_is_left_is_refused() {
    let field = field("");
    field.write(
        "roster.toml",
        &ROSTER.replace("roles = [\"r\"]\n[users.bob]", "roles = [\"r\"]\nexpires = 2027-01-12\n[users.bob]"),
    );
    let running = first_pass(&field).await;
    hours(40).await;
    let status = running.status();
    assert!(is_there(&field, "alice@example.com") && is_there(&field, "bob@example.com"));
    assert!(!status.ready && !status.configuration.last_reload_ok);
    let problem = status.configuration.problem.unwrap_or_default();
    assert!(problem.contains("on 2027-01-12") && problem.contains("every user"), "{problem}");
    assert_eq!(status.errors[0].count, 1);
    running.stop().await;
}

/// A clock that is set wrong for less than an hour changes nobody's access.
#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_is_not_believed_for_an_hour() {
    let field = field("removal_grace = \"24h\"");
    let running = first_pass(&field).await;
    field.jump(SignedDuration::from_hours(24 * 400));
    tokio::time::sleep(Duration::from_secs(50 * 60)).await;
    assert!(running.passes("bi") >= 5, "the loop goes on: {}", running.passes("bi"));
    assert!(is_there(&field, "bob@example.com") && is_there(&field, "gone@example.com"));
    // Somebody mends it in time.
    field.jump(SignedDuration::from_hours(-24 * 400));
    hours(3).await;
    assert!(is_there(&field, "bob@example.com") && is_there(&field, "gone@example.com"));
    // Or nobody does, and it is the right time after all.
    field.jump(SignedDuration::from_hours(24 * 3));
    hours(2).await;
    assert!(!is_there(&field, "bob@example.com"), "his day has come");
    assert!(is_there(&field, "gone@example.com"), "grace is time that passed, whatever the clock says");
    hours(24).await;
    assert!(!is_there(&field, "gone@example.com"));
    running.stop().await;
}

/// A machine without a clock of its own starts in the past.
#[tokio::test(start_paused = true)]
async fn a_start_in_the_past_of_what_is_remembered_brings_nobody_back() {
    let field = field("removal_grace = \"24h\"");
    let running = first_pass(&field).await;
    hours(37).await;
    assert!(!is_there(&field, "bob@example.com"), "bob has expired");
    running.stop().await;
    let before = field.writes();
    field.jump(SignedDuration::from_hours(-24 * 365));
    let running = field.start();
    running.until("it says so", |r| r.target("bi").consecutive_failures > 0).await;
    let error = running.target("bi").error.unwrap_or_default();
    assert!(error.contains("behind what `state_dir` remembers") && error.contains("set it"), "{error}");
    tokio::time::sleep(Duration::from_secs(50 * 60)).await;
    assert_eq!(field.writes(), before, "nobody knows what time it is");
    field.jump(SignedDuration::from_hours(24 * 365));
    running.until("it goes on", |r| r.status().ready).await;
    hours(2).await;
    assert!(!is_there(&field, "bob@example.com"), "he stays away");
    running.stop().await;
    // A pass that a scheduler starts does not wait for an hour: it fails.
    field.jump(SignedDuration::from_hours(-24 * 365));
    let daemon = field.prepare_with(rosterd::daemon::SLACK, field.http(), true).expect("valid files");
    let ended = Running::of(daemon).ends().await;
    assert_eq!(ended.outcomes["bi"], Some(rosterd::daemon::status::PassOutcome::Failed));
    assert_eq!(field.writes(), before);
}

/// What a clock that nobody believes has timed does not count.
#[tokio::test(start_paused = true)]
async fn grace_does_not_begin_while_nobody_knows_what_time_it_is() {
    let field = field("removal_grace = \"24h\"");
    let running = first_pass(&field).await;
    running.stop().await;
    hours(20).await;
    field.sandbox.change(|world| qs_user(world, "p8", "late@example.com", "READER"));
    field.jump(SignedDuration::from_hours(-24 * 365));
    let running = field.start();
    running.until("two passes", |r| r.passes("bi") >= 2).await;
    field.jump(SignedDuration::from_hours(24 * 365));
    hours(23).await;
    assert!(is_there(&field, "late@example.com"), "seen for 23 hours that count");
    hours(3).await;
    assert!(!is_there(&field, "late@example.com"));
    running.stop().await;
}

/// Removals become due also where passes are further apart than grace is long.
#[tokio::test(start_paused = true)]
async fn grace_shorter_than_the_interval_ends_all_the_same() {
    let field = field("removal_grace = \"3m\"");
    let running = first_pass(&field).await;
    assert!(is_there(&field, "gone@example.com"));
    hours(1).await;
    assert!(!is_there(&field, "gone@example.com"));
    running.stop().await;
}

/// What was unlisted before somebody was away may have been listed in between.
#[tokio::test(start_paused = true)]
async fn grace_starts_anew_when_nobody_has_looked_for_longer() {
    let field = field("removal_grace = \"24h\"");
    let running = first_pass(&field).await;
    hours(1).await;
    running.stop().await;
    hours(72).await;
    let running = first_pass(&field).await;
    hours(22).await;
    assert!(is_there(&field, "gone@example.com"), "seen for 23 hours in all");
    hours(3).await;
    assert!(!is_there(&field, "gone@example.com"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_back_brings_nobody_back_and_stops_no_pass() {
    let field = field("");
    let running = first_pass(&field).await;
    hours(37).await;
    assert!(!is_there(&field, "bob@example.com"), "bob has expired");
    let before = running.passes("bi");
    field.jump(SignedDuration::from_hours(-24 * 3));
    tokio::time::sleep(Duration::from_secs(50 * 60)).await;
    assert!(!is_there(&field, "bob@example.com"), "bob stays away");
    assert!(running.passes("bi") >= before + 4);
    field.jump(SignedDuration::from_hours(24 * 3));
    hours(2).await;
    assert!(!is_there(&field, "bob@example.com"));
    running.stop().await;
}
