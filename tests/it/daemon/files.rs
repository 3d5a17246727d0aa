//! Reloads: what counts as a change, what a bad edit does, and what becomes of a pass under way.

use std::os::unix::fs::symlink;
use std::time::Duration;

use rosterd::daemon::Order;
use rosterd::daemon::status::TargetState;
use rosterd::sandbox::Knobs;
use tokio::sync::oneshot;

use super::virtually::{Field, Running};
use crate::support::*;

fn roster(users: &[&str]) -> String {
    let mut roster =
        "[roles.r]\nquicksight = { role = \"READER\" }\nfinspace = { type = \"APP_USER\" }\n".to_string();
    for user in users {
        roster.push_str(&format!(
            "[users.{user}]\nemail = \"{user}@example.com\"\nfirst_name = \"F\"\nlast_name = \"L\"\nroles = [\"r\"]\n"
        ));
    }
    roster
}

async fn started(users: &[&str]) -> (Field, Running) {
    let field = Field::new(empty_world());
    // Long enough that no pass begins by itself.
    field.settings("interval = \"24h\"", &bi(&sync("delete")));
    field.write("roster.toml", &roster(users));
    let running = field.start();
    running.until("the first pass", |r| r.status().ready).await;
    (field, running)
}

fn is_there(field: &Field, user: &str) -> bool {
    qs(&field.sandbox.world(), &format!("{user}@example.com")).is_some()
}

/// Each way in which an editor, a person or Kubernetes replaces a file.
#[tokio::test(start_paused = true)]
async fn every_way_of_replacing_a_file_is_noticed() {
    type Replace = fn(&Field, &str);
    let ways: [(&str, Replace); 4] = [
        ("written in place", |field, text| field.write("roster.toml", text)),
        ("a new file renamed over it", |field, text| {
            field.write(".roster.toml.swp", text);
            std::fs::rename(field.path(".roster.toml.swp"), field.path("roster.toml")).unwrap();
        }),
        ("moved away, then written", |field, text| {
            std::fs::rename(field.path("roster.toml"), field.path("roster.toml~")).unwrap();
            field.write("roster.toml", text);
        }),
        ("removed, then written", |field, text| {
            std::fs::remove_file(field.path("roster.toml")).unwrap();
            field.write("roster.toml", text);
        }),
    ];
    for (way, replace) in ways {
        let (field, running) = started(&["alice"]).await;
        replace(&field, &roster(&["alice", "bob"]));
        running.until(way, |_| is_there(&field, "bob")).await;
        assert_eq!(running.passes("bi"), 2, "{way}: one more pass");
        running.stop().await;
    }
}

