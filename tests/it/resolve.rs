//! Roles to entitlements: precedence, ranks, identities, states.

use std::collections::BTreeMap;
use std::path::Path;

use rosterd::config;
use rosterd::input::{Problems, Sources};
use rosterd::roster;
use rosterd::service::datazone::Identity as DataZoneIdentity;
use rosterd::service::quicksight::{Identity as QuickSightIdentity, IdentityType, Role};
use rosterd::service::{Desired, State};

const SETTINGS: &str = r#"[daemon]
roster = "roster.toml"
[targets.bi]
service = "quicksight"
region = "us-east-1"
account_id = "123456789012"
policy = "upsert-only"
[targets.other]
service = "quicksight"
region = "us-east-1"
account_id = "210987654321"
policy = "upsert-only"
[targets.portal]
service = "datazone"
region = "us-east-1"
domain_id = "dzd_x"
policy = "upsert-only"
[targets.research]
service = "finspace"
region = "us-east-1"
policy = "upsert-only"
"#;

#[track_caller]
fn desired(settings: &str, text: &str) -> BTreeMap<String, Desired> {
    let (mut sources, mut problems) = (Sources::default(), Problems::default());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("roster.toml"), text).unwrap();
    let file = sources.add(Path::new("rosterd.toml"), settings.into());
    let settings = config::parse(dir.path(), &sources, file, &mut problems).expect("the settings are fine");
    let roster = roster::load(&settings, &mut sources, &mut problems);
    let all = roster::resolve(&roster, &settings, jiff::civil::date(2026, 11, 20), &mut problems);
    assert!(!problems.has_errors(), "{}", problems.render(&sources, false));
    all
}

fn quicksight<'d>(
    all: &'d BTreeMap<String, Desired>,
    target: &str,
) -> &'d rosterd::service::quicksight::Desired {
    match &all[target] {
        Desired::QuickSight(desired) => desired,
        other => panic!("{other:?}"),
    }
}

