//! Policies, scope, protection, caps and grace, through the binary.

use rosterd::sandbox::World;

use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "AUTHOR", groups = ["g"] }
[users.alice]
email = "alice@example.com"
roles = ["r"]
[users.new]
email = "new@example.com"
roles = ["r"]
"#;

/// Alice (a reader, in a group the roster does not give her), and `gone` people it does not list.
fn world(gone: usize) -> World {
    let mut world = empty_world();
    qs_user(&mut world, "p0", "alice@example.com", "READER");
    for number in 0..gone {
        qs_user(&mut world, &format!("x{number:03}"), &format!("gone{number}@example.com"), "READER");
    }
    world
}

async fn after(world: World, settings: &str, args: &[&str], code: i32) -> (World, Ran) {
    let bench = Bench::new(world).await;
    bench.files(&bi(settings), ROSTER);
    let ran = bench.run(args).await.exits(code);
    (bench.sandbox.world(), ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn create_only_creates_and_changes_nothing() {
    let (world, ran) = after(world(1), "policy = \"create-only\"", &["apply", "--yes"], 0).await;
    ran.says("held back by policy: create-only").says("1 left alone");
    assert_eq!(qs(&world, "alice@example.com").unwrap().role, "READER");
    assert!(qs(&world, "new@example.com").is_some() && qs(&world, "gone0@example.com").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_only_updates_and_removes_nothing_unlisted() {
    let (world, ran) = after(world(1), "policy = \"upsert-only\"", &["apply", "--yes"], 0).await;
    ran.says("1 left alone");
    assert_eq!(qs(&world, "alice@example.com").unwrap().role, "AUTHOR");
    assert!(qs(&world, "gone0@example.com").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_only_makes_the_removals_the_roster_states() {
    let bench = Bench::new(world(0)).await;
    bench.files(
        &bi("policy = \"upsert-only\""),
        &ROSTER.replacen("roles = [\"r\"]", "roles = [\"r\"]\nexpires = 2020-01-01", 1),
    );
    bench.apply().await;
    assert!(qs(&bench.sandbox.world(), "alice@example.com").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_and_report_only_counts() {
    let (after_sync, _) = after(world(1), &sync("delete"), &["apply", "--yes"], 0).await;
    assert!(qs(&after_sync, "gone0@example.com").is_none());
    let (after_report, ran) = after(world(1), &sync("report"), &["apply", "--yes"], 0).await;
    ran.says("1 left alone");
    assert!(qs(&after_report, "gone0@example.com").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_leaves_out_what_is_not_rosterds() {
    let mut start = world(1);
    qs_user(&mut start, "s1", "svc-etl@example.com", "READER");
    qs_user(&mut start, "s2", "someone@partner.example", "READER");
    let settings = "policy = \"sync\"\non_unlisted = \"delete\"\nscope = { include = [\"*@EXAMPLE.com\"], exclude = [\"svc-*\"] }";
    let (world, ran) = after(start, settings, &["apply", "--yes"], 0).await;
    ran.says("2 out of scope");
    assert!(qs(&world, "gone0@example.com").is_none());
    assert!(qs(&world, "svc-etl@example.com").is_some() && qs(&world, "someone@partner.example").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_principal_keeps_everything() {
    let settings = format!("{}\nprotected = [\"gone0@*\", \"alice@example.com\"]", sync("delete"));
    let (world, ran) = after(world(1), &settings, &["apply", "--yes"], 0).await;
    ran.says("2 held back by protected");
    assert!(qs(&world, "gone0@example.com").is_some());
    assert_eq!(qs(&world, "alice@example.com").unwrap().role, "READER");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_count_cap_holds_all_removals_and_creates_go_on() {
    let settings = format!("{}\nmax_removals = {{ percent = 100, count = 2 }}", sync("delete"));
    let (world, ran) = after(world(3), &settings, &["apply", "--yes"], 4).await;
    ran.says("3 of 4 principals would lose access, max_removals allows 2");
    assert!((0..3).all(|n| qs(&world, &format!("gone{n}@example.com")).is_some()));
    assert!(qs(&world, "new@example.com").is_some(), "creates proceed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_percent_cap_holds_and_force_removals_goes_ahead_once() {
    let settings = format!("{}\nmax_removals = {{ percent = 10, count = 50 }}", sync("delete"));
    let bench = Bench::new(world(30)).await;
    bench.files(&bi(&settings), ROSTER);
    bench.run(&["plan"]).await.exits(4).says("30 of 31 principals").says("allows 3");
    bench.run(&["apply", "--yes", "--force-removals"]).await.exits(0);
    assert_eq!(bench.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len(), 2);
}

#[test]
fn a_small_population_counts_as_the_minimum() {
    use rosterd::plan::guard::RemovalCap;
    let check = |percent, count, min_population, population, allowed| {
        assert_eq!(RemovalCap { percent, count, min_population }.allowance(population), allowed);
    };
    check(10.0, 25, 20, 3, 2);
    check(10.0, 25, 0, 3, 0);
    check(10.0, 25, 20, 100, 10);
    check(10.0, 25, 20, 10_000, 25);
    check(100.0, 0, 20, 50, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_grace_waits_and_then_removes() {
    let settings = format!("{}\nremoval_grace = \"24h\"", sync("delete"));
    let bench = Bench::new(world(1)).await;
    bench.files(&bi(&settings), ROSTER);
    bench.run(&["apply", "--yes"]).await.exits(0).says("held back by removal_grace: due in");
    assert!(qs(&bench.sandbox.world(), "gone0@example.com").is_some());
    // The clock of the first pass, set back by two days.
    let memory = bench.read("state/memory.json");
    let parsed: serde_json::Value = serde_json::from_str(&memory).unwrap();
    let since = parsed["clocks"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_string();
    let long_ago = since.parse::<jiff::Timestamp>().unwrap() - jiff::SignedDuration::from_hours(48);
    bench.write("state/memory.json", &memory.replace(&since, &long_ago.to_string()));
    bench.apply().await;
    assert!(qs(&bench.sandbox.world(), "gone0@example.com").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlisted_removal_within_grace_is_no_exit_code_of_its_own() {
    let settings = format!("{}\nremoval_grace = \"24h\"", sync("delete"));
    let (_, ran) = after(world(1), &settings, &["plan"], 0).await;
    ran.says("1 held back by removal_grace");
}

#[tokio::test(flavor = "multi_thread")]
async fn detailed_exitcode_tells_pending_changes() {
    let bench = Bench::new(world(0)).await;
    bench.files(&bi(""), ROSTER);
    bench.run(&["plan"]).await.exits(0);
    bench.run(&["plan", "--detailed-exitcode"]).await.exits(2);
    bench.apply().await;
    bench.run(&["plan", "--detailed-exitcode"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caps_count_every_user_whose_name_is_lost() {
    let mut start = world(0);
    for number in 0..6 {
        qs_user(&mut start, &format!("lost{number}"), "N/A", "READER");
    }
    let settings = format!("{}\nmax_removals = {{ percent = 100, count = 5 }}", sync("delete"));
    let (world, ran) = after(start, &settings, &["apply", "--yes"], 4).await;
    ran.says("6 of 7 principals would lose access");
    assert_eq!(
        world.accounts[ACCOUNT].namespaces["default"].users.values().filter(|u| u.user_name == "N/A").count(),
        6
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caps_count_people_and_not_their_memberships() {
    let mut start = empty_world();
    qs_user(&mut start, "p0", "alice@example.com", "AUTHOR");
    for group in ["a", "b", "c", "d"] {
        namespace(&mut start)
            .groups
            .entry(group.into())
            .or_default()
            .members
            .insert("alice@example.com".into());
    }
    let bench = Bench::new(start).await;
    bench.files(
        &bi(&format!("{}\nmax_removals = {{ percent = 100, count = 1 }}", sync("delete"))),
        "[roles.r]\nquicksight = { groups = [] }\n[roles.x]\nquicksight = { groups = [\"a\", \"b\", \"c\", \"d\"] }\n[users.alice]\nemail = \"alice@example.com\"\nroles = [\"r\"]\n",
    );
    bench.run(&["plan"]).await.exits(0).says("4 to remove");
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_by_address_covers_single_sign_on_profiles() {
    let mut world = empty_world();
    sso_profile(&mut world, 1, "breakglass", "ACTIVATED");
    let bench = Bench::new(world).await;
    bench.files(
        &portal("protected = [\"breakglass@example.com\"]"),
        "[roles.r]\ndatazone = { access = \"disabled\" }\n[users.b]\nemail = \"breakglass@example.com\"\nsso_user = \"breakglass\"\nroles = [\"r\"]\n",
    );
    bench.apply().await.says("1 held back by protected");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_leaves_the_removal_clocks_running() {
    let settings = format!("{}\nremoval_grace = \"24h\"", sync("delete"));
    let bench = Bench::new(world(1)).await;
    bench.files(&bi(&settings), ROSTER);
    bench.run(&["plan", "--out", "plan.json"]).await.exits(0);
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0);
    let first = bench.read("state/memory.json");
    assert!(first.contains("gone0@example.com"), "the clock started: {first}");
    bench.run(&["apply", "plan.json", "--yes"]).await;
    let clocks = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["clocks"].clone();
    assert_eq!(clocks(&bench.read("state/memory.json")), clocks(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_by_address_covers_users_of_another_name() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "glass", "ADMIN");
    let bench = Bench::new(world).await;
    let roster = ROSTER.to_string()
        + "[users.glass]\nemail = \"breakglass@example.com\"\nroles = [\"r\"]\nexpires = 2020-01-01\non.bi = { user_name = \"glass\" }\n";
    bench.files(&bi("protected = [\"breakglass@example.com\"]"), &roster);
    bench.apply().await.says("1 held back by protected");
    assert!(qs(&bench.sandbox.world(), "glass").is_some());
}

/// Nobody knows how far apart the runs of a scheduler are.
#[tokio::test(flavor = "multi_thread")]
async fn grace_counts_over_runs_that_are_further_apart_than_it() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    qs_user(&mut world, "p2", "gone@example.com", "READER");
    let bench = Bench::new(world).await;
    let roster = "[roles.r]\nquicksight = { role = \"READER\" }\n[users.alice]\nemail = \"alice@example.com\"\nroles = [\"r\"]\n";
    bench.files(&bi(&format!("{}\nremoval_grace = \"72h\"", sync("delete"))), roster);
    bench.run(&["apply", "--yes"]).await.says("held back by removal_grace");
    // A week later.
    let memory = bench.read("state/memory.json");
    let mut memory: serde_json::Value = serde_json::from_str(&memory).unwrap();
    let week_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 7);
    for times in ["clocks", "observed"] {
        for (_, at) in memory[times].as_object_mut().unwrap() {
            *at = week_ago.to_string().into();
        }
    }
    bench.write("state/memory.json", &memory.to_string());
    bench.run(&["apply", "--yes"]).await.exits(0).says("Applied: 1 done.");
    assert!(qs(&bench.sandbox.world(), "gone@example.com").is_none());
}
