//! The end: calls under way finish, no new one starts, what was learned is saved; and an end without any of
//! that, after which the next start converges with nothing doubled.

use std::time::Duration;

use rosterd::daemon::Order;
use rosterd::daemon::StartError;
use rosterd::sandbox::Knobs;
use tokio::time::Instant;

use super::virtually::{Field, Way};
use crate::support::*;

const USERS: usize = 60;

fn field() -> Field {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 1000").unwrap());
    field.settings("concurrency = 3\nshutdown_grace = \"10s\"", &bi(""));
    let mut roster = "[roles.r]\nquicksight = { role = \"READER\" }\n".to_string();
    for number in 0..USERS {
        roster.push_str(&format!("[users.u{number}]\nemail = \"u{number}@example.com\"\nroles = [\"r\"]\n"));
    }
    field.write("roster.toml", &roster);
    field
}

fn registered(field: &Field) -> usize {
    field.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len()
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_finish_and_no_new_one_starts() {
    let field = field();
    let running = field.start();
    running.until("it is under way", |_| field.count("quicksight:RegisterUser") >= 10).await;
    let asked = Instant::now();
    let before = field.count("quicksight:RegisterUser");
    let ended = running.stop().await;
    assert!(!ended.cut_off && asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let after = field.count("quicksight:RegisterUser");
    assert!(after <= before + 3, "{before} before, {after} after");
    assert_eq!(registered(&field), after);
    assert_eq!(field.audited("done").len(), after, "each has its line");
    let memory: serde_json::Value = serde_json::from_str(&field.read("state/memory.json")).unwrap();
    assert_eq!(memory["principals"]["bi"].as_object().unwrap().len(), after, "and is remembered");
    let running = field.start();
    running.until("the rest is made", |r| r.target("bi").in_step == USERS).await;
    assert_eq!(field.count("quicksight:RegisterUser"), USERS, "nobody twice");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_within_the_grace_is_cut_off_and_on_record() {
    let field = field();
    let running = field.start();
    running.until("it is under way", |_| field.count("quicksight:RegisterUser") >= 10).await;
    field.way("quicksight", Way::Silent);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = Instant::now();
    let ended = running.stop().await;
    assert!(ended.cut_off);
    assert!((9..12).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    let unknown = field.audited("unknown");
    assert_eq!(unknown.len(), 3, "as many as were under way");
    assert!(unknown.iter().all(|line| line["kind"] == "create_user"));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_does_not_wait_for_the_grace() {
    let field = field();
    field.way("quicksight", Way::Silent);
    let running = field.start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = Instant::now();
    running.order(Order::Stop("SIGTERM")).await;
    let ended = running.stop().await;
    assert!(ended.cut_off && asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

/// At whatever moment it is killed.
#[tokio::test(start_paused = true)]
async fn killed_in_the_middle_the_next_start_converges_with_nothing_doubled() {
    let field = field();
    for kills in 1..=8 {
        let running = field.start();
        let until = field.count("quicksight:RegisterUser") + 5;
        running.until("it is under way", |_| field.count("quicksight:RegisterUser") >= until).await;
        // Some calls have taken effect and were not answered yet.
        tokio::time::sleep(Duration::from_millis(90 * kills)).await;
        running.kill().await;
    }
    let running = field.start();
    running.until("everybody is there", |r| r.target("bi").in_step == USERS).await;
    assert_eq!(registered(&field), USERS);
    let names: std::collections::BTreeSet<_> = field.sandbox.world().accounts[ACCOUNT].namespaces["default"]
        .users
        .values()
        .map(|u| u.user_name.clone())
        .collect();
    assert_eq!(names.len(), USERS, "no name twice");
    running.stop().await;
}

/// Lesson 15: a single writer, with clean failover.
#[tokio::test(start_paused = true)]
async fn lesson_15_two_daemons_do_not_share_a_state_dir() {
    let field = field();
    let first = field.start();
    let Err(StartError::Taken(message)) = field.prepare() else { panic!("two writers") };
    assert!(message.contains(&format!("rosterd with process id {}", std::process::id())), "{message}");
    first.kill().await;
    field.prepare().expect("the lock ends with its process");
}
