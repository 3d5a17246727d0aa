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
    bench.apply().await.says("6 calls to write, about 1 second: ");
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

#[test]
fn the_expected_time_is_that_of_the_longest_queue_and_shrinks_with_what_is_done() {
    use std::time::Duration;

    use rosterd::plan::cost::{Pace, Work};
    use rosterd::plan::{Change, Kind, Plan, Subject, TargetPlan};
    use rosterd::service::{Action, quicksight};

    let change = |target: &str, user: usize, created: bool| {
        let action = if created {
            quicksight::Action::CreateGroup { group: user.to_string(), description: None }
        } else {
            quicksight::Action::DeleteUser { user_name: user.to_string() }
        };
        Change::new(target, Kind::UpdateUser, Subject::user(user.to_string()), Action::QuickSight(action))
    };
    let target = |name: &str, creates: usize, deletes: usize| TargetPlan {
        target: name.into(),
        service: rosterd::service::ServiceKind::QuickSight,
        place: String::new(),
        policy: rosterd::plan::guard::Policy::UpsertOnly,
        by_name: false,
        population: 0,
        listed: 0,
        in_step: 0,
        unlisted: 0,
        out_of_scope: 0,
        changes: (0..creates)
            .map(|n| change(name, n, true))
            .chain((0..deletes).map(|n| change(name, creates + n, false)))
            .collect(),
    };
    let plan = Plan { targets: vec![target("a", 40, 5), target("b", 20, 5)], ..Plan::default() };
    let pace = |shared: bool| {
        move |target: &str, operation: &str| {
            let scope = if shared { "one".to_string() } else { target.to_string() };
            Some(Pace { scope, rate: if operation == "DeleteUser" { 0.5 } else { 10.0 }, latency: None })
        }
    };
    let seconds = |n| Some(Duration::from_secs(n));
    let mut work = Work::of(&plan);
    assert_eq!(work.expected(pace(false)), seconds(10), "5 deletes at one in two seconds");
    assert_eq!(work.expected(pace(true)), seconds(20), "10 deletes in one queue");
    let unpaced = |_: &str, _| Some(Pace { scope: String::new(), rate: f64::INFINITY, latency: None });
    assert_eq!(work.expected(unpaced), None, "nothing is paced");
    for target in &plan.targets {
        for change in &target.changes[target.changes.len() - 5..] {
            work.ended(&target.target, change);
        }
    }
    assert_eq!(work.expected(pace(true)), seconds(6), "60 creates at 10 a second");
}

/// Reads of users in a run, by operation.
async fn reads_of_users(bench: &Bench, args: &[&str]) -> BTreeMap<String, usize> {
    bench.sandbox.forget_calls();
    bench.run(args).await.exits(0);
    let mut counts = bench.sandbox.counts();
    counts.retain(|operation, _| {
        ["ListUsers", "DescribeUser", "SearchUserProfiles", "GetUserProfile"]
            .iter()
            .any(|name| operation.ends_with(&format!(":{name}")))
    });
    counts
}

const LISTED: &[(&str, usize)] =
    &[("datazone:SearchUserProfiles", 25), ("finspace:ListUsers", 12), ("quicksight:ListUsers", 12)];
const ASKED: &[(&str, usize)] =
    &[("datazone:GetUserProfile", 5), ("finspace:ListUsers", 12), ("quicksight:DescribeUser", 5)];

#[tokio::test(flavor = "multi_thread")]
async fn a_few_people_of_a_large_account_are_asked_for_by_name_once_they_were_seen() {
    let bench = Bench::new(generate::world(1200)).await;
    bench.write("rosterd.toml", &generate::settings(&bench.sandbox.url()));
    bench.write("roster.toml", &generate::roster(5));
    let apply = &["apply", "--yes"][..];
    assert_eq!(reads_of_users(&bench, apply).await, counts(LISTED), "nobody was seen yet");
    assert_eq!(reads_of_users(&bench, apply).await, counts(ASKED));
    let plan = bench.run(&["plan"]).await.exits(0).says("15 in step").text();
    for target in ["bi  quicksight", "portal  datazone", "research  finspace"] {
        let line = plan.lines().find(|line| line.starts_with(target)).unwrap_or_default();
        let last = if target.starts_with("research") { "" } else { " when last listed" };
        assert!(line.ends_with(&format!("5 on the roster, 1200 on the target{last}")), "{plan}");
    }
    assert_eq!(
        reads_of_users(&bench, &["explain", "user0000003"]).await,
        counts(LISTED),
        "anybody may be asked for"
    );

    // A new person: whether she is there under another case of her name, only a listing tells.
    bench.write("roster.toml", &generate::roster(6));
    assert_eq!(reads_of_users(&bench, apply).await, counts(LISTED));

    // Somebody who was seen is gone: no longer asked for by name, and made again.
    bench.sandbox.change(|world| {
        let account = world.accounts.get_mut(generate::ACCOUNT).unwrap();
        let users = &mut account.namespaces.get_mut("default").unwrap().users;
        users.retain(|_, user| user.user_name != "user0000002@example.com");
    });
    let fallen_back = &[
        ("datazone:GetUserProfile", 6),
        ("finspace:ListUsers", 12),
        ("quicksight:DescribeUser", 6),
        ("quicksight:ListUsers", 12),
    ];
    assert_eq!(reads_of_users(&bench, apply).await, counts(fallen_back));
    assert_eq!(bench.writes()["quicksight:RegisterUser"], 1);

    // Whatever differs is looked at in a listing before anything is written.
    assert_eq!(reads_of_users(&bench, apply).await.get("quicksight:ListUsers"), None, "all in step");
    bench.sandbox.change(|world| {
        let account = world.accounts.get_mut(generate::ACCOUNT).unwrap();
        let users = &mut account.namespaces.get_mut("default").unwrap().users;
        let user = users.values_mut().find(|user| user.user_name == "user0000001@example.com").unwrap();
        user.email = "old@example.com".into();
    });
    let reads = reads_of_users(&bench, apply).await;
    assert_eq!((reads["quicksight:DescribeUser"], reads["quicksight:ListUsers"]), (6, 12));
    assert_eq!(reads.get("datazone:SearchUserProfiles"), None, "the other target is in step");
    assert_eq!(bench.writes()["quicksight:UpdateUser"], 1);

    // Who is to lose something, or may be removed, has to be listed.
    let roster = bench.read("roster.toml");
    bench.write(
        "roster.toml",
        &roster.replacen("roles = [\"reader\"]", "roles = [\"reader\"]\nstate = \"suspended\"", 1),
    );
    assert_eq!(reads_of_users(&bench, &["plan"]).await["quicksight:ListUsers"], 12);
    bench.write("roster.toml", &roster);
    let settings = bench.read("rosterd.toml");
    let sync = settings.replace(
        "policy = \"upsert-only\"",
        "policy = \"sync\"\non_unlisted = \"report\"\nscope = { include = [\"*\"] }",
    );
    bench.write("rosterd.toml", &sync);
    assert_eq!(reads_of_users(&bench, apply).await, counts(LISTED));
}

