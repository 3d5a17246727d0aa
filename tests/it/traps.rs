//! What the services really do: one test a trap.

use rosterd::sandbox::world::{PermissionGroup, Profile};
use rosterd::sandbox::{Knobs, World};

use crate::support::*;

fn knobs(text: &str) -> Knobs {
    Knobs::from_toml(text).expect("the knobs of a test are right")
}

fn fault(on: &str, fault: &str, count: u64) -> Knobs {
    knobs(&format!("[[faults]]\non = \"{on}\"\nfault = {fault}\ncount = {count}\n"))
}

const ALL: &str = r#"
[roles.r]
datazone = { access = "enabled", projects = { prj1 = "PROJECT_OWNER" } }
quicksight = { role = "READER", groups = ["g"] }
finspace = { type = "APP_USER", permission_groups = ["p"] }
[groups.p]
finspace = { application_permissions = ["AccessNotebooks"] }
[users.alice]
email = "alice@example.com"
sso_user = "alice"
roles = ["r"]
"#;

fn all_targets() -> String {
    format!("{}{}{}", portal(""), bi(""), research(""))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datazone_throttle_is_seen_and_tried_again() {
    let bench = Bench::with(empty_world(), fault("datazone:CreateUserProfile", "\"throttle\"", 3)).await;
    bench.files(&portal(""), ALL);
    bench.apply().await;
    assert_eq!(bench.writes()["datazone:CreateUserProfile"], 4);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_quota_is_never_tried_again() {
    for (operation, code) in [
        ("quicksight:RegisterUser", "LimitExceededException"),
        ("finspace:CreateUser", "LimitExceededException"),
        ("datazone:DeleteProjectMembership", "ServiceQuotaExceededException"),
    ] {
        let mut world = empty_world();
        let alice = sso_profile(&mut world, 1, "alice", "ACTIVATED");
        join(&mut world, &alice, "PROJECT_CONTRIBUTOR");
        let bench = Bench::with(world, fault(operation, &format!("{{ error = \"{code}\" }}"), 9)).await;
        bench.files(&all_targets(), ALL);
        bench.run(&["apply", "--yes"]).await.exits(3).says("a hard quota of the account is reached");
        assert_eq!(bench.writes()[operation], 1, "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_without_a_known_code_is_a_throttle() {
    let bench = Bench::with(empty_world(), fault("quicksight:RegisterUser", "\"bare_throttle\"", 1)).await;
    bench.files(&bi(""), ALL);
    bench.apply().await;
    assert_eq!(bench.writes()["quicksight:RegisterUser"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn enabled_is_assigned_or_activated_and_nobody_fights_over_which() {
    for status in ["ASSIGNED", "ACTIVATED"] {
        let mut world = empty_world();
        // A cross-account role profile starts ASSIGNED, whatever was asked.
        let profile = Profile {
            status: status.into(),
            arn: Some("arn:aws:iam::999922223333:role/Etl".into()),
            ..Profile::default()
        };
        world
            .domains
            .get_mut(DOMAIN)
            .unwrap()
            .profiles
            .insert("00000000-0000-4000-8000-000000000001".into(), profile);
        let bench = Bench::new(world).await;
        bench.files(
            &portal(""),
            "[roles.r]\ndatazone = { access = \"enabled\" }\n[users.etl]\niam_arn = \"arn:aws:iam::999922223333:role/Etl\"\nroles = [\"r\"]\n",
        );
        bench.settles().await;
    }
}

fn remade_role(statuses: [&str; 2]) -> World {
    let mut world = empty_world();
    for (number, status) in statuses.into_iter().enumerate() {
        let profile = Profile {
            status: status.into(),
            arn: Some("arn:aws:iam::111122223333:role/Etl".into()),
            principal_id: Some(format!("AROAEXAMPLEEXAMPLE{number}")),
            ..Profile::default()
        };
        let id = format!("00000000-0000-4000-8000-00000000000{number}");
        world.domains.get_mut(DOMAIN).unwrap().profiles.insert(id, profile);
    }
    world
}

const ETL: &str = "[roles.r]\ndatazone = { access = \"enabled\", projects = { prj1 = \"PROJECT_OWNER\" } }\n[users.etl]\niam_arn = \"arn:aws:iam::111122223333:role/Etl\"\nroles = [\"r\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn of_the_profiles_of_a_remade_role_the_only_enabled_one_is_meant() {
    let bench = Bench::new(remade_role(["DEACTIVATED", "ACTIVATED"])).await;
    bench.files(&portal(""), ETL);
    bench.apply().await;
    let members = &bench.sandbox.world().domains[DOMAIN].projects["prj1"];
    assert_eq!(members.keys().collect::<Vec<_>>(), ["00000000-0000-4000-8000-000000000001"]);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_enabled_profiles_of_a_remade_role_are_blocked_until_the_roster_names_one() {
    let bench = Bench::new(remade_role(["ACTIVATED", "ACTIVATED"])).await;
    bench.files(&portal(""), ETL);
    bench.apply().await.says("blocked: 2 profiles have this ARN").says("iam_principal_id");
    assert!(bench.writes().is_empty());
    bench.files(&portal(""), &format!("{ETL}iam_principal_id = \"AROAEXAMPLEEXAMPLE0\"\n"));
    bench.apply().await;
    let members = &bench.sandbox.world().domains[DOMAIN].projects["prj1"];
    assert_eq!(members.keys().collect::<Vec<_>>(), ["00000000-0000-4000-8000-000000000000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_created_may_not_be_seen_for_a_while() {
    let bench = Bench::with(empty_world(), knobs("lag = 2")).await;
    bench.files(&all_targets(), ALL);
    bench.apply().await;
    let world = bench.sandbox.world();
    assert_eq!(world.domains[DOMAIN].projects["prj1"].len(), 1);
    assert_eq!(world.accounts[ACCOUNT].namespaces["default"].groups["g"].members.len(), 1);
    assert!(bench.writes()["quicksight:CreateGroupMembership"] > 1, "the group did not see the user at once");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_profiles_are_created_one_at_a_time() {
    let mut roster = "[roles.r]\ndatazone = { access = \"enabled\" }\n[users]\n".to_string();
    for number in 0..6 {
        roster.push_str(&format!("u{number} = {{ sso_user = \"u{number}\", roles = [\"r\"] }}\n"));
        roster.push_str(&format!(
            "r{number} = {{ iam_arn = \"arn:aws:iam::111122223333:role/R{number}\", roles = [\"r\"] }}\n"
        ));
    }
    let only_sso: String =
        roster.lines().filter(|l| !l.contains("iam_arn")).map(|l| format!("{l}\n")).collect();
    let bench = Bench::with(empty_world(), knobs("latency_ms = 15")).await;
    bench.files(&portal(""), &only_sso);
    bench.apply().await;
    assert_eq!(bench.sandbox.peak("datazone:CreateUserProfile"), 1);
    bench.files(&portal(""), &roster);
    bench.apply().await;
    assert!(
        bench.sandbox.peak("datazone:CreateUserProfile") > 1,
        "IAM profiles need not wait for one another"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_membership_is_looked_at_and_taken_for_done() {
    // The answer to the first attempt is lost, so the second finds the membership there.
    let bench =
        Bench::with(empty_world(), fault("datazone:CreateProjectMembership", "\"reset_after\"", 1)).await;
    bench.files(&portal(""), ALL);
    bench.apply().await.says("Applied: 2 done.");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_region_becomes_advice() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi("region = \"eu-west-1\""), ALL);
    bench.run(&["plan"]).await.exits(1).says("set `region = \"us-east-1\"` for this target");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_role_is_blocked_and_never_tried_and_the_rest_goes_on() {
    for (have, want, blocked) in [
        ("AUTHOR", "READER", true),
        ("ADMIN_PRO", "READER_PRO", true),
        ("RESTRICTED_AUTHOR", "RESTRICTED_READER", true),
        ("ADMIN", "AUTHOR", false),
        ("READER_PRO", "READER", false),
    ] {
        let mut world = empty_world();
        qs_user(&mut world, "p1", "alice@example.com", have);
        namespace(&mut world).users.get_mut("p1").unwrap().email = "old@example.com".into();
        let bench = Bench::new(world).await;
        bench.files(&bi(""), &ALL.replace("\"READER\"", &format!("\"{want}\"")));
        bench.apply().await;
        let world = bench.sandbox.world();
        let alice = qs(&world, "alice@example.com").unwrap();
        assert_eq!(alice.role, if blocked { have } else { want }, "{have} to {want}");
        assert_eq!(alice.email, "alice@example.com");
        let refused = bench.sandbox.calls().iter().filter(|c| c.status >= 400).count();
        assert_eq!(refused, 0, "it was never tried");
        bench.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_whose_name_is_lost_is_deleted_by_principal_id() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    qs_user(&mut world, "lost1", "N/A", "READER");
    qs_user(&mut world, "lost2", "N/A", "READER");
    let bench = Bench::new(world).await;
    bench.files(&bi(&sync("delete")), ALL);
    bench.apply().await;
    assert_eq!(bench.writes()["quicksight:DeleteUserByPrincipalId"], 2);
    assert_eq!(bench.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len(), 1);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_whose_answer_was_lost_is_adopted() {
    let bench = Bench::with(empty_world(), fault("quicksight:RegisterUser", "\"reset_after\"", 1)).await;
    bench.files(&bi(""), ALL);
    bench.apply().await.says("was there already; adopted");
    assert_eq!(bench.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len(), 1);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_center_keeps_groups_and_deletes_to_itself() {
    let mut world = empty_world();
    world.accounts.get_mut(ACCOUNT).unwrap().identity_center = true;
    qs_user(&mut world, "p1", "gone@example.com", "READER");
    let bench = Bench::new(world).await;
    let settings = format!("identity_type = \"IAM_IDENTITY_CENTER\"\n{}", sync("delete"));
    bench.files(&bi(&settings), ALL);
    bench.apply().await.says("which keeps groups and deletes to itself");
    assert_eq!(bench.writes(), [("quicksight:RegisterUser".to_string(), 1)].into());
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finspace_has_ended_and_holds_nobody_back() {
    let bench = Bench::new(empty_world()).await;
    let dead = research("endpoint_url = \"http://127.0.0.1:9\"");
    bench.settings("max_attempts = 2", &format!("{}{}{dead}", portal(""), bi("")));
    bench.write("roster.toml", ALL);
    bench.run(&["check"]).await.exits(0).says("AWS ended Amazon FinSpace on 2026-10-07");
    bench.run(&["apply", "--yes"]).await.exits(3).says("not observed, so nothing is planned here");
    assert!(qs(&bench.sandbox.world(), "alice@example.com").is_some());
    assert!(dz(&bench.sandbox.world(), "alice").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn finspace_addresses_are_compared_without_regard_to_case() {
    let mut world = empty_world();
    fs_user(&mut world, "u1", "ALICE@Example.com");
    environment(&mut world)
        .groups
        .insert("g1".into(), PermissionGroup { name: "p".into(), ..Default::default() });
    let bench = Bench::new(world).await;
    bench.files(&research(""), ALL);
    bench.apply().await;
    assert_eq!(bench.writes(), [("finspace:AssociateUserToPermissionGroup".to_string(), 1)].into());
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finspace_memberships_in_progress_count_as_done() {
    for (status, calls) in [("ADDITION_IN_PROGRESS", 0), ("REMOVAL_IN_PROGRESS", 1)] {
        let mut world = empty_world();
        fs_user(&mut world, "u1", "alice@example.com");
        let mut group = PermissionGroup { name: "p".into(), ..Default::default() };
        group.members.insert("u1".into(), status.into());
        environment(&mut world).groups.insert("g1".into(), group);
        let bench = Bench::new(world).await;
        bench.files(&research(""), ALL);
        bench.apply().await;
        assert_eq!(bench.writes().values().sum::<usize>(), calls, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_token_stays_the_same_over_the_attempts_of_a_call() {
    for operation in ["finspace:CreateUser", "finspace:CreatePermissionGroup", "datazone:CreateUserProfile"] {
        let bench = Bench::with(empty_world(), fault(operation, "\"reset_after\"", 2)).await;
        bench.files(&format!("{}{}", portal(""), research("")), ALL);
        bench.apply().await.never_says("adopted");
        assert_eq!(bench.writes()[operation], 3, "{operation}");
        bench.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_session_travels_encoded_once() {
    let bench = Bench::new(empty_world()).await;
    let roster = |role: &str| {
        format!(
            "[roles.r]\nquicksight = {{ role = \"{role}\" }}\n[users.etl]\nemail = \"etl@example.com\"\niam_arn = \"arn:aws:iam::111122223333:role/Etl\"\nsession_name = \"nightly\"\nroles = [\"r\"]\n"
        )
    };
    bench.files(&bi(""), &roster("READER"));
    bench.apply().await;
    bench.files(&bi(""), &roster("AUTHOR"));
    bench.apply().await;
    assert_eq!(qs(&bench.sandbox.world(), "Etl/nightly").unwrap().role, "AUTHOR");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_in_case_only_are_one_person() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "ALICE@example.com", "READER");
    qs_user(&mut world, "p2", "alice@example.com", "READER");
    sso_profile(&mut world, 1, "Alice", "ACTIVATED");
    let bench = Bench::new(world).await;
    let roster = "[roles.r]\ndatazone = { access = \"enabled\" }\nquicksight = { role = \"AUTHOR\" }\n[users.alice]\nemail = \"alice@example.com\"\nsso_user = \"alice\"\nroles = [\"r\"]\n";
    bench.files(&format!("{}{}", bi(&sync("delete")), portal(&sync("disable"))), roster);
    bench.apply().await;
    assert_eq!(bench.writes(), [("quicksight:UpdateUser".to_string(), 1)].into());
    assert_eq!(
        qs(&bench.sandbox.world(), "alice@example.com").unwrap().role,
        "AUTHOR",
        "the exact one is meant"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_status_is_set_in_the_same_run_as_the_profile() {
    let bench = Bench::with(empty_world(), knobs("lag = 1")).await;
    bench.files(
        &portal(""),
        "[roles.r]\ndatazone = { access = \"ACTIVATED\" }\n[users.a]\nsso_user = \"a\"\nroles = [\"r\"]\n",
    );
    bench.apply().await;
    assert_eq!(dz(&bench.sandbox.world(), "a").unwrap().status, "ACTIVATED");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_creation_that_identity_center_is_too_busy_for_is_tried_again() {
    // Somebody else creates profiles too, slowly, in the same domain.
    let bench = Bench::with(empty_world(), knobs("latency_ms = 150")).await;
    bench.files(
        &portal(""),
        "[roles.r]\ndatazone = { access = \"enabled\" }\n[users.a]\nsso_user = \"a\"\nroles = [\"r\"]\n",
    );
    let other = Bench::with(empty_world(), Knobs::default()).await;
    other.settings("", &portal(&format!("endpoint_url = \"{}\"", bench.sandbox.url())));
    other.write(
        "roster.toml",
        "[roles.r]\ndatazone = { access = \"enabled\" }\n[users.b]\nsso_user = \"b\"\nroles = [\"r\"]\n",
    );
    let (one, two) = tokio::join!(bench.run(&["apply", "--yes"]), other.run(&["apply", "--yes"]));
    one.exits(0);
    two.exits(0);
    assert_eq!(bench.sandbox.world().domains[DOMAIN].profiles.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_another_account_starts_assigned_and_that_is_enough() {
    let mut world = empty_world();
    world.domains.get_mut(DOMAIN).unwrap().account = Some("111122223333".into());
    let bench = Bench::new(world).await;
    bench.files(&portal(""), &ETL.replace("111122223333", "999922223333"));
    bench.apply().await;
    let world = bench.sandbox.world();
    assert_eq!(dz(&world, "arn:aws:iam::999922223333:role/Etl").unwrap().status, "ASSIGNED");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_profile_of_a_remade_role_loses_what_it_has_when_its_user_is_absent() {
    let mut world = remade_role(["ACTIVATED", "ACTIVATED"]);
    for (number, designation) in ["PROJECT_OWNER", "PROJECT_CONTRIBUTOR"].into_iter().enumerate() {
        join(&mut world, &format!("00000000-0000-4000-8000-00000000000{number}"), designation);
    }
    let bench = Bench::new(world).await;
    let roster = format!("{ETL}state = \"absent\"\n[users.other]\nsso_user = \"other\"\nroles = [\"r\"]\n");
    bench.files(&portal(""), &roster);
    bench.run(&["plan", "--out", "plan.json"]).await.exits(0).says("4 to remove");
    bench.run(&["apply", "plan.json", "--yes"]).await.exits(0).never_says("left alone");
    let world = bench.sandbox.world();
    assert!(
        world.domains[DOMAIN]
            .profiles
            .values()
            .filter(|p| p.arn.is_some())
            .all(|p| p.status == "DEACTIVATED")
    );
    assert_eq!(world.domains[DOMAIN].projects["prj1"].len(), 1, "the other user alone");
    bench.settles().await;
}
