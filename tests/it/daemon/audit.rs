//! The audit trail of a process that lives for years: rotation, a full disk, half a line.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;
use rosterd::daemon::status::TargetState;
use rosterd::telemetry::audit::{Audit, Line};

use super::virtually::Field;
use crate::support::*;

fn line(number: usize) -> String {
    format!("plan{number}")
}

fn write(audit: &Audit, number: usize) -> Result<(), String> {
    audit.write(&Line::begin("bi", &line(number), number, &[], Timestamp::UNIX_EPOCH))
}

/// The plans of the lines of a file, each of which is whole.
fn plans(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = |l: &str| serde_json::from_str::<serde_json::Value>(l).unwrap_or_else(|e| panic!("{e}: {l}"));
    text.lines().map(|l| whole(l)["plan"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_trail_that_is_renamed_away_goes_on_in_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trail/audit.jsonl");
    let audit = Audit::open(&path).unwrap();
    write(&audit, 1).unwrap();
    std::fs::rename(&path, dir.path().join("audit.jsonl.1")).unwrap();
    write(&audit, 2).unwrap();
    write(&audit, 3).unwrap();
    assert_eq!(plans(&dir.path().join("audit.jsonl.1")), [line(1)]);
    assert_eq!(plans(&path), [line(2), line(3)]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_trail_that_is_copied_and_truncated_goes_on_at_its_new_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = Audit::open(&path).unwrap();
    write(&audit, 1).unwrap();
    std::fs::copy(&path, dir.path().join("audit.jsonl.1")).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    write(&audit, 2).unwrap();
    assert_eq!(plans(&path), [line(2)], "no hole of zeros before it");
}

#[test]
fn half_a_line_of_a_killed_process_stays_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, "{\"time\":\"2027-01-").unwrap();
    write(&Audit::open(&path).unwrap(), 1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(lines[1]).unwrap()["plan"], line(1));
}

#[test]
fn a_line_that_cannot_be_written_is_kept_and_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let audit = Audit::open(&path).unwrap();
    let error = write(&audit, 1).unwrap_err();
    assert!(error.contains("make room on its disk"), "{error}");
    assert!(write(&audit, 2).is_err() && audit.ready().is_err());
    assert_eq!(audit.pending(), 2);
    std::fs::remove_file(&path).unwrap();
    audit.ready().unwrap();
    write(&audit, 3).unwrap();
    assert_eq!((plans(&path), audit.pending()), (vec![line(1), line(2), line(3)], 0));
}

/// Invariant 11, on a disk that is full: nothing is written to AWS that could not be recorded.
#[tokio::test(start_paused = true)]
async fn on_a_full_disk_nothing_is_written_to_aws_and_the_daemon_says_so() {
    let field = Field::new(empty_world());
    field.settings("", &bi(""));
    field.write(
        "roster.toml",
        "[roles.r]\nquicksight = { role = \"READER\" }\n[users.alice]\nemail = \"alice@example.com\"\nroles = [\"r\"]\n",
    );
    std::fs::create_dir(field.path("state")).unwrap();
    std::os::unix::fs::symlink("/dev/full", field.path("state/audit.jsonl")).unwrap();
    let running = field.start();
    running.until("it fails", |r| r.target("bi").consecutive_failures >= 3).await;
    assert!(field.writes().is_empty(), "{:?}", field.writes());
    let status = running.status();
    assert!(!status.ready && status.audit_lines_pending >= 1 && status.live);
    let error = running.target("bi").error.unwrap_or_default();
    assert!(error.contains("cannot write the audit trail") && error.contains("make room"), "{error}");
    assert!(field.count("quicksight:ListUsers") >= 3, "it goes on looking");
    std::fs::remove_file(field.path("state/audit.jsonl")).unwrap();
    running.until("there is room again", |r| r.target("bi").state == TargetState::InStep).await;
    assert_eq!((field.audited("done").len(), running.status().audit_lines_pending), (1, 0));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_passes_remember_may_fail_to_be_saved_and_is_saved_later() {
    let field = Field::new(empty_world());
    field.settings("", &bi(""));
    field.write(
        "roster.toml",
        "[roles.r]\nquicksight = { role = \"READER\" }\n[users.alice]\nemail = \"alice@example.com\"\nroles = [\"r\"]\n",
    );
    // A folder where the file should be: the same for root, whom no permission stops.
    std::fs::create_dir_all(field.path("state/memory.json/x")).unwrap();
    let running = field.start();
    running.until("it is noticed", |r| r.status().state_save_failed).await;
    running.until("the passes go on", |r| r.passes("bi") >= 3).await;
    assert!(running.status().ready);
    std::fs::remove_dir_all(field.path("state/memory.json")).unwrap();
    running.until("it is saved", |r| !r.status().state_save_failed).await;
    assert!(field.read("state/memory.json").contains("alice"));
    running.stop().await;
}