#[test]
fn a_listing_is_believed_for_a_day_and_only_while_nothing_else_is_wanted() {
    use jiff::Timestamp;
    use rosterd::service::quicksight::{Desired as QuickSight, DesiredUser, Identity, IdentityType};
    use rosterd::service::reading::{Listing, Reading, choose};
    use rosterd::service::{Desired, Known, State};

    let then: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let hours = |n: u64| then + std::time::Duration::from_secs(n * 3600);
    let user = |n: usize, identity: Identity| DesiredUser {
        user: format!("u{n}"),
        identity,
        email: String::new(),
        external_login: None,
        state: State::Active,
        grant: Default::default(),
    };
    let named =
        |n: usize| Identity::Named { identity_type: IdentityType::QuickSight, user_name: format!("n{n}") };
    let desired = |count: usize| {
        let users = (0..count).map(|n| user(n, named(n))).collect();
        Desired::QuickSight(QuickSight { users, ..QuickSight::default() })
    };
    let known: Known = (0..9).map(|n| (format!("u{n}"), format!("n{n}"))).collect();
    let listing = Listing { pages: 6, population: 555, at: then };
    let each = Reading::Each { population: 555 };
    let check = |expected: Reading, desired: &Desired, removes: bool, known: &Known, at: Timestamp| {
        assert_eq!(choose(desired, removes, known, Some(&listing), at), expected);
    };
    check(each, &desired(5), false, &known, hours(1));
    check(Reading::List, &desired(6), false, &known, hours(1));
    check(Reading::List, &desired(5), true, &known, hours(1));
    check(Reading::List, &desired(5), false, &known, hours(24));
    check(Reading::List, &desired(5), false, &Known::new(), hours(1));
    let renamed = Known::from([("u0".to_string(), "old".to_string())]);
    check(Reading::List, &desired(1), false, &renamed, hours(1));
    // A clock that was set back.
    let before = "2025-12-31T00:00:00Z".parse().unwrap();
    check(Reading::List, &desired(5), false, &known, before);
    let role = Identity::Iam { arn: "arn:aws:iam::111122223333:role/r".into(), session: Some("s".into()) };
    let iam = Desired::QuickSight(QuickSight { users: vec![user(0, role)], ..QuickSight::default() });
    let known = Known::from([("u0".to_string(), "r/s".to_string())]);
    check(Reading::List, &iam, false, &known, hours(1));
    assert_eq!(choose(&desired(5), false, &known, None, hours(1)), Reading::List);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_stands_for_two_is_always_listed() {
    let mut world = generate::world(300);
    let domain = world.domains.get_mut(generate::DOMAIN).unwrap();
    let twin = rosterd::sandbox::world::Profile {
        status: "DEACTIVATED".into(),
        user_name: Some("USER0000001".into()),
        ..Default::default()
    };
    domain.profiles.insert("00000000-0000-4000-9000-000000000001".into(), twin);
    let bench = Bench::new(world).await;
    bench.write("rosterd.toml", &generate::settings(&bench.sandbox.url()));
    bench.write("roster.toml", &generate::roster(2));
    for pass in 0..3 {
        let reads = reads_of_users(&bench, &["apply", "--yes"]).await;
        assert_eq!(reads.get("datazone:GetUserProfile"), None, "pass {pass}: {reads:?}");
    }
    assert_eq!(bench.writes(), BTreeMap::new(), "the enabled one is the user's, and in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_list_goes_on_listing() {
    let knobs =
        "[[faults]]\non = \"quicksight:DescribeUser\"\nfault = { error = \"AccessDeniedException\" }\n";
    let bench = Bench::with(generate::world(300), Knobs::from_toml(knobs).unwrap()).await;
    bench.write("rosterd.toml", &generate::settings(&bench.sandbox.url()));
    bench.write("roster.toml", &generate::roster(2));
    for pass in 0..3 {
        let reads = reads_of_users(&bench, &["apply", "--yes"]).await;
        assert_eq!(reads["quicksight:ListUsers"], 3, "pass {pass}");
    }
}