fn datazone(all: &BTreeMap<String, Desired>) -> &rosterd::service::datazone::Desired {
    match &all["portal"] {
        Desired::DataZone(desired) => desired,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_most_powerful_role_wins_and_names_its_causes() {
    const ORDER: [&str; 8] = [
        "ADMIN_PRO",
        "ADMIN",
        "AUTHOR_PRO",
        "AUTHOR",
        "RESTRICTED_AUTHOR",
        "READER_PRO",
        "READER",
        "RESTRICTED_READER",
    ];
    for (at, strong) in ORDER.iter().enumerate() {
        for weak in &ORDER[at..] {
            let all = desired(
                SETTINGS,
                &format!(
                    "[roles.a]\nquicksight = {{ role = \"{weak}\" }}\n[roles.b]\nquicksight = {{ role = \"{strong}\" }}\n[users.u]\nemail = \"u@example.com\"\nroles = [\"a\", \"b\"]\n"
                ),
            );
            let role = quicksight(&all, "bi").users[0].grant.role.as_ref().unwrap();
            assert_eq!(role.value.to_string(), *strong);
            assert_eq!(role.roles, if strong == weak { vec!["a", "b"] } else { vec!["b"] });
        }
    }
}

#[test]
fn a_target_block_wins_field_by_field() {
    let all = desired(
        SETTINGS,
        "[roles.a]\nquicksight = { role = \"READER\", groups = [\"g\"] }\ntargets.bi = { role = \"ADMIN\" }\n[users.u]\nemail = \"u@example.com\"\nroles = [\"a\"]\n",
    );
    let grant = |target: &str| {
        let grant = &quicksight(&all, target).users[0].grant;
        (grant.role.as_ref().unwrap().value, grant.groups.as_ref().map(|g| g.len()))
    };
    assert_eq!(grant("bi"), (Role::Admin, Some(1)));
    assert_eq!(grant("other"), (Role::Reader, Some(1)));
}

#[test]
fn groups_of_several_roles_add_up() {
    let all = desired(
        SETTINGS,
        "[roles.a]\nquicksight = { groups = [\"g\", \"h\"] }\n[roles.b]\nquicksight = { groups = [\"h\"] }\n[users.u]\nemail = \"u@example.com\"\nroles = [\"b\", \"a\", \"a\"]\n",
    );
    let groups = quicksight(&all, "bi").users[0].grant.groups.clone().unwrap();
    assert_eq!(groups["g"], ["a"]);
    assert_eq!(groups["h"], ["a", "b"]);
}

#[test]
fn identities_follow_the_settings_and_the_overrides() {
    let roles = "[roles.r]\nquicksight = { role = \"READER\" }\ndatazone = { access = \"enabled\" }\n";
    let base = "email = \"u@example.com\"\nsso_user = \"sso\"\nroles = [\"r\"]\n";
    let arn = "iam_arn = \"arn:aws:iam::123456789012:role/path/Etl\"\nsession_name = \"night\"\niam_principal_id = \"AROAEXAMPLEEXAMPLE1\"\n";
    let of = |settings: &str, user: &str| {
        let all = desired(settings, &format!("{roles}[users.id]\n{user}"));
        (quicksight(&all, "bi").users[0].identity.clone(), datazone(&all).users[0].identity.clone())
    };
    let named =
        |identity_type, name: &str| QuickSightIdentity::Named { identity_type, user_name: name.into() };
    for (from, name) in [("email", "u@example.com"), ("sso_user", "sso"), ("id", "id")] {
        let settings =
            SETTINGS.replacen("[targets.bi]\n", &format!("[targets.bi]\nuser_name_from = \"{from}\"\n"), 1);
        assert_eq!(of(&settings, base).0, named(IdentityType::QuickSight, name));
    }
    let sso = |name: &str| DataZoneIdentity::Sso { user_name: name.into() };
    assert_eq!(of(SETTINGS, base).1, sso("sso"));
    let (bi, portal) = of(SETTINGS, &format!("{base}{arn}"));
    assert_eq!(bi.user_name(), "Etl/night");
    assert_eq!(portal.key(), "arn:aws:iam::123456789012:role/path/Etl#night");
    // One target at a time can be told otherwise.
    let over = "on.portal = { sso_user = \"other\" }\non.bi = { user_name = \"named\" }\n";
    assert_eq!(
        of(SETTINGS, &format!("{base}{arn}{over}")),
        (named(IdentityType::QuickSight, "named"), sso("other"))
    );
    let over = "on.bi = { identity_type = \"IAM_IDENTITY_CENTER\" }\n";
    assert_eq!(
        of(SETTINGS, &format!("{base}{arn}{over}")).0,
        named(IdentityType::IdentityCenter, "u@example.com")
    );
    // Another ARN brings neither the old session nor the old principal.
    let over = "on.portal = { iam_arn = \"arn:aws:iam::123456789012:role/Other\" }\n";
    let other = DataZoneIdentity::Iam {
        arn: "arn:aws:iam::123456789012:role/Other".into(),
        session: None,
        principal_id: None,
    };
    assert_eq!(of(SETTINGS, &format!("{base}{arn}{over}")).1, other);
}

#[test]
fn expiry_is_from_that_day_on() {
    for (expires, state) in
        [("2026-11-19", State::Absent), ("2026-11-20", State::Absent), ("2026-11-21", State::Active)]
    {
        let all = desired(
            SETTINGS,
            &format!(
                "[roles.a]\nquicksight = {{ role = \"READER\" }}\n[users.u]\nemail = \"u@example.com\"\nroles = [\"a\"]\nexpires = {expires}\n[users.stays]\nemail = \"s@example.com\"\nroles = [\"a\"]\n"
            ),
        );
        assert_eq!(quicksight(&all, "bi").users[1].state, state, "{expires}");
    }
}

#[test]
fn users_matter_only_where_a_role_gives_them_something() {
    let all = desired(
        SETTINGS,
        "[roles.a]\ntargets.bi = { role = \"READER\" }\n[users.u]\nemail = \"u@example.com\"\nroles = [\"a\"]\n[users.none]\nemail = \"n@example.com\"\n[users.gone]\nemail = \"g@example.com\"\nstate = \"absent\"\n",
    );
    let users =
        |target: &str| quicksight(&all, target).users.iter().map(|u| u.user.as_str()).collect::<Vec<_>>();
    // Who is to be absent and has no role is to be absent everywhere.
    assert_eq!(users("bi"), ["gone", "u"]);
    assert_eq!(users("other"), ["gone"]);
    assert!(datazone(&all).users.is_empty(), "without a single sign-on name there is nobody to look for");
}
