//! SIGINT and SIGTERM in the middle of an apply: calls under way finish, no new one starts, the report
//! says what was done, and the next run finishes the work.

use std::process::Stdio;
use std::time::Duration;

use rosterd::sandbox::Knobs;

use crate::support::*;

const USERS: usize = 40;

fn roster() -> String {
    let mut roster = "[roles.r]\nquicksight = { role = \"READER\" }\n".to_string();
    for number in 0..USERS {
        roster.push_str(&format!("[users.u{number}]\nemail = \"u{number}@example.com\"\nroles = [\"r\"]\n"));
    }
    roster
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited too long for {what}");
}

async fn interrupted_by(signal: &str) {
    let bench = Bench::with(empty_world(), Knobs::from_toml("latency_ms = 100").unwrap()).await;
    bench.settings("concurrency = 2", &bi(""));
    bench.write("roster.toml", &roster());
    let mut command = bench.command(&["apply", "--yes"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    until("the first registrations", || bench.writes().values().sum::<usize>() >= 4).await;
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("finishing the calls under way, starting no new one"), "{text}");

    // What the report says is what the sandbox holds.
    let registered = bench.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len();
    assert!(registered < USERS, "it was in the middle");
    let report = format!("Applied: {registered} done, {} not started.", USERS - registered);
    assert!(text.contains(&report), "no `{report}` in:\n{text}");
    let lines = bench.read("state/audit.jsonl").lines().filter(|line| !line.contains("begun")).count();
    assert_eq!(lines, registered, "one audit line a write");

    bench.run(&["apply", "--yes"]).await.exits(0).says(&format!("Applied: {} done.", USERS - registered));
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_finishes_what_is_under_way() {
    interrupted_by("-INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_under_way() {
    interrupted_by("-TERM").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_write_an_interrupt_ends_it_at_once() {
    let bench = Bench::with(empty_world(), Knobs::from_toml("latency_ms = 3000").unwrap()).await;
    bench.files(&bi(""), &roster());
    let mut command = bench.command(&["apply", "--yes"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    until("the first read", || bench.sandbox.peak("quicksight:ListUsers") > 0).await;
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("interrupted: nothing was written"));
    assert!(bench.writes().is_empty());
}
