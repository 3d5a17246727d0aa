//! Each fault the sandbox knows, on every operation: afterwards one more pass reaches exactly the wanted
//! state, with nothing lost and nothing doubled.

use rosterd::sandbox::{Knobs, World};

use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
datazone = { access = "enabled", projects = { prj1 = "PROJECT_OWNER" } }
quicksight = { role = "AUTHOR", groups = ["g"] }
finspace = { type = "SUPER_USER", permission_groups = ["p"] }
[groups.p]
finspace = { application_permissions = ["AccessNotebooks"] }
[users.alice]
email = "alice@example.com"
sso_user = "alice"
roles = ["r"]
[users.bob]
email = "bob@example.com"
sso_user = "bob"
roles = ["r"]
[users.carol]
email = "carol@example.com"
sso_user = "carol"
roles = ["r"]
"#;

/// Bob is there and differs, somebody unlisted is there too, so that every kind of write has work.
fn world() -> World {
    let mut world = empty_world();
    sso_profile(&mut world, 1, "bob", "DEACTIVATED");
    sso_profile(&mut world, 2, "gone", "ACTIVATED");
    qs_user(&mut world, "p1", "bob@example.com", "READER");
    qs_user(&mut world, "p2", "gone@example.com", "READER");
    fs_user(&mut world, "u1", "bob@example.com");
    fs_user(&mut world, "u2", "gone@example.com");
    environment(&mut world).users.get_mut("u1").unwrap().status = "DISABLED".into();
    world
}

fn targets() -> String {
    format!("{}{}{}", portal(&sync("disable")), bi(&sync("delete")), research(&sync("disable")))
}

/// What the roster wants, in a form that two worlds can be compared by.
fn essence(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    let domain = &world.domains[DOMAIN];
    let name = |id: &String| domain.profiles[id].user_name.clone().unwrap_or_default();
    for profile in domain.profiles.values() {
        let enabled = matches!(profile.status.as_str(), "ASSIGNED" | "ACTIVATED");
        all.push(format!("dz {:?} {enabled}", profile.user_name));
    }
    all.extend(domain.projects["prj1"].iter().map(|(id, m)| format!("dz {} {}", name(id), m.designation)));
    let namespace = &world.accounts[ACCOUNT].namespaces["default"];
    all.extend(namespace.users.values().map(|u| format!("qs {} {} {}", u.user_name, u.email, u.role)));
    all.extend(namespace.groups.iter().map(|(name, g)| format!("qs group {name} {:?}", g.members)));
    let environment = &world.environments[REGION];
    let enabled = |status: &str| status != "DISABLED";
    all.extend(
        environment.users.values().map(|u| format!("fs {} {} {}", u.email, u.user_type, enabled(&u.status))),
    );
    for group in environment.groups.values() {
        let mut members: Vec<_> =
            group.members.keys().map(|id| environment.users[id].email.clone()).collect();
        members.sort();
        all.push(format!("fs group {} {members:?}", group.name));
    }
    all.sort();
    all
}

