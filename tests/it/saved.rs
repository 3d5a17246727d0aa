//! Saved plans: exactly what was reviewed, or a reason why not.

use rosterd::sandbox::World;

use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "AUTHOR", groups = ["g"] }
finspace = { type = "APP_USER" }
datazone = { access = "enabled", projects = { prj1 = "PROJECT_OWNER" } }
[users.alice]
email = "alice@example.com"
sso_user = "alice"
roles = ["r"]
[users.bob]
email = "bob@example.com"
sso_user = "bob"
roles = ["r"]
"#;

fn targets() -> String {
    format!("{}{}{}", portal(&sync("disable")), bi(&sync("delete")), research(""))
}

fn world() -> World {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    qs_user(&mut world, "p2", "gone@example.com", "READER");
    sso_profile(&mut world, 1, "alice", "DEACTIVATED");
    fs_user(&mut world, "u1", "alice@example.com");
    environment(&mut world).users.get_mut("u1").unwrap().status = "DISABLED".into();
    world
}

async fn planned() -> Bench {
    let bench = Bench::new(world()).await;
    bench.files(&targets(), ROSTER);
    bench.run(&["plan", "--out", "plan.json"]).await.exits(0).says("rosterd apply plan.json");
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_makes_exactly_the_saved_changes_even_when_the_roster_moved_on() {
    let bench = planned().await;
    // Another role and another user since; neither was reviewed.
    let later = ROSTER.replace("\"AUTHOR\"", "\"ADMIN\"")
        + "[users.carol]\nemail = \"carol@example.com\"\nsso_user = \"carol\"\nroles = [\"r\"]\n";
    bench.write("roster.toml", &later);
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0);
    let world = bench.sandbox.world();
    assert_eq!(qs(&world, "alice@example.com").unwrap().role, "AUTHOR");
    assert!(qs(&world, "bob@example.com").is_some() && qs(&world, "carol@example.com").is_none());
    assert!(qs(&world, "gone@example.com").is_none());
    assert_eq!(fs(&world, "alice@example.com").unwrap().status, "ENABLED");
    assert_eq!(dz(&world, "alice").unwrap().status, "ACTIVATED");
    assert_eq!(world.domains[DOMAIN].projects["prj1"].len(), 2);
    // Under the roster it was made from, nothing is left to do.
    bench.write("roster.toml", ROSTER);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moved_since_is_reported_and_left_alone() {
    let bench = planned().await;
    bench.sandbox.change(|world| {
        namespace(world).users.get_mut("p1").unwrap().role = "ADMIN".into();
        qs_user(world, "p9", "bob@example.com", "READER");
        environment(world).users.get_mut("u1").unwrap().status = "ENABLED".into();
    });
    let ran = bench.run(&["apply", "plan.json", "--yes"]).await.exits(3);
    ran.says("bi/user/alice@example.com/p1:update_user: role was READER when planned and is ADMIN now")
        .says("bi/user/bob@example.com: role was nothing when planned and is READER now")
        .says("status was DISABLED when planned and is ENABLED now");
    let world = bench.sandbox.world();
    assert_eq!(qs(&world, "alice@example.com").unwrap().role, "ADMIN");
    assert_eq!(qs(&world, "bob@example.com").unwrap().role, "READER");
    assert!(qs(&world, "gone@example.com").is_none(), "what still holds is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_application_finds_everything_moved_and_writes_nothing() {
    let bench = planned().await;
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0);
    bench.sandbox.forget_calls();
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(3).says("left alone");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_tampered_with_is_refused() {
    let bench = planned().await;
    let plan = bench.read("plan.json");
    for (from, to, says) in [
        ("\"AUTHOR\"", "\"ADMIN\"", "was changed after it was made"),
        ("\"gone@example.com\"", "\"alice@example.com\"", "was changed after it was made"),
        ("\"format_version\": 1", "\"format_version\": 2", "format_version 2, this rosterd reads 1"),
        ("\"format_version\": 1,", "", "`format_version` is missing"),
        ("{", "", "this is no saved plan"),
        ("\"unobserved\": []", "\"unobserved\": [], \"more\": 1", "was changed after it was made"),
    ] {
        assert!(plan.contains(from), "{from}");
        bench.write("plan.json", &plan.replacen(from, to, 1));
        bench.run(&["apply", "plan.json", "--yes"]).await.exits(1).says(says);
    }
    bench.run(&["apply", "nowhere.json", "--yes"]).await.exits(1).says("cannot read nowhere.json");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_another_place_is_refused() {
    let bench = planned().await;
    bench.sandbox.change(|world| world.ensure_namespace("999999999999", "default", REGION));
    bench.files(&targets().replace(ACCOUNT, "999999999999"), ROSTER);
    bench
        .run(&["apply", "plan.json", "--yes"])
        .await
        .exits(1)
        .says("the plan was made for `quicksight 111122223333/default us-east-1`");
    bench.files(&research(""), ROSTER);
    bench
        .run(&["apply", "plan.json", "--yes"])
        .await
        .exits(1)
        .says("a target `bi` that the settings do not have");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_changed_since_hold() {
    let bench = planned().await;
    let stricter = format!("{}\nprotected = [\"gone@*\"]", sync("delete"));
    bench.files(
        &format!("{}{}{}", portal(&sync("disable")), bi(&stricter), research("policy = \"create-only\"")),
        ROSTER,
    );
    bench
        .run(&["apply", "plan.json", "--yes"])
        .await
        .exits(0)
        .says("held back by protected")
        .says("held back by policy: create-only");
    let world = bench.sandbox.world();
    assert!(qs(&world, "gone@example.com").is_some());
    assert_eq!(fs(&world, "alice@example.com").unwrap().status, "DISABLED");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_that_hold_names_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = planned().await;
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0);
    for file in ["plan.json", "state/audit.jsonl", "state/memory.json"] {
        let mode = std::fs::metadata(bench.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_leaves_an_audit_line() {
    let bench = planned().await;
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0);
    let plan: serde_json::Value = serde_json::from_str(&bench.read("plan.json")).unwrap();
    let text = bench.read("state/audit.jsonl");
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (begun, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line["outcome"] == "begun");
    assert_eq!(
        begun.len(),
        plan["plan"]["targets"].as_array().unwrap().len(),
        "one line before the first write"
    );
    assert!(begun.iter().all(|line| line["plan"] == plan["hash"]));
    assert_eq!(lines.len(), bench.writes().values().sum::<usize>());
    for line in &lines {
        for member in ["time", "target", "change", "kind", "principal", "fields", "roles", "plan", "outcome"]
        {
            assert!(!line[member].is_null(), "no {member} in {line}");
        }
        assert_eq!(line["plan"], plan["hash"]);
        assert!(!line["request_ids"].as_array().unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_trail_nothing_is_written() {
    let bench = planned().await;
    std::fs::write(bench.path("blocked"), "a file where a folder should be").unwrap();
    bench.settings("audit = \"blocked/audit.jsonl\"", &targets());
    bench.run(&["apply", "--yes"]).await.exits(1).says("cannot write the audit trail");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_never_carries_back_what_somebody_else_changed() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    namespace(&mut world).users.get_mut("p1").unwrap().email = "old@example.com".into();
    let bench = Bench::new(world).await;
    let roster = "[roles.r]\nquicksight = { groups = [] }\n[users.alice]\nemail = \"alice@example.com\"\nroles = [\"r\"]\n";
    bench.files(&bi(""), roster);
    bench
        .run(&["plan", "--out", "plan.json"])
        .await
        .exits(0)
        .says("update: email old@example.com → alice@example.com");
    bench.sandbox.change(|world| namespace(world).users.get_mut("p1").unwrap().role = "READER_PRO".into());
    bench
        .run(&["apply", "plan.json", "--yes"])
        .await
        .exits(3)
        .says("role was READER when planned and is READER_PRO now");
    assert_eq!(qs(&bench.sandbox.world(), "alice@example.com").unwrap().role, "READER_PRO");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_a_moved_change_is_left_alone_too() {
    let bench = planned().await;
    bench.sandbox.change(|world| qs_user(world, "p9", "bob@example.com", "READER"));
    bench
        .run(&["apply", "plan.json", "--yes"])
        .await
        .exits(3)
        .says("bi/member/g/bob@example.com: it needs bi/user/bob@example.com, which moved")
        .never_says("was not registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_plan_names_is_read_before_it_is_applied() {
    let mut world = world();
    namespace(&mut world).groups.entry("g".into()).or_default().members.insert("alice@example.com".into());
    let bench = Bench::new(world).await;
    let bare = ROSTER.replace(", groups = [\"g\"]", ", groups = []")
        + "[roles.x]\nquicksight = { groups = [\"g\"] }\n";
    bench.files(&bi(&sync("delete")), &bare);
    bench.run(&["plan", "--out", "plan.json"]).await.exits(0).says("leave g");
    // Now no role names the group any more.
    bench.write("roster.toml", &ROSTER.replace(", groups = [\"g\"]", ""));
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0);
    let world = bench.sandbox.world();
    assert!(world.accounts[ACCOUNT].namespaces["default"].groups["g"].members.is_empty());
}
