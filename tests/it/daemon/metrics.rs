//! `/metrics`: every family that is documented, and no other; labels from closed sets; the numbers themselves.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::daemon::Order;
use rosterd::sandbox::Knobs;
use rosterd::telemetry::metrics::families::{FAMILIES, Type};
use rosterd::telemetry::metrics::scrape::scrape;

use super::virtually::{Field, Running, Way};
use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "READER" }
finspace = { type = "APP_USER" }
[users.alice]
email = "alice@example.com"
first_name = "Alice"
last_name = "Moreau"
roles = ["r"]
"#;

fn text(running: &Running) -> String {
    scrape(&running.shared.door.metrics, &running.status())
}

/// The value of a series, `name{labels}` as in the text.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|l| l.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn busy() -> (Field, Running) {
    let mut world = empty_world();
    qs_user(&mut world, "p2", "gone@example.com", "READER");
    let faults = "[[faults]]\non = \"quicksight:RegisterUser\"\nfault = \"throttle\"\ncount = 2\n";
    let field = Field::with(world, Knobs::from_toml(faults).unwrap());
    let targets = format!("{}{}", bi(&format!("{}\nremoval_grace = \"24h\"", sync("delete"))), research(""));
    field.settings("max_attempts = 1", &targets);
    field.write("roster.toml", ROSTER);
    field.way("finspace", Way::Dead);
    let running = field.start();
    running.until("two passes", |r| r.passes("bi") >= 2 && r.passes("research") >= 2).await;
    (field, running)
}

#[tokio::test(start_paused = true)]
async fn numbers_are_what_happened() {
    let (field, running) = busy().await;
    let text_ = text(&running);
    let check = |series: &str, expected: f64| assert_eq!(value(&text_, series), expected, "{series}");
    check("rosterd_passes_total{outcome=\"ok\",target=\"bi\"}", running.passes("bi") as f64);
    check("rosterd_consecutive_failures{target=\"bi\"}", 0.0);
    assert!(value(&text_, "rosterd_consecutive_failures{target=\"research\"}") >= 2.0);
    check("rosterd_users_desired{target=\"bi\"}", 1.0);
    check("rosterd_users_observed{target=\"bi\"}", 2.0);
    check("rosterd_drift{kind=\"delete_user\",target=\"bi\"}", 1.0);
    check("rosterd_drift{kind=\"create_user\",target=\"bi\"}", 0.0);
    check("rosterd_changes_held{by=\"removal_grace\",target=\"bi\"}", 1.0);
    check("rosterd_changes_total{kind=\"create_user\",outcome=\"done\",target=\"bi\"}", 1.0);
    check(
        "rosterd_aws_attempts_total{operation=\"RegisterUser\",outcome=\"throttled\",service=\"quicksight\"}",
        2.0,
    );
    check(
        "rosterd_aws_attempts_total{operation=\"RegisterUser\",outcome=\"ok\",service=\"quicksight\"}",
        1.0,
    );
    check("rosterd_aws_retries_total{operation=\"RegisterUser\",service=\"quicksight\"}", 2.0);
    check("rosterd_config_last_reload_successful", 1.0);
    check("rosterd_ready", 0.0);
    check("rosterd_build_info{version=\"0.1.0\"}", 1.0);
    let hash = value(&text_, "rosterd_config_hash");
    let last = value(&text_, "rosterd_last_successful_pass_timestamp_seconds{target=\"bi\"}");
    assert!(last > 1_790_000_000.0);
    check("rosterd_last_successful_pass_timestamp_seconds{target=\"research\"}", 0.0);
    check("rosterd_passes_total{outcome=\"partial\",target=\"bi\"}", 0.0);
    check("rosterd_changes_total{kind=\"delete_user\",outcome=\"failed\",target=\"bi\"}", 0.0);
    check(
        "rosterd_aws_attempts_total{operation=\"ListUsers\",outcome=\"throttled\",service=\"quicksight\"}",
        0.0,
    );
    assert!(!text_.contains("rosterd_users_observed{target=\"research\"}"), "not known is not zero");

    // A broken file, and a target that is taken out of the settings.
    field.write("roster.toml", "nonsense");
    running.until("it is noticed", |r| !r.status().configuration.last_reload_ok).await;
    assert_eq!(value(&text(&running), "rosterd_config_last_reload_successful"), 0.0);
    field.write("roster.toml", ROSTER);
    field.settings("", &bi(""));
    running.order(Order::Reload(None)).await;
    running.until("one target is left", |r| r.status().ready).await;
    let text = text(&running);
    assert_ne!(value(&text, "rosterd_config_hash"), hash);
    for gauge in ["rosterd_consecutive_failures", "rosterd_users_desired", "rosterd_drift"] {
        let gone = text.lines().any(|l| l.starts_with(gauge) && l.contains("research"));
        assert!(!gone, "{gauge} of a target that is gone:\n{text}");
    }
    running.stop().await;
}

