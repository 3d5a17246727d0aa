//! The fewest calls: exact counts.

use std::collections::BTreeMap;

use rosterd::sandbox::{Knobs, World, generate};

use crate::support::*;

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(operation, count)| (operation.to_string(), *count)).collect()
}

/// A generated world and its files.
async fn generated(users: usize) -> Bench {
    let bench = Bench::new(generate::world(users)).await;
    bench.write("rosterd.toml", &generate::settings(&bench.sandbox.url()));
    bench.write("roster.toml", &generate::roster(users));
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn steady_state_reads_the_largest_pages_and_nothing_twice() {
    let bench = generated(230).await;
    bench.run(&["plan"]).await.exits(0).says("690 in step");
    assert_eq!(
        bench.sandbox.counts(),
        counts(&[
            ("datazone:ListProjectMemberships", 5),
            ("datazone:SearchUserProfiles", 6),
            ("finspace:ListPermissionGroups", 1),
            ("finspace:ListUsers", 3),
            ("finspace:ListUsersByPermissionGroup", 3),
            ("quicksight:ListGroupMemberships", 3),
            ("quicksight:ListGroups", 1),
            ("quicksight:ListUsers", 3),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_roster_does_not_name_is_not_read() {
    let bench = Bench::new(empty_world()).await;
    let roster = "[roles.r]\nquicksight = { role = \"READER\" }\nfinspace = { type = \"APP_USER\" }\ndatazone = { access = \"enabled\" }\n[users.a]\nemail = \"a@example.com\"\nsso_user = \"a\"\nroles = [\"r\"]\n";
    bench.files(&format!("{}{}{}", portal(""), bi(""), research("")), roster);
    bench.run(&["plan"]).await.exits(0);
    assert_eq!(
        bench.sandbox.counts(),
        counts(&[("datazone:SearchUserProfiles", 2), ("finspace:ListUsers", 1), ("quicksight:ListUsers", 1)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_makes_one_call_a_difference() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "a@example.com", "READER");
    fs_user(&mut world, "u1", "a@example.com");
    let bench = Bench::new(world).await;
    let roster = "[roles.r]\nquicksight = { role = \"AUTHOR\", groups = [\"g\", \"h\"], custom_permissions = \"cp\" }\nfinspace = { type = \"SUPER_USER\", api_access = \"ENABLED\" }\n[users.a]\nemail = \"a@example.com\"\nfirst_name = \"A\"\nlast_name = \"B\"\nroles = [\"r\"]\n";
    bench.files(&format!("{}{}", bi(""), research("")), roster);
    bench.apply().await.says("6 calls to write");
    assert_eq!(
        bench.writes(),
        counts(&[
            ("finspace:UpdateUser", 1),
            ("quicksight:CreateGroup", 2),
            ("quicksight:CreateGroupMembership", 2),
            ("quicksight:UpdateUser", 1),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_are_bounded_and_targets_are_read_at_once() {
    let knobs = || Knobs::from_toml("latency_ms = 40").unwrap();
    let roster: String =
        (0..30).map(|n| format!("[users.u{n}]\nemail = \"u{n}@example.com\"\nroles = [\"r\"]\n")).collect();
    let roster = format!("[roles.r]\nquicksight = {{ role = \"READER\" }}\n{roster}");
    let bench = Bench::with(empty_world(), knobs()).await;
    bench.settings("concurrency = 3", &bi(""));
    bench.write("roster.toml", &roster);
    bench.apply().await;
    assert_eq!(bench.sandbox.peak("quicksight:RegisterUser"), 3);

    let mut world = World::default();
    world.ensure_namespace("111111111111", "default", REGION);
    world.ensure_namespace("222222222222", "default", REGION);
    let bench = Bench::with(world, knobs()).await;
    let one = bi("").replace(ACCOUNT, "111111111111");
    let two = bi("").replace(ACCOUNT, "222222222222").replace("targets.bi", "targets.two");
    bench.files(&format!("{one}{two}"), &roster);
    bench.run(&["plan"]).await.exits(0);
    assert_eq!(bench.sandbox.peak("quicksight:ListUsers"), 2);
}
