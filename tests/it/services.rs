//! Each service end to end: every operation, every parameter, and a second pass that does nothing.

use rosterd::sandbox::world::Profile;

use crate::support::*;

const PEOPLE: &str = r#"
[users.alice]
email = "alice@example.com"
first_name = "Alice"
last_name = "Moreau"
sso_user = "alice"
roles = ["r"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn datazone_creates_all_four_user_types() {
    let bench = Bench::new(empty_world()).await;
    bench.files(
        &portal(""),
        r#"
        [roles.r]
        datazone = { access = "enabled", projects = { prj1 = "PROJECT_CATALOG_VIEWER" } }
        [users]
        sso = { sso_user = "alice", roles = ["r"] }
        iamuser = { iam_arn = "arn:aws:iam::111122223333:user/bob", roles = ["r"] }
        role = { iam_arn = "arn:aws:iam::111122223333:role/Etl", roles = ["r"] }
        session = { iam_arn = "arn:aws:iam::111122223333:role/Etl", session_name = "nightly", roles = ["r"] }
        "#,
    );
    bench.apply().await.says("Applied: 8 done.");
    let world = bench.sandbox.world();
    let domain = &world.domains[DOMAIN];
    let mut seen: Vec<_> = domain
        .profiles
        .values()
        .map(|p| (p.user_name.clone(), p.arn.clone(), p.session_name.clone(), p.status.clone()))
        .collect();
    seen.sort();
    let text = |t: &str| Some(t.to_string());
    assert_eq!(
        seen,
        [
            (None, text("arn:aws:iam::111122223333:role/Etl"), None, "ACTIVATED".into()),
            (None, text("arn:aws:iam::111122223333:role/Etl"), text("nightly"), "ACTIVATED".into()),
            (None, text("arn:aws:iam::111122223333:user/bob"), None, "ACTIVATED".into()),
            (text("alice"), None, None, "ASSIGNED".into()),
        ]
    );
    assert_eq!(domain.projects["prj1"].len(), 4);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datazone_sets_all_four_statuses() {
    for (wish, before, after) in [
        ("enabled", "NOT_ASSIGNED", "ASSIGNED"),
        ("enabled", "DEACTIVATED", "ACTIVATED"),
        ("disabled", "ASSIGNED", "NOT_ASSIGNED"),
        ("disabled", "ACTIVATED", "DEACTIVATED"),
        ("ASSIGNED", "ACTIVATED", "ASSIGNED"),
        ("NOT_ASSIGNED", "DEACTIVATED", "NOT_ASSIGNED"),
        ("ACTIVATED", "ASSIGNED", "ACTIVATED"),
        ("DEACTIVATED", "ASSIGNED", "DEACTIVATED"),
    ] {
        let mut world = empty_world();
        sso_profile(&mut world, 1, "alice", before);
        let bench = Bench::new(world).await;
        bench.files(&portal(""), &format!("[roles.r]\ndatazone = {{ access = \"{wish}\" }}\n{PEOPLE}"));
        bench.apply().await;
        let world = bench.sandbox.world();
        assert_eq!(dz(&world, "alice").map(|p| p.status.as_str()), Some(after), "{wish} on {before}");
        bench.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datazone_memberships_take_every_designation() {
    for (wish, kind, id) in [
        ("\"PROJECT_OWNER\"", "PROJECT_OWNER", None),
        ("\"PROJECT_CONTRIBUTOR\"", "PROJECT_CONTRIBUTOR", None),
        ("\"PROJECT_CATALOG_VIEWER\"", "PROJECT_CATALOG_VIEWER", None),
        ("\"PROJECT_CATALOG_CONSUMER\"", "PROJECT_CATALOG_CONSUMER", None),
        ("\"PROJECT_CATALOG_STEWARD\"", "PROJECT_CATALOG_STEWARD", None),
        (
            "{ designation = \"USER_CREATED_DESIGNATION\", id = \"des1\" }",
            "USER_CREATED_DESIGNATION",
            Some("des1"),
        ),
    ] {
        let mut world = empty_world();
        let alice = sso_profile(&mut world, 1, "alice", "ACTIVATED");
        let before = if kind == "PROJECT_OWNER" { "PROJECT_CONTRIBUTOR" } else { "PROJECT_OWNER" };
        join(&mut world, &alice, before);
        let bench = Bench::new(world).await;
        bench.files(
            &portal(""),
            &format!("[roles.r]\ndatazone = {{ projects = {{ prj1 = {wish}, prj2 = {wish} }} }}\n{PEOPLE}"),
        );
        bench.apply().await.says("change in prj1").says("join prj2");
        for project in ["prj1", "prj2"] {
            let member = &bench.sandbox.world().domains[DOMAIN].projects[project][&alice];
            assert_eq!((member.designation.as_str(), member.designation_id.as_deref()), (kind, id));
        }
        bench.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_designation_is_deleted_then_created_and_put_back_on_failure() {
    let mut world = empty_world();
    let alice = sso_profile(&mut world, 1, "alice", "ACTIVATED");
    join(&mut world, &alice, "PROJECT_OWNER");
    let knobs = "[[faults]]\non = \"datazone:CreateProjectMembership\"\nfault = { error = \"ServiceQuotaExceededException\" }\ncount = 1\n";
    let bench = Bench::with(world, rosterd::sandbox::Knobs::from_toml(knobs).unwrap()).await;
    bench.files(
        &portal(""),
        &format!("[roles.r]\ndatazone = {{ projects = {{ prj1 = \"PROJECT_CONTRIBUTOR\" }} }}\n{PEOPLE}"),
    );
    bench.run(&["apply", "--yes"]).await.exits(1).says("the old designation PROJECT_OWNER was put back");
    let order: Vec<_> =
        bench.sandbox.calls().into_iter().map(|c| c.operation).filter(|o| !is_read(o)).collect();
    assert_eq!(
        order,
        [
            "datazone:DeleteProjectMembership",
            "datazone:CreateProjectMembership",
            "datazone:CreateProjectMembership"
        ]
    );
    assert_eq!(bench.sandbox.world().domains[DOMAIN].projects["prj1"][&alice].designation, "PROJECT_OWNER");
    bench.apply().await;
    assert_eq!(
        bench.sandbox.world().domains[DOMAIN].projects["prj1"][&alice].designation,
        "PROJECT_CONTRIBUTOR"
    );
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datazone_absent_takes_status_and_memberships_and_suspended_only_the_status() {
    for (state, members) in [("absent", 0), ("suspended", 1)] {
        let mut world = empty_world();
        let alice = sso_profile(&mut world, 1, "alice", "ACTIVATED");
        join(&mut world, &alice, "PROJECT_OWNER");
        let bench = Bench::new(world).await;
        let roster = format!(
            "[roles.r]\ndatazone = {{ access = \"enabled\", projects = {{ prj1 = \"PROJECT_OWNER\" }} }}\n{PEOPLE}state = \"{state}\"\n[users.other]\nsso_user = \"other\"\nroles = [\"r\"]"
        );
        bench.files(&portal(""), &roster);
        bench.apply().await;
        let world = bench.sandbox.world();
        assert_eq!(dz(&world, "alice").unwrap().status, "DEACTIVATED");
        assert_eq!(world.domains[DOMAIN].projects["prj1"].len(), members + 1, "{state}");
        bench.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datazone_sync_disables_unlisted_profiles_of_both_kinds() {
    let mut world = empty_world();
    sso_profile(&mut world, 1, "alice", "ACTIVATED");
    sso_profile(&mut world, 2, "gone", "ASSIGNED");
    let role = Profile {
        status: "ACTIVATED".into(),
        arn: Some("arn:aws:iam::111122223333:role/Old".into()),
        principal_id: Some("AROAOLDOLDOLDOLDOLD1".into()),
        ..Profile::default()
    };
    world
        .domains
        .get_mut(DOMAIN)
        .unwrap()
        .profiles
        .insert("00000000-0000-4000-8000-0000000000ff".into(), role);
    let bench = Bench::new(world).await;
    bench.files(
        &portal(&sync("disable")),
        &format!("[roles.r]\ndatazone = {{ access = \"enabled\" }}\n{PEOPLE}"),
    );
    bench.apply().await;
    let world = bench.sandbox.world();
    assert_eq!(dz(&world, "gone").unwrap().status, "NOT_ASSIGNED");
    assert_eq!(dz(&world, "arn:aws:iam::111122223333:role/Old").unwrap().status, "DEACTIVATED");
    assert_eq!(dz(&world, "alice").unwrap().status, "ACTIVATED");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quicksight_registers_every_identity_type_with_every_parameter() {
    let bench = Bench::new(empty_world()).await;
    bench.files(
        &bi(""),
        r#"
        [roles.r]
        quicksight = { role = "ADMIN_PRO", groups = ["g"], custom_permissions = "cp", tags = { team = "x" } }
        [groups.g]
        quicksight = { description = "The G" }
        [users.named]
        email = "named@example.com"
        roles = ["r"]
        external_login = { type = "CUSTOM_OIDC", url = "https://idp.example.com", id = "n" }
        [users.center]
        email = "center@example.com"
        roles = ["r"]
        external_login = { type = "COGNITO", id = "c" }
        on.bi = { identity_type = "IAM_IDENTITY_CENTER", user_name = "center" }
        [users.iamuser]
        email = "u@example.com"
        iam_arn = "arn:aws:iam::111122223333:user/path/bob"
        roles = ["r"]
        [users.session]
        email = "s@example.com"
        iam_arn = "arn:aws:iam::111122223333:role/Etl"
        session_name = "nightly"
        roles = ["r"]
        "#,
    );
    bench.apply().await.says("invitation to pass on: https://signin.aws.amazon.com/inviteuser");
    let world = bench.sandbox.world();
    for (name, kind) in [
        ("named@example.com", "QUICKSIGHT"),
        ("center", "IAM_IDENTITY_CENTER"),
        ("bob", "IAM"),
        ("Etl/nightly", "IAM"),
    ] {
        let user = qs(&world, name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((user.identity_type.as_str(), user.role.as_str()), (kind, "ADMIN_PRO"));
        assert_eq!(user.custom_permissions.as_deref(), Some("cp"));
        assert_eq!(user.tags["team"], "x");
    }
    let login = |name: &str| qs(&world, name).unwrap().external_login.clone();
    let custom = ("CUSTOM_OIDC".into(), Some("https://idp.example.com".into()), "n".into());
    assert_eq!(login("named@example.com"), Some(custom));
    assert_eq!(login("center"), Some(("COGNITO".into(), None, "c".into())));
    let group = &world.accounts[ACCOUNT].namespaces["default"].groups["g"];
    assert_eq!((group.description.as_deref(), group.members.len()), (Some("The G"), 4));
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quicksight_makes_one_update_of_every_parameter() {
    for (wish, login, expected) in [
        (
            "custom_permissions = \"new\"",
            "{ type = \"CUSTOM_OIDC\", url = \"https://b.example\", id = \"b\" }",
            Some("CUSTOM_OIDC"),
        ),
        ("custom_permissions = false", "{ type = \"NONE\" }", None),
        ("custom_permissions = \"new\"", "{ type = \"COGNITO\", id = \"c\" }", Some("COGNITO")),
    ] {
        let mut world = empty_world();
        qs_user(&mut world, "p1", "alice@example.com", "READER_PRO");
        let user = namespace(&mut world).users.get_mut("p1").unwrap();
        user.email = "old@example.com".into();
        user.custom_permissions = Some("old".into());
        user.external_login = Some(("CUSTOM_OIDC".into(), Some("https://a.example".into()), "a".into()));
        let bench = Bench::new(world).await;
        let roster = format!(
            "[roles.r]\nquicksight = {{ role = \"AUTHOR_PRO\", {wish} }}\n{PEOPLE}external_login = {login}\n"
        );
        bench.files(&bi(""), &roster);
        bench
            .apply()
            .await
            .says("email old@example.com → alice@example.com")
            .says("role READER_PRO → AUTHOR_PRO");
        assert_eq!(bench.writes(), [("quicksight:UpdateUser".to_string(), 1)].into());
        let world = bench.sandbox.world();
        let user = qs(&world, "alice@example.com").unwrap();
        assert_eq!(user.email, "alice@example.com");
        assert_eq!(user.custom_permissions.as_deref(), (!wish.contains("false")).then_some("new"));
        assert_eq!(user.external_login.as_ref().map(|l| l.0.as_str()), expected);
        bench.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quicksight_sync_deletes_and_leaves_groups() {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    qs_user(&mut world, "p2", "gone@example.com", "READER");
    let groups = &mut namespace(&mut world).groups;
    for group in ["keep", "leave", "foreign"] {
        groups.entry(group.into()).or_default().members.insert("alice@example.com".into());
    }
    let bench = Bench::new(world).await;
    let roster = format!(
        "[roles.r]\nquicksight = {{ role = \"READER\", groups = [\"keep\"] }}\n[roles.unused]\nquicksight = {{ groups = [\"leave\"] }}\n{PEOPLE}"
    );
    bench.files(&bi(&sync("delete")), &roster);
    bench.apply().await.says("leave leave");
    let world = bench.sandbox.world();
    let namespace = &world.accounts[ACCOUNT].namespaces["default"];
    assert!(qs(&world, "gone@example.com").is_none());
    let has = |group: &str| namespace.groups[group].members.contains("alice@example.com");
    // A group that no role names is nobody's business here.
    assert_eq!((has("keep"), has("leave"), has("foreign")), (true, false, true));
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finspace_creates_updates_enables_disables_and_groups() {
    let mut world = empty_world();
    fs_user(&mut world, "u1", "Alice@Example.com");
    fs_user(&mut world, "u2", "off@example.com");
    fs_user(&mut world, "u3", "leaves@example.com");
    environment(&mut world).users.get_mut("u2").unwrap().status = "DISABLED".into();
    let bench = Bench::new(world).await;
    let roster = format!(
        r#"
        [roles.r]
        finspace = {{ type = "SUPER_USER", api_access = "ENABLED", api_access_principal_arn = "arn:aws:iam::111122223333:role/api", permission_groups = ["quants"] }}
        [groups.quants]
        finspace = {{ description = "Q", application_permissions = ["AccessNotebooks", "ViewAuditData"] }}
        {PEOPLE}
        [users.off]
        email = "off@example.com"
        roles = ["r"]
        [users.leaves]
        email = "leaves@example.com"
        roles = ["r"]
        state = "suspended"
        [users.new]
        email = "new@example.com"
        first_name = "New"
        last_name = "Person"
        roles = ["r"]
        "#
    );
    bench.files(&research(""), &roster);
    bench.apply().await;
    let world = bench.sandbox.world();
    for (email, status) in [
        ("alice@example.com", "ENABLED"),
        ("off@example.com", "ENABLED"),
        ("leaves@example.com", "DISABLED"),
        ("new@example.com", "CREATING"),
    ] {
        assert_eq!(fs(&world, email).map(|u| u.status.as_str()), Some(status), "{email}");
    }
    let alice = fs(&world, "alice@example.com").unwrap();
    assert_eq!((alice.user_type.as_str(), alice.first_name.as_deref()), ("SUPER_USER", Some("Alice")));
    assert_eq!(alice.api_access.as_deref(), Some("ENABLED"));
    assert_eq!(alice.api_access_principal_arn.as_deref(), Some("arn:aws:iam::111122223333:role/api"));
    let group = world.environments[REGION].groups.values().next().expect("the group was made");
    assert_eq!((group.name.as_str(), group.members.len()), ("quants", 3));
    assert_eq!(group.application_permissions, ["AccessNotebooks", "ViewAuditData"]);
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finspace_sync_disables_the_unlisted_and_takes_memberships_back() {
    let mut world = empty_world();
    fs_user(&mut world, "u1", "alice@example.com");
    fs_user(&mut world, "u2", "gone@example.com");
    let mut group = rosterd::sandbox::world::PermissionGroup { name: "quants".into(), ..Default::default() };
    group.members.insert("u1".into(), "ADDITION_SUCCESS".into());
    environment(&mut world).groups.insert("g1".into(), group);
    let bench = Bench::new(world).await;
    let roster = format!(
        "[roles.r]\nfinspace = {{ permission_groups = [] }}\n[roles.unused]\nfinspace = {{ permission_groups = [\"quants\"] }}\n{PEOPLE}"
    );
    bench.files(&research(&sync("disable")), &roster);
    bench.apply().await;
    let world = bench.sandbox.world();
    assert_eq!(fs(&world, "gone@example.com").unwrap().status, "DISABLED");
    assert_eq!(world.environments[REGION].groups["g1"].members["u1"], "REMOVAL_IN_PROGRESS");
    bench.settles().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_created_object_is_needed_for_waits_for_it() {
    // One place at a time, so that the order of the calls is the order of the plan's dependencies.
    let bench = Bench::new(empty_world()).await;
    bench.settings("concurrency = 1", &format!("{}{}", bi(""), research("")));
    bench.write(
        "roster.toml",
        &format!(
            "[roles.r]\nquicksight = {{ role = \"READER\", groups = [\"g\"] }}\nfinspace = {{ type = \"APP_USER\", permission_groups = [\"p\"] }}\n[groups.p]\nfinspace = {{ application_permissions = [] }}\n{PEOPLE}"
        ),
    );
    bench.apply().await;
    let order: Vec<_> = bench.sandbox.calls().into_iter().map(|c| c.operation).collect();
    let at = |operation: &str| {
        order.iter().position(|o| o == operation).unwrap_or_else(|| panic!("no {operation}"))
    };
    assert!(at("quicksight:CreateGroup") < at("quicksight:CreateGroupMembership"));
    assert!(at("quicksight:RegisterUser") < at("quicksight:CreateGroupMembership"));
    assert!(at("finspace:CreatePermissionGroup") < at("finspace:AssociateUserToPermissionGroup"));
    assert!(at("finspace:CreateUser") < at("finspace:AssociateUserToPermissionGroup"));
}

#[test]
fn keys_are_found_whatever_their_case_and_arns_exactly() {
    use rosterd::service::index::{Index, Key};

    let long = "x".repeat(200);
    let names = ["Alice", "alice", "K", "ΟΔΟΣ", &long, "", "N/A"];
    fn of<'s>(name: &'s &str) -> Option<Key<'s>> {
        (*name != "N/A").then_some(Key::Name(name))
    }
    let index = Index::new(&names, of);
    let find = |wanted: &str| index.find(&names, Key::Name(wanted), of).copied().collect::<Vec<_>>();
    assert_eq!(find("ALICE"), ["Alice", "alice"], "in their order");
    assert_eq!(find("\u{212a}"), ["K"], "the Kelvin sign is a k");
    assert_eq!(find("οδος"), ["ΟΔΟΣ"]);
    assert_eq!(find(&long.to_uppercase()), [&long]);
    assert_eq!(find("n/a"), [""; 0]);
    assert_eq!(find("bob"), [""; 0]);

    let arn = "arn:aws:iam::111122223333:role/R";
    let sessions =
        [(arn, Some("a")), (arn, None), (arn, Some("b")), ("arn:aws:iam::111122223333:role/r", Some("a"))];
    fn session_key<'t>(&(arn, session): &'t (&str, Option<&str>)) -> Option<Key<'t>> {
        Some(Key::Arn(arn, session))
    }
    let index = Index::new(&sessions, session_key);
    let found = |session| index.find(&sessions, Key::Arn(arn, session), session_key).count();
    assert_eq!((found(Some("a")), found(None), found(Some("A"))), (1, 1, 0));
    assert_eq!(index.find(&sessions, Key::Name(arn), session_key).count(), 0);
}