/// Naming conventions: <https://prometheus.io/docs/practices/naming/>.
#[test]
fn names_follow_the_conventions() {
    for family in FAMILIES {
        let name = family.name;
        assert!(name.starts_with("rosterd_"), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == Type::Counter, "{name}: counters end in _total");
        if let Type::Histogram(buckets) = family.kind {
            assert!(name.ends_with("_seconds"), "{name}: the unit");
            assert!(buckets.windows(2).all(|pair| pair[0] < pair[1]), "{name}");
        }
        assert!(!name.contains("_ms") && !name.contains("milli"), "{name}: base units");
        assert!(family.help.ends_with('.') && family.help.len() > 1, "{name}: a sentence of help");
    }
    let names: BTreeSet<_> = FAMILIES.iter().map(|f| f.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
}

/// A row for each family, in the words of the code.
#[test]
fn the_reference_is_the_list_of_families() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows: Vec<String> = docs.lines().filter(|l| l.starts_with("| `rosterd_")).map(String::from).collect();
    let expected: Vec<String> = FAMILIES
        .iter()
        .map(|f| {
            let kind = match f.kind {
                Type::Counter => "counter",
                Type::Gauge => "gauge",
                Type::Histogram(_) => "histogram",
            };
            let labels: Vec<String> = f.labels.iter().map(|l| format!("`{l}`")).collect();
            format!("| `{}` | {kind} | {} | {} |", f.name, labels.join(", "), f.help)
        })
        .collect();
    assert_eq!(rows, expected, "\n{}\n", expected.join("\n"));
}

/// What is served is what is documented: each family with its type, its help and its labels.
#[tokio::test(start_paused = true)]
async fn a_busy_daemon_serves_every_family_and_no_other() {
    let (_field, running) = busy().await;
    let text = text(&running);
    running.stop().await;
    let mut types = BTreeMap::new();
    for line in text.lines().filter_map(|l| l.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        types.insert(name.to_string(), kind.to_string());
    }
    let served: BTreeSet<&str> =
        types.keys().map(String::as_str).filter(|n| n.starts_with("rosterd_")).collect();
    // Static credentials do not expire, and what a sandbox answers is not paced.
    let absent = ["rosterd_credentials_expiry_timestamp_seconds", "rosterd_pacer_rate_calls_per_second"];
    let known: BTreeSet<&str> =
        FAMILIES.iter().map(|f| f.name).filter(|name| !absent.contains(name)).collect();
    assert_eq!(served, known);
    for process in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(types.contains_key(process), "{process}");
    }
    for family in FAMILIES.iter().filter(|f| !absent.contains(&f.name)) {
        assert!(text.contains(&format!("# HELP {} {}", family.name, family.help)), "{}", family.name);
        let series = text.lines().find(|l| l.starts_with(family.name)).unwrap();
        let labels = series.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let labels = labels.split(',').filter_map(|l| l.split_once('=')).map(|(name, _)| name);
        let labels: BTreeSet<&str> = labels.filter(|l| *l != "le").collect();
        assert_eq!(labels, family.labels.iter().copied().collect(), "{series}");
    }
}

/// Invariant 10: whoever is on the roster, the labels are the same.
#[tokio::test(start_paused = true)]
async fn no_label_names_a_person() {
    let (_field, running) = busy().await;
    let text = text(&running);
    for word in ["alice", "gone", "Moreau", "@"] {
        assert!(!text.contains(word), "{word} in\n{text}");
    }
    running.stop().await;
}