/// Applies under faults, then once more without; the end is the same as if nothing had gone wrong.
async fn converges(knobs: &str) {
    let calm = Bench::new(world()).await;
    calm.files(&targets(), ROSTER);
    calm.apply().await;
    let wanted = essence(&calm.sandbox.world());

    let bench = Bench::with(world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("attempt_timeout = \"400ms\"\nmax_attempts = 4\ncall_timeout = \"20s\"", &targets());
    bench.write("roster.toml", ROSTER);
    let first = bench.run(&["apply", "--yes"]).await;
    assert!([0, 1, 3].contains(&first.code), "{knobs}\n{}", first.text());
    let end = bench.sandbox.world();
    let bench = Bench::new(end).await;
    bench.files(&targets(), ROSTER);
    bench.run(&["apply", "--yes"]).await.exits(0);
    assert_eq!(essence(&bench.sandbox.world()), wanted, "{knobs}\nfirst pass:\n{}", first.text());
    bench.settles().await;
}

async fn strikes(fault: &str, count: u64) {
    for service in ["datazone", "quicksight", "finspace"] {
        converges(&format!(
            "[[faults]]\non = \"{service}:*\"\nfault = {fault}\nrate = 0.3\ncount = {count}\n"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn throttles() {
    strikes("\"throttle\"", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_errors() {
    strikes("\"server_error\"", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_from_something_in_front_of_the_service() {
    strikes("\"unavailable\"", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_reset_before_the_call_took_effect() {
    strikes("\"reset_before\"", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_reset_after_the_call_took_effect() {
    strikes("\"reset_after\"", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies() {
    strikes("\"malformed\"", 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_hang() {
    strikes("\"hang\"", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_error() {
    strikes("{ error = \"InvalidParameterValueException\" }", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_failing_for_good_and_then_not() {
    for operation in [
        "datazone:CreateUserProfile",
        "datazone:UpdateUserProfile",
        "datazone:CreateProjectMembership",
        "quicksight:RegisterUser",
        "quicksight:UpdateUser",
        "quicksight:DeleteUser",
        "quicksight:CreateGroup",
        "quicksight:CreateGroupMembership",
        "finspace:CreateUser",
        "finspace:UpdateUser",
        "finspace:EnableUser",
        "finspace:DisableUser",
        "finspace:CreatePermissionGroup",
        "finspace:AssociateUserToPermissionGroup",
    ] {
        // The answer is lost every time, so rosterd cannot know that the work is done.
        converges(&format!("[[faults]]\non = \"{operation}\"\nfault = \"reset_after\"\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_answer_names_itself() {
    let knobs =
        Knobs::from_toml("[[faults]]\non = \"quicksight:ListUsers\"\nfault = \"malformed\"\n").unwrap();
    let bench = Bench::with(world(), knobs).await;
    bench.settings("max_attempts = 2", &bi(""));
    bench.write("roster.toml", ROSTER);
    bench.run(&["plan"]).await.exits(1).says("the answer cannot be read").says("(after 2 attempts)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_names_what_to_check() {
    let bench = Bench::new(world()).await;
    bench.settings("max_attempts = 2", &bi("endpoint_url = \"http://127.0.0.1:9\""));
    bench.write("roster.toml", ROSTER);
    bench.run(&["plan"]).await.exits(1).says("no connection").says("check the Region, the endpoint_url");
}

/// Users of the test below, each with six changes.
const MANY: usize = 834;

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_changes_under_every_fault_at_once() {
    let mut roster = String::from(
        "[roles.r]\ndatazone = { access = \"enabled\", projects = { prj1 = \"PROJECT_CONTRIBUTOR\" } }\nquicksight = { role = \"READER\", groups = [\"g\"] }\nfinspace = { type = \"APP_USER\", permission_groups = [\"p\"] }\n[groups.p]\nfinspace = { application_permissions = [] }\n",
    );
    for n in 0..MANY {
        roster +=
            &format!("[users.u{n}]\nemail = \"u{n}@example.com\"\nsso_user = \"u{n}\"\nroles = [\"r\"]\n");
    }
    let targets = format!("{}{}{}", portal(""), bi(""), research(""));
    let calm = Bench::new(empty_world()).await;
    calm.files(&targets, &roster);
    calm.apply().await;

    // Two quotas to be found on top.
    let knobs = r#"
        quotas = { "quicksight:RegisterUser" = { rate = 400 }, "finspace:CreateUser" = { rate = 400, burst = 1 } }
        seed = 7
        [[faults]]
        on = "*"
        fault = "throttle"
        rate = 0.05
        [[faults]]
        on = "*"
        fault = "server_error"
        rate = 0.02
        [[faults]]
        on = "*"
        fault = "reset_before"
        rate = 0.005
        [[faults]]
        on = "*"
        fault = "reset_after"
        rate = 0.005
        [[faults]]
        on = "*"
        fault = "malformed"
        rate = 0.005
    "#;
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("concurrency = 32", &targets).write("roster.toml", &roster);
    let first = bench.run(&["apply", "--yes"]).await;
    assert!([0, 3].contains(&first.code), "{}", first.text());
    if first.code != 0 {
        bench.run(&["apply", "--yes"]).await.exits(0);
    }
    assert_eq!(essence(&bench.sandbox.world()), essence(&calm.sandbox.world()));

    // The sandbox's own record: each write took effect once, whatever its caller was told.
    let calls = bench.sandbox.calls();
    let effective =
        |operation: &str| calls.iter().filter(|c| c.operation == operation && c.took_effect).count();
    assert_eq!(effective("quicksight:RegisterUser"), MANY);
    // These answer a repeated client token with what they made the first time.
    for operation in ["datazone:CreateUserProfile", "finspace:CreateUser"] {
        assert!((MANY..MANY + MANY / 20).contains(&effective(operation)), "{operation}");
    }
    let lost = calls.iter().filter(|c| c.status == 0).count();
    let throttled = calls.iter().filter(|c| c.status == 429).count();
    assert!(lost > 20 && throttled > 200, "the faults struck: {lost} connections cut, {throttled} throttled");

    // And rosterd's own: one line for each change that was made, none twice.
    let mut made: Vec<String> = bench
        .read("state/audit.jsonl")
        .lines()
        .filter(|line| line.contains("\"outcome\":\"done\""))
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).ok()?["change"].as_str().map(String::from)
        })
        .collect();
    let lines = made.len();
    made.sort();
    made.dedup();
    assert_eq!(lines, made.len(), "no change is made twice");
    bench.settles().await;
}
