//! What bit the users of other tools: one test a lesson, named after it.

use rosterd::sandbox::Knobs;

use crate::support::*;

const ROSTER: &str = r#"
[roles.r]
quicksight = { role = "READER" }
[users.alice]
email = "alice@example.com"
roles = ["r"]
[users.bob]
email = "bob@example.com"
roles = ["r"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn lesson_1_an_empty_roster_is_an_error_not_a_wish() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    let bench = Bench::new(world).await;
    let gone = "[users.alice]\nemail = \"alice@example.com\"\nstate = \"absent\"\n";
    for (roster, message) in [("", "lists no user"), ("[users]\n", "lists no user"), (gone, "every user of")]
    {
        bench.files(&bi(&sync("delete")), roster);
        bench.run(&["apply", "--yes"]).await.exits(1).says(message);
    }
    // Users are left, and none of them has anything on this target any more.
    bench.files(&bi(&sync("delete")), "[users.bob]\nemail = \"bob@example.com\"\n");
    bench.run(&["apply", "--yes"]).await.exits(4).says("the roster gives nobody access to this target");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_2_an_incomplete_read_plans_nothing_for_that_target() {
    let mut world = empty_world();
    for number in 0..150 {
        qs_user(&mut world, &format!("p{number:03}"), &format!("u{number}@example.com"), "READER");
    }
    // The first page is fine, the second never comes.
    let knobs = "[[faults]]\non = \"quicksight:ListUsers\"\nfault = \"server_error\"\nskip = 1\n";
    let bench = Bench::with(world, Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("max_attempts = 2", &format!("{}{}", bi(&sync("delete")), research("")));
    let roster = ROSTER.replace("\"READER\" }", "\"READER\" }\nfinspace = { type = \"APP_USER\" }");
    bench.write("roster.toml", &roster);
    bench.run(&["apply", "--yes", "--force-removals"]).await.exits(3).says("bi").says("not observed");
    let writes = bench.writes();
    assert_eq!(writes, [("finspace:CreateUser".to_string(), 2)].into(), "the other target goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_3_removal_is_explicit_and_has_no_default() {
    let bench = Bench::new(empty_world()).await;
    let target = bi("").replace("policy = \"upsert-only\"\n", "");
    bench.files(&target, ROSTER);
    bench.run(&["check"]).await.exits(1).says("`policy` is missing in targets.bi");
    bench.files(&bi("policy = \"sync\""), ROSTER);
    bench.run(&["check"]).await.exits(1).says("has policy `sync` and no `on_unlisted`");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_4_what_is_not_owned_is_not_removed_and_what_exists_is_adopted() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    let bench = Bench::new(world).await;
    bench.files(&bi("policy = \"sync\"\non_unlisted = \"delete\""), ROSTER);
    bench.run(&["check"]).await.exits(1).says("does not say which are rosterd's");
    bench.files(&bi(&sync("delete")), ROSTER);
    bench.apply().await;
    assert_eq!(
        bench.writes(),
        [("quicksight:RegisterUser".to_string(), 1)].into(),
        "alice is not made again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_5_omitted_is_not_an_empty_list() {
    for (wish, left) in [("", 1), ("groups = []", 0)] {
        let mut world = empty_world();
        qs_user(&mut world, "p1", "alice@example.com", "READER");
        namespace(&mut world)
            .groups
            .entry("g".into())
            .or_default()
            .members
            .insert("alice@example.com".into());
        let bench = Bench::new(world).await;
        let roster = format!(
            "[roles.r]\nquicksight = {{ {wish} }}\n[roles.other]\nquicksight = {{ groups = [\"g\"] }}\n[users.alice]\nemail = \"alice@example.com\"\nroles = [\"r\"]\n"
        );
        bench.files(&bi(&sync("report")), &roster);
        bench.apply().await;
        let world = bench.sandbox.world();
        assert_eq!(world.accounts[ACCOUNT].namespaces["default"].groups["g"].members.len(), left, "{wish:?}");
        assert_eq!(qs(&world, "alice@example.com").unwrap().role, "READER");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_a_rename_is_never_delete_and_create() {
    let roster = |email: &str, sso: &str| {
        format!(
            "[roles.r]\nquicksight = {{ role = \"READER\" }}\ndatazone = {{ access = \"enabled\" }}\nfinspace = {{ type = \"APP_USER\" }}\n[users.alice]\nemail = \"{email}\"\nsso_user = \"{sso}\"\nroles = [\"r\"]\n"
        )
    };
    let bench = Bench::new(empty_world()).await;
    let targets =
        format!("{}{}{}", bi(&sync("delete")), portal(&sync("disable")), research(&sync("disable")));
    bench.files(&targets, &roster("alice@example.com", "alice"));
    bench.apply().await;
    bench.sandbox.forget_calls();
    bench.files(&targets, &roster("alice.moreau@example.com", "alice.moreau"));
    for _ in 0..2 {
        bench
            .run(&["apply", "--yes", "--force-removals"])
            .await
            .exits(0)
            .says("QuickSight cannot rename a user")
            .says("the identity of this user changed")
            .says("the address of a FinSpace user cannot change");
    }
    assert!(bench.writes().is_empty());
    // The way out that the message names keeps the user and updates the address.
    let way_out = format!(
        "{}on.bi = {{ user_name = \"alice@example.com\" }}\n",
        roster("alice.moreau@example.com", "alice")
    );
    bench.files(&bi(&sync("delete")), &way_out);
    bench.apply().await.says("email alice@example.com → alice.moreau@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_9_one_bad_object_does_not_block_the_rest() {
    let knobs = "[[faults]]\non = \"quicksight:RegisterUser\"\nfault = { error = \"InvalidParameterValueException\" }\ncount = 1\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.settings("concurrency = 1", &bi(""));
    bench.write("roster.toml", &ROSTER.replace("\"READER\"", "\"READER\", groups = [\"g\"]"));
    let ran = bench.run(&["apply", "--yes"]).await.exits(3);
    ran.says("failed   bi/user/").says("skipped  bi/member/g/").says("3 done, 1 failed, 1 skipped");
    bench.apply().await;
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_10_throttling_slows_and_loses_nothing() {
    let knobs = "[quotas.\"quicksight:RegisterUser\"]\nrate = 25\nburst = 3\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    let mut roster = "[roles.r]\nquicksight = { role = \"READER\" }\n".to_string();
    for number in 0..40 {
        roster.push_str(&format!("[users.u{number}]\nemail = \"u{number}@example.com\"\nroles = [\"r\"]\n"));
    }
    bench.files(&bi(""), &roster);
    bench.apply().await.says("Applied: 40 done.");
    assert!(bench.sandbox.calls().iter().any(|c| c.status == 429), "the quota was met");
    assert_eq!(bench.sandbox.world().accounts[ACCOUNT].namespaces["default"].users.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_11_credential_errors_are_told_apart() {
    for (code, says) in [
        ("ExpiredTokenException", "renew the credentials"),
        ("UnrecognizedClientException", "renew the credentials"),
        (
            "AccessDeniedException",
            "allow `quicksight:ListUsers` on `arn:aws:quicksight:us-east-1:111122223333:user/default/*`",
        ),
        ("PreconditionNotMetException", "check its edition"),
    ] {
        let knobs = format!("[[faults]]\non = \"quicksight:ListUsers\"\nfault = {{ error = \"{code}\" }}\n");
        let bench = Bench::with(empty_world(), Knobs::from_toml(&knobs).unwrap()).await;
        bench.files(&bi(""), ROSTER);
        bench.run(&["plan"]).await.exits(1).says(code).says(says);
        assert_eq!(bench.sandbox.counts()["quicksight:ListUsers"], 1, "{code} is not tried again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_11_no_credentials_at_all_says_where_they_were_looked_for() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi(""), ROSTER);
    let mut command = bench.command(&["plan"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    finish(command).await.exits(1).says("no credentials found in the environment");
    assert!(bench.sandbox.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_12_a_plan_writes_nothing() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "gone@example.com", "READER");
    let bench = Bench::new(world).await;
    bench.files(&bi(&sync("delete")), ROSTER);
    bench.run(&["plan", "--force-removals", "--out", "plan.json"]).await.exits(0);
    bench.run(&["explain", "alice"]).await.exits(0);
    assert!(bench.writes().is_empty());
    assert!(!bench.path("state/memory.json").exists(), "and remembers nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_14_secrets_are_never_logged() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi(""), ROSTER);
    let mut command = bench.command(&["apply", "--yes", "--log", "trace"]);
    command
        .env("AWS_SECRET_ACCESS_KEY", "wJalrSECRETSECRETSECRET")
        .env("AWS_SESSION_TOKEN", "TOKENTOKENTOKEN");
    finish(command).await.exits(0).never_says("wJalrSECRETSECRETSECRET").never_says("TOKENTOKENTOKEN");
    bench.run(&["plan", "--log", "debug"]).await.exits(0).never_says("email=");
}

const RENAMES: &str = r#"
[roles.r]
quicksight = { role = "READER" }
[users.alice]
email = "old@example.com"
roles = ["r"]
[users.bob]
email = "bob@example.com"
roles = ["r"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_holds_when_the_new_name_is_taken_or_the_user_suspended() {
    for suspended in [false, true] {
        let bench = Bench::new(empty_world()).await;
        bench.files(&bi(&sync("delete")), RENAMES);
        bench.apply().await;
        if !suspended {
            // Somebody signed up under the new address meanwhile.
            bench.sandbox.change(|world| qs_user(world, "p9", "new@example.com", "READER"));
        }
        bench.sandbox.forget_calls();
        let state = if suspended { "state = \"suspended\"\n[users.bob]" } else { "[users.bob]" };
        let renamed = RENAMES.replace("old@example.com", "new@example.com").replace("[users.bob]", state);
        bench.files(&bi(&sync("delete")), &renamed);
        for _ in 0..2 {
            bench
                .run(&["apply", "--yes", "--force-removals"])
                .await
                .exits(0)
                .says("QuickSight cannot rename a user");
        }
        assert!(bench.writes().is_empty(), "suspended: {suspended}");
        assert!(qs(&bench.sandbox.world(), "old@example.com").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_someone_renamed_and_absent_is_removed_under_the_old_name() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi("policy = \"upsert-only\""), RENAMES);
    bench.apply().await;
    let gone = RENAMES.replace("\"old@example.com\"", "\"new@example.com\"\nstate = \"absent\"");
    bench.files(&bi("policy = \"upsert-only\""), &gone);
    bench.apply().await;
    assert!(qs(&bench.sandbox.world(), "old@example.com").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_memory_of_another_account_is_forgotten() {
    let mut world = empty_world();
    world.ensure_namespace("999999999999", "default", REGION);
    let bench = Bench::new(world).await;
    bench.files(&bi(&sync("delete")), RENAMES);
    bench.apply().await;
    bench.files(&bi(&sync("delete")).replace(ACCOUNT, "999999999999"), &RENAMES.replace("old@", "new@"));
    bench.apply().await.says("Applied: 2 done.");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_9_one_project_or_user_that_cannot_be_read_does_not_block_the_rest() {
    let knobs = "[[faults]]\non = \"datazone:ListProjectMemberships\"\nfault = { error = \"AccessDeniedException\" }\n";
    let bench = Bench::with(empty_world(), Knobs::from_toml(knobs).unwrap()).await;
    bench.files(&portal(""), "[roles.r]\ndatazone = { access = \"enabled\", projects = { prj1 = \"PROJECT_OWNER\" } }\n[users.a]\nsso_user = \"a\"\nroles = [\"r\"]\n");
    bench.apply().await.says("or rosterd may not see it").says("Applied: 1 done.");

    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "GALACTIC_EMPEROR");
    let bench = Bench::new(world).await;
    bench.files(&bi(&sync("delete")), ROSTER);
    bench
        .apply()
        .await
        .says("its role `GALACTIC_EMPEROR` is not known to this version")
        .says("Applied: 1 done.");
    assert_eq!(bench.writes(), [("quicksight:RegisterUser".to_string(), 1)].into());
    // To be absent is not fulfilled either, and says so.
    bench.files(
        &bi(&sync("delete")),
        &ROSTER.replace("alice@example.com\"", "alice@example.com\"\nstate = \"absent\""),
    );
    bench.apply().await.says("1 blocked").says("is not known to this version");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_two_users_who_swap_names_do_not_swap_accounts() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi(&sync("delete")), RENAMES);
    bench.apply().await;
    bench.sandbox.forget_calls();
    let swapped = RENAMES.replace("old@", "x@").replace("bob@", "old@").replace("x@", "bob@");
    bench.files(&bi(&sync("delete")), &swapped);
    bench.run(&["apply", "--yes"]).await.exits(0).says("2 blocked");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_another_case_is_no_rename() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi(&sync("delete")), RENAMES);
    bench.apply().await;
    bench.files(&bi(&sync("delete")), &RENAMES.replace("old@", "Old@"));
    bench.apply().await.says("email old@example.com → Old@example.com").never_says("blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_every_way_out_leads_out() {
    let roster = |id: &str, email: &str, sso: &str| {
        format!(
            "[roles.r]\ndatazone = {{ access = \"enabled\" }}\nfinspace = {{ type = \"APP_USER\" }}\n[users.{id}]\nemail = \"{email}\"\nsso_user = \"{sso}\"\nroles = [\"r\"]\n"
        )
    };
    let targets = format!("{}{}", portal(""), research(""));
    let bench = Bench::new(empty_world()).await;
    bench.files(&targets, &roster("alice", "old@example.com", "old"));
    bench.apply().await;
    let renamed = roster("alice", "new@example.com", "new");
    bench.files(&targets, &renamed);
    bench.apply().await.says("2 blocked");
    // The old identity under an id of its own, to be absent: it is disabled, and the new one is made.
    bench.files(
        &targets,
        &format!(
            "{renamed}[users.former]\nemail = \"old@example.com\"\nsso_user = \"old\"\nstate = \"absent\"\n"
        ),
    );
    bench.apply().await.says("Applied: 4 done.").never_says("blocked");
    // Disabled profiles are never deleted, and block nobody once they are.
    bench.files(&targets, &renamed);
    bench.settles().await;
    assert_eq!(dz(&bench.sandbox.world(), "old").unwrap().status, "NOT_ASSIGNED");
    assert_eq!(fs(&bench.sandbox.world(), "old@example.com").unwrap().status, "DISABLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_nobody_is_given_the_account_of_somebody_who_was_renamed() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi(&sync("delete")), RENAMES);
    bench.apply().await;
    bench.sandbox.forget_calls();
    // A new id takes the address that alice had, and alice gets another.
    let carol = "[users.carol]\nemail = \"old@example.com\"\nroles = [\"a\"]\n[roles.a]\nquicksight = { role = \"ADMIN\" }\n";
    let moved = RENAMES.replace("old@", "new@") + carol;
    bench.files(&bi(&sync("delete")), &moved);
    bench.apply().await.says("this account was users.alice's when last seen").says("2 blocked");
    assert!(bench.writes().is_empty());
    // The way out: one run without alice hands the account over.
    let without = moved.replace("[users.alice]\nemail = \"new@example.com\"\nroles = [\"r\"]\n", "");
    bench.files(&bi(&sync("delete")), &without);
    bench.apply().await;
    bench.files(&bi(&sync("delete")), &moved);
    bench.apply().await.says("Applied: 1 done.").never_says("blocked");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_suspending_a_renamed_user_takes_the_access_of_the_old_principal() {
    let roster = |email: &str, more: &str| {
        format!(
            "[roles.r]\ndatazone = {{ access = \"enabled\" }}\nfinspace = {{ type = \"APP_USER\" }}\n[users.alice]\nemail = \"{email}\"\nsso_user = \"{email}\"\nroles = [\"r\"]\n{more}\n[users.b]\nemail = \"b@example.com\"\nsso_user = \"b\"\nroles = [\"r\"]\n"
        )
    };
    let targets = format!("{}{}", portal(&sync("disable")), research(&sync("disable")));
    let bench = Bench::new(empty_world()).await;
    bench.files(&targets, &roster("old@example.com", ""));
    bench.apply().await;
    bench.files(&targets, &roster("new@example.com", "state = \"suspended\""));
    bench.apply().await;
    let world = bench.sandbox.world();
    assert_eq!(dz(&world, "old@example.com").unwrap().status, "NOT_ASSIGNED");
    assert_eq!(fs(&world, "old@example.com").unwrap().status, "DISABLED");
    bench.settles().await;
    // Coming back under the new name is a rename still: nothing is made anew behind the old one's back.
    bench.files(&targets, &roster("new@example.com", ""));
    bench.apply().await.says("2 blocked");
}

#[tokio::test(flavor = "multi_thread")]
async fn lesson_7_an_absent_user_gives_up_only_what_was_theirs() {
    let bench = Bench::new(empty_world()).await;
    bench.files(&bi(&sync("delete")), RENAMES);
    bench.apply().await;
    bench.sandbox.forget_calls();
    // Alice leaves, and one shifted edit gives her bob's address and bob another.
    let shifted = RENAMES
        .replace("bob@", "c@")
        .replace("\"old@example.com\"", "\"bob@example.com\"\nstate = \"absent\"");
    bench.files(&bi(&sync("delete")), &shifted);
    bench.run(&["apply", "--yes", "--force-removals"]).await.exits(0).says("1 blocked");
    let world = bench.sandbox.world();
    assert!(qs(&world, "old@example.com").is_none(), "alice's own account goes");
    assert!(qs(&world, "bob@example.com").is_some() && qs(&world, "c@example.com").is_none());
}