/// A ConfigMap is a folder of links through `..data`, which is swapped as a whole.
#[tokio::test(start_paused = true)]
async fn kubernetes_swapping_its_links_is_a_reload() {
    let field = Field::new(empty_world());
    let version = |name: &str, users: &[&str]| {
        std::fs::create_dir(field.path(name)).unwrap();
        let settings = field.settings_text("interval = \"24h\"", &bi(""));
        field.write(&format!("{name}/rosterd.toml"), &settings);
        field.write(&format!("{name}/roster.toml"), &roster(users));
    };
    version("..1", &["alice"]);
    symlink("..1", field.path("..data")).unwrap();
    for file in ["rosterd.toml", "roster.toml"] {
        symlink(format!("..data/{file}"), field.path(file)).unwrap();
    }
    let running = field.start();
    running.until("the first pass", |r| r.status().ready).await;
    version("..2", &["alice", "bob"]);
    symlink("..2", field.path("..data_tmp")).unwrap();
    std::fs::rename(field.path("..data_tmp"), field.path("..data")).unwrap();
    std::fs::remove_dir_all(field.path("..1")).unwrap();
    running.until("the swap", |_| is_there(&field, "bob")).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_read_while_it_is_being_written() {
    let (field, running) = started(&["alice", "bob"]).await;
    let all = roster(&["alice", "bob", "carol"]);
    // An editor that writes on and on: valid TOML at each step, with people missing.
    for at in (0..all.len()).step_by(all.len() / 40) {
        field.write("roster.toml", &all[..at]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    field.write("roster.toml", &all);
    running.until("it is read", |_| is_there(&field, "carol")).await;
    assert!(running.status().errors.is_empty(), "{:?}", running.status().errors);
    assert_eq!(field.count("quicksight:DeleteUser"), 0);
    running.stop().await;
}

/// Invariant 7 and lesson 1: whatever stands in the file, nobody loses access by it.
#[tokio::test(start_paused = true)]
async fn a_bad_roster_keeps_the_last_good_one_in_force() {
    let everybody: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let good = roster(&everybody);
    let invalid = good.replace("[users.u3]", "[users.u3");
    let cases: [(&str, &str, &str); 5] = [
        ("invalid", &invalid, "unclosed table"),
        ("empty", "", "lists no user"),
        ("truncated in a line", &good[..good.len() / 2 + 3], "roster.toml:"),
        ("no text", "\u{0}\u{0}", "roster.toml:1:"),
        ("unknown role", &good.replace("roles = [\"r\"]", "roles = [\"x\"]"), "unknown role `x`"),
    ];
    for (case, text, problem) in cases {
        let (field, running) = started(&everybody).await;
        field.write("roster.toml", text);
        running.until(case, |r| !r.status().configuration.last_reload_ok).await;
        let status = running.status();
        let shown = status.configuration.problem.clone().unwrap_or_default();
        assert!(shown.contains(problem), "{case}: {shown}");
        assert!(
            !shown.contains('@') && !shown.contains("first_name"),
            "no line of the file: {case}: {shown}"
        );
        assert!(!status.ready && status.not_ready[0].contains("files on disk are invalid"));
        assert_eq!(status.errors.len(), 1, "{case}: said once: {:?}", status.errors);
        running.order(Order::Reconcile { target: None, force_removals: false }).await;
        running.another_pass("bi").await;
        assert_eq!(running.target("bi").state, TargetState::InStep, "{case}");
        assert_eq!(field.count("quicksight:DeleteUser"), 0, "{case}");
        field.write("roster.toml", &good);
        running.until("it is mended", |r| r.status().ready).await;
        running.stop().await;
    }
}

/// A mistake is often in the line that says who somebody is.
#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_person_names_nobody() {
    let (field, running) = started(&["alice"]).await;
    let bad = roster(&["alice"])
        .replace("first_name = \"F\"", "first_name = \"Alicia\"\nsso_user = \"alicia moreau\"")
        .replace("alice@example.com", "alicia.moreau.example.com");
    field.write("roster.toml", &bad);
    running.until("it is noticed", |r| !r.status().configuration.last_reload_ok).await;
    let problem = running.status().configuration.problem.unwrap_or_default();
    assert!(
        problem.contains("(hidden) is no valid") || problem.contains("`(hidden)` is no valid"),
        "{problem}"
    );
    let lower = problem.to_lowercase();
    assert!(!lower.contains("alicia") && !lower.contains("moreau"), "{problem}");
    assert!(problem.contains("roster.toml:5:"), "{problem}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_of_more_than_the_limit_is_refused_without_being_read() {
    let (field, running) = started(&["alice"]).await;
    let file = std::fs::File::create(field.path("roster.toml")).unwrap();
    file.set_len(rosterd::input::source::FILE_BYTES_MAX * 4).unwrap();
    running.until("it is noticed", |r| !r.status().configuration.last_reload_ok).await;
    let problem = running.status().configuration.problem.unwrap_or_default();
    assert!(problem.contains("64 MiB"), "{problem}");
    assert!(is_there(&field, "alice"));
    running.stop().await;
}

/// A roster that was cut off between two people is valid; the guard is what stands then.
#[tokio::test(start_paused = true)]
async fn a_roster_that_lost_its_second_half_removes_nobody() {
    let everybody: Vec<String> = (0..60).map(|n| format!("u{n:02}")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let (field, running) = started(&everybody).await;
    field.write("roster.toml", &roster(&everybody[..30]));
    running.until("it is held", |r| r.target("bi").state == TargetState::Held).await;
    assert_eq!(running.target("bi").removals_held, 30);
    assert_eq!(field.count("quicksight:DeleteUser"), 0);
    // Somebody who meant it says so, once.
    running.order(Order::Reconcile { target: Some("bi".into()), force_removals: true }).await;
    running.until("it is done", |r| r.target("bi").state == TargetState::InStep).await;
    assert_eq!(field.count("quicksight:DeleteUser"), 30);
    field.write("roster.toml", &roster(&everybody[..10]));
    running.until("the cap holds again", |r| r.target("bi").state == TargetState::Held).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn targets_come_and_go_with_the_settings() {
    let (field, running) = started(&["alice"]).await;
    field.settings("interval = \"24h\"", &format!("{}{}", bi(""), research("")));
    running.until("research has a pass", |r| r.status().ready && r.status().targets.len() == 2).await;
    assert!(fs(&field.sandbox.world(), "alice@example.com").is_some());
    field.settings("interval = \"24h\"", &research(""));
    running.until("bi is gone", |r| r.status().targets.len() == 1).await;
    assert!(is_there(&field, "alice"), "what is taken out of the settings is left alone");
    // Out and in again at once, faster than its loop ends.
    for _ in 0..3 {
        field.settings("interval = \"24h\"", &bi(""));
        running.order(Order::Reload(None)).await;
        field.settings("interval = \"24h\"", &format!("{}{}", bi(""), research("")));
        running.order(Order::Reload(None)).await;
    }
    let before = (running.passes("bi"), running.passes("research"));
    running.until("both have passes", |r| r.status().ready && r.passes("bi") > before.0.min(1)).await;
    running.order(Order::Reconcile { target: None, force_removals: false }).await;
    running.until("research is alive", |r| r.passes("research") > before.1).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_only_a_restart_changes_are_named() {
    let (field, running) = started(&["alice"]).await;
    field.settings("interval = \"24h\"\nlisten = \"127.0.0.1:1\"\nconcurrency = 3", &bi(&sync("delete")));
    running.until("it is read", |r| !r.status().configuration.needs_restart.is_empty()).await;
    assert_eq!(running.status().configuration.needs_restart, ["daemon.listen", "daemon.concurrency"]);
    running.stop().await;
}

/// A plan made from an older roster is not carried out to its end.
#[tokio::test(start_paused = true)]
async fn a_newer_roster_stops_the_plan_of_the_older_one() {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 1000").unwrap());
    field.settings("interval = \"24h\"\nconcurrency = 2", &bi(""));
    let everybody: Vec<String> = (0..100).map(|n| format!("u{n}")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    field.write("roster.toml", &roster(&everybody));
    let running = field.start();
    running.until("it is under way", |_| field.count("quicksight:RegisterUser") >= 10).await;
    field.write("roster.toml", &roster(&["alice"]));
    let (answer, answered) = oneshot::channel();
    running.order(Order::Reload(Some(answer))).await;
    answered.await.unwrap().expect("a valid roster");
    running.until("the new one is in force", |_| is_there(&field, "alice")).await;
    let registered = field.count("quicksight:RegisterUser");
    assert!(registered < 30, "{registered} of the older plan");
    assert_eq!(running.target("bi").consecutive_failures, 0);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(field.count("quicksight:RegisterUser"), registered);
    running.stop().await;
}

/// What somebody allowed under one roster is not allowed under the next.
#[tokio::test(start_paused = true)]
async fn removals_are_forced_only_under_the_roster_they_were_allowed_for() {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 1000").unwrap());
    field.settings("interval = \"24h\"", &bi(&sync("delete")));
    let everybody: Vec<String> = (0..60).map(|n| format!("u{n:02}")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    field.write("roster.toml", &roster(&everybody));
    let running = field.start();
    running.until("everybody is there", |r| r.target("bi").in_step == 60).await;
    // A pass is under way when somebody allows what it holds back, and the roster changes before it ends.
    running.order(Order::Reconcile { target: None, force_removals: false }).await;
    running.until("a pass is under way", |r| r.target("bi").passing).await;
    running.order(Order::Reconcile { target: Some("bi".into()), force_removals: true }).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    field.write("roster.toml", &roster(&everybody[..20]));
    running.order(Order::Reload(None)).await;
    running.until("it is held", |r| r.target("bi").state == TargetState::Held).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(field.count("quicksight:DeleteUser"), 0);
    running.stop().await;
}

/// A pass at the old place says nothing of the new one.
#[tokio::test(start_paused = true)]
async fn a_target_that_moves_takes_nothing_along() {
    let mut world = empty_world();
    world.ensure_namespace(ACCOUNT, "other", REGION);
    let field = Field::with(world, Knobs::from_toml("latency_ms = 2000").unwrap());
    field.settings("interval = \"24h\"", &bi(""));
    field.write("roster.toml", &roster(&["alice"]));
    let running = field.start();
    running.until("it writes", |_| field.count("quicksight:RegisterUser") == 1).await;
    // At the new place nothing answers, so that all there is of it would come from the old one.
    let old = field.sandbox.world();
    field.settings("interval = \"24h\"", &bi("namespace = \"nowhere\""));
    running.order(Order::Reload(None)).await;
    running.until("it fails there", |r| r.target("bi").consecutive_failures == 1).await;
    let target = running.target("bi");
    assert!(!target.was_observed && target.place.contains("nowhere"), "{target:?}");
    running.stop().await;
    let memory: serde_json::Value = serde_json::from_str(&field.read("state/memory.json")).unwrap();
    assert!(memory["principals"].get("bi").is_none_or(|p| p.as_object().unwrap().is_empty()), "{memory}");
    drop(old);
}

/// Another name for the same place: what is remembered comes along, and the two never write at once.
#[tokio::test(start_paused = true)]
async fn a_target_with_a_new_name_is_still_the_same_place() {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 1000").unwrap());
    field.settings("interval = \"24h\"\nconcurrency = 1", &bi(""));
    let everybody: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    field.write("roster.toml", &roster(&everybody));
    let running = field.start();
    running.until("it is under way", |_| field.count("quicksight:RegisterUser") >= 5).await;
    field
        .settings("interval = \"24h\"\nconcurrency = 1", &bi("").replace("targets.bi", "targets.dashboards"));
    running.order(Order::Reload(None)).await;
    running
        .until("the new name goes on", |r| {
            r.status().targets.iter().any(|t| t.name == "dashboards" && t.in_step == 30)
        })
        .await;
    assert_eq!(field.count("quicksight:RegisterUser"), 30, "nobody twice");
    assert!(
        field.sandbox.peak("quicksight:RegisterUser") <= 1 && field.sandbox.peak("quicksight:ListUsers") <= 1
    );
    running.stop().await;
    let memory: serde_json::Value = serde_json::from_str(&field.read("state/memory.json")).unwrap();
    assert_eq!(memory["principals"]["dashboards"].as_object().unwrap().len(), 30);
    assert!(memory["principals"].get("bi").is_none());
}

/// A roster that changes all the time does not keep a long pass from ending, nor others from going on.
#[tokio::test(start_paused = true)]
async fn a_roster_that_never_rests_starves_no_pass() {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 1000").unwrap());
    field.settings("interval = \"5m\"\nconcurrency = 1", &format!("{}{}", bi(""), research("")));
    let everybody: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let mut everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    field.write("roster.toml", &roster(&everybody));
    let running = field.start();
    for round in 0..60 {
        everybody.rotate_left(1);
        let last = format!("[users.x]\nemail = \"x{round}@example.com\"\nroles = []\n");
        field.write("roster.toml", &format!("{}{last}", roster(&everybody[..39])));
        running.order(Order::Reload(None)).await;
        tokio::time::sleep(Duration::from_secs(7)).await;
    }
    let last = running.target("bi").last_pass.expect("one pass has ended");
    assert!(running.target("bi").was_observed, "{last:?}");
    assert!(field.count("quicksight:RegisterUser") >= 39);
    running.stop().await;
}

/// Nor from being planned at all, where reading the target takes longer than the roster stays as it is.
#[tokio::test(start_paused = true)]
async fn a_target_that_is_slow_to_read_is_planned_sometime() {
    let field = Field::with(empty_world(), Knobs::from_toml("latency_ms = 9000").unwrap());
    field.settings("interval = \"5m\"", &bi(""));
    field.write("roster.toml", &roster(&["alice"]));
    let running = field.start();
    for round in 0..20 {
        // Its two reads take 18 seconds.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let more = format!("[users.x]\nemail = \"x{round}@example.com\"\nroles = [\"r\"]\n");
        field.write("roster.toml", &format!("{}{more}", roster(&["alice"])));
        running.order(Order::Reload(None)).await;
    }
    assert!(is_there(&field, "alice"), "{:?}", running.target("bi"));
    running.stop().await;
}

/// A reload that changes nothing for a target leaves its pass alone.
#[tokio::test(start_paused = true)]
async fn a_reload_is_for_the_targets_it_changes_something_for() {
    let field = Field::new(empty_world());
    field.settings("interval = \"24h\"", &format!("{}{}", bi(""), research("")));
    field.write("roster.toml", &roster(&["alice"]));
    let running = field.start();
    running.until("the first passes", |r| r.status().ready).await;
    field.write("roster.toml", &format!("# a remark\n{}", roster(&["alice"])));
    running.order(Order::Reload(None)).await;
    let role = "quicksight = { role = \"AUTHOR\" }";
    field.write("roster.toml", &roster(&["alice"]).replace("quicksight = { role = \"READER\" }", role));
    running
        .until("she is an author", |_| {
            qs(&field.sandbox.world(), "alice@example.com").unwrap().role == "AUTHOR"
        })
        .await;
    assert_eq!((running.passes("bi"), running.passes("research")), (2, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_a_reload_is_told_what_is_wrong() {
    let (field, running) = started(&["alice"]).await;
    // This one warns of its service, which is no mistake.
    field.settings("interval = \"24h\"", &format!("{}{}", bi(""), research("")));
    field.write("roster.toml", "[users.x]\nroles = [\"nobody\"]\n");
    let (answer, answered) = oneshot::channel();
    running.order(Order::Reload(Some(answer))).await;
    let problem = answered.await.unwrap().expect_err("an invalid roster");
    assert!(problem.contains("unknown role `nobody`") && problem.contains("roster.toml:2"), "{problem}");
    assert_eq!(problem.lines().count(), 1, "errors alone: {problem}");
    running.stop().await;
}
