//! The page as text: what it says, and that nothing in it could be blocked by the policy or forged by a name.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use rosterd::daemon::status::{
    ChangeState, ChangeView, Configuration, PlanView, Quarter, Status, TargetPlanView, TargetState,
    TargetStatus,
};
use rosterd::plan::guard::Policy;
use rosterd::plan::{Kind, Removal};
use rosterd::service::ServiceKind;
use rosterd::telemetry::page::{content_security_policy, page, time};

fn now() -> Timestamp {
    Timestamp::from_second(1_784_000_000).expect("a time")
}

fn before(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn target(name: &str, state: TargetState) -> TargetStatus {
    TargetStatus {
        name: name.into(),
        service: ServiceKind::QuickSight,
        place: "123456789012/default us-east-1".into(),
        policy: Policy::Sync,
        state,
        passing: false,
        last_pass: None,
        last_success: None,
        next_pass: Some(before(-120)),
        consecutive_failures: 0,
        credentials_expire: None,
        was_observed: true,
        users_desired: 5,
        users_observed: 7,
        users_unmanaged: 1,
        in_step: 4,
        drift: 1,
        drift_by_kind: BTreeMap::new(),
        pending: 1,
        held: 0,
        held_by: BTreeMap::new(),
        removals_held: 0,
        blocked: 0,
        not_converging: 0,
        error: None,
        pace: Vec::new(),
    }
}

fn status(targets: Vec<TargetStatus>) -> Status {
    Status {
        format_version: 1,
        version: "0.0.0",
        now: now(),
        started: before(3600),
        live: true,
        ready: true,
        not_ready: Vec::new(),
        sandbox: false,
        show_people: true,
        audit_lines_pending: 0,
        state_save_failed: false,
        configuration: Configuration {
            path: "rosterd.toml".into(),
            hash: "3f2a91c0".into(),
            loaded: before(3600),
            users: 5,
            last_reload_ok: true,
            problem: None,
            needs_restart: Vec::new(),
        },
        targets,
        errors: Vec::new(),
        history: Vec::new(),
    }
}

fn plan(changes: usize, total: usize) -> PlanView {
    let change = |i: usize| ChangeView {
        kind: Kind::CreateUser,
        who: format!("<b>u{i}</b>@example.com"),
        user: None,
        what: "create".into(),
        cause: "analyst".into(),
        roles: Vec::new(),
        removal: Removal::None,
        state: ChangeState::Pending,
        held_by: None,
        reason: None,
        ways_out: Vec::new(),
    };
    let changes = (0..changes).map(change).collect();
    let target = TargetPlanView {
        target: "bi".into(),
        service: ServiceKind::QuickSight,
        planned: now(),
        total,
        changes,
    };
    PlanView { format_version: 1, show_people: true, targets: vec![target] }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).expect("the start is there");
    rest.split_once(end).expect("the end is there").0
}

#[test]
fn the_policy_allows_exactly_what_the_page_holds() {
    let html = page(&status(vec![target("bi", TargetState::Drifted)]), &plan(2, 2));
    let policy = content_security_policy();
    for (directive, tag) in [("style-src", "style"), ("script-src", "script")] {
        let text = between(&html, &format!("<{tag}>"), &format!("</{tag}>"));
        let hash = aws_smithy_types::base64::encode(Sha256::digest(text));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}';")), "{policy}");
        assert_eq!(html.matches(&format!("<{tag}")).count(), 1);
    }
    let body = between(&html, "<body>", "<script>");
    let attributes =
        body.split_ascii_whitespace().filter_map(|word| word.split_once("=\"")).map(|(name, _)| name);
    assert_eq!(attributes.filter(|name| *name == "style" || name.starts_with("on")).count(), 0);
}

#[test]
fn a_name_cannot_become_markup() {
    let html = page(&status(vec![target("<i>", TargetState::Failing)]), &plan(1, 1));
    assert!(html.contains("&lt;b&gt;u0&lt;/b&gt;@example.com"));
    assert!(!html.contains("<b>") && !html.contains("<i>"));
}

#[test]
fn the_verdict_names_who_needs_a_look() {
    let states = [TargetState::InStep, TargetState::InStep, TargetState::Failing];
    let targets = ["bi", "lake", "research"].into_iter().zip(states).map(|(n, s)| target(n, s)).collect();
    let mut status = status(targets);
    let first = |status: &Status| between(&page(status, &plan(0, 0)), "rosterd: ", "</title>").to_string();
    assert_eq!(first(&status), "2 of 3 targets are in step; research is failing");
    status.targets.truncate(2);
    assert_eq!(first(&status), "The roster is in force on both targets");
    status.configuration.last_reload_ok = false;
    status.configuration.problem = Some("unknown role `<x>`".into());
    assert!(first(&status).starts_with("The files on disk are invalid"));
    let html = page(&status, &plan(0, 0));
    assert!(html.contains("role=\"alert\"") && html.contains("unknown role `&lt;x&gt;`"));
}

#[test]
fn a_long_plan_is_folded_and_cut_and_says_so() {
    let html = page(&status(vec![target("bi", TargetState::Drifted)]), &plan(250, 5_000));
    assert!(html.contains("u199&lt;"));
    assert!(!html.contains("u200&lt;"));
    assert!(html.contains("… and 4,800 more"), "the rest is counted");
    assert!(html.contains("<details id=\"plan-of-bi-all\">"));
}

#[test]
fn every_id_is_there_once() {
    let mut status = status(vec![target("bi", TargetState::Held), target("title", TargetState::Starting)]);
    status.history = vec![quarter(0, 3)];
    let html = page(&status, &plan(40, 40));
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{ids:?}");
}

fn quarter(seconds_ago: i64, made: u64) -> Quarter {
    Quarter { start: before(seconds_ago), made, failed: 0, drift: made, attempts: made, throttled: 0 }
}

#[test]
fn the_last_day_is_drawn_whatever_the_history_holds() {
    let mut status = status(Vec::new());
    assert_eq!(page(&status, &plan(0, 0)).matches("nothing yet").count(), 3);
    // Older than a day, in the future, with a gap, and more than any service ever did.
    status.history = vec![quarter(90_000, 7), quarter(9_000, u64::MAX), quarter(0, 0), quarter(-9_000, 7)];
    let html = page(&status, &plan(0, 0));
    assert!(html.contains("18,446,744,073,709,551,615 made"));
    assert!(!html.contains("NaN") && !html.contains("inf\""));
}

#[test]
fn times_are_said_as_people_say_them() {
    let words =
        [(0, "now"), (42, "42 s ago"), (200, "3 min ago"), (4_320, "1 h 12 min ago"), (-130, "in 2 min")];
    for (seconds, expected) in words {
        assert_eq!(time::relative(now(), before(seconds)), expected);
    }
    let took =
        [(0.42, "0.42 s"), (4.23, "4.2 s"), (59.7, "1 min"), (92.4, "1 min 32 s"), (7_380.0, "2 h 3 min")];
    for (seconds, expected) in took {
        assert_eq!(time::took(seconds), expected);
    }
}
