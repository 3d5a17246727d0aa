//! Bad input: what a person is told. Every mistake of both files at once, each at its place.

use std::path::Path;

use rosterd::config;
use rosterd::input::{Problems, Sources};
use rosterd::roster;

/// What `check` would say of these two texts.
fn said(settings: &str, roster_text: &str) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("rosterd.toml"), settings).unwrap();
    std::fs::write(dir.path().join("roster.toml"), roster_text).unwrap();
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let read = config::load(&dir.path().join("rosterd.toml"), &mut sources, &mut problems);
    if let Some(settings) = &read {
        let roster = roster::load(settings, &mut sources, &mut problems);
        let today = jiff::civil::date(2026, 11, 20);
        let _ = roster::resolve(&roster, settings, today, &mut problems);
    }
    let folder = format!("{}/", dir.path().display());
    problems.render(&sources, false).replace(&folder, "")
}

const SETTINGS: &str = r#"[daemon]
roster = "roster.toml"
[targets.bi]
service = "quicksight"
region = "us-east-1"
account_id = "123456789012"
policy = "upsert-only"
[targets.portal]
service = "datazone"
region = "us-east-1"
domain_id = "dzd_x"
policy = "upsert-only"
"#;

const ROSTER: &str = r#"[roles.r]
quicksight = { role = "READER" }
[users.a]
email = "a@example.com"
roles = ["r"]
"#;

/// Each line is one mistake and a piece of what must be said of it.
#[track_caller]
fn check(settings: &str, roster: &str, says: &str) {
    let text = said(settings, roster);
    assert!(text.contains(says), "no `{says}` in:\n{text}");
}

#[test]
fn the_samples_are_fine() {
    assert_eq!(said(SETTINGS, ROSTER), "");
}

#[test]
fn all_mistakes_of_both_files_are_shown_at_once() {
    let settings =
        SETTINGS.replace("policy = \"upsert-only\"\n[targets.portal]", "polcy = \"sync\"\n[targets.portal]");
    let roster = r#"
[roles.analyst]
quicksight = { role = "AUHTOR", groups = ["analysts"] }
targets.portl = { access = "enabled" }

[users.alice]
emial = "alice@example.com"
roles = ["analist"]
expires = "2027-06-30"
"#;
    insta::assert_snapshot!(said(&settings, roster), @r#"
    error: `policy` is missing in targets.bi
     --> rosterd.toml:3:1
      |
    3 | [targets.bi]
      | ^^^^^^^^^^^^

    error: unknown key `polcy` in targets.bi
     --> rosterd.toml:7:1
      |
    7 | polcy = "sync"
      | ^^^^^
      |
      = help: did you mean `policy`?

    error: `AUHTOR` is no valid role
     --> roster.toml:3:23
      |
    3 | quicksight = { role = "AUHTOR", groups = ["analysts"] }
      |                       ^^^^^^^^
      |
      = help: did you mean `AUTHOR`?

    error: unknown target `portl`
     --> roster.toml:4:9
      |
    4 | targets.portl = { access = "enabled" }
      |         ^^^^^
      |
      = help: did you mean `portal`?

    error: unknown key `emial` in users.alice
     --> roster.toml:7:1
      |
    7 | emial = "alice@example.com"
      | ^^^^^
      |
      = help: did you mean `email`?

    error: unknown role `analist`
     --> roster.toml:8:10
      |
    8 | roles = ["analist"]
      |          ^^^^^^^^^
      |
      = help: did you mean `analyst`?

    error: `users.alice.expires` must be a date without quotes, such as 2027-06-30, found string
     --> roster.toml:9:11
      |
    9 | expires = "2027-06-30"
      |           ^^^^^^^^^^^^
    "#);
}

#[test]
fn what_is_wrong_in_the_settings() {
    let change = |from: &str, to: &str, says: &str| {
        assert!(SETTINGS.contains(from), "{from}");
        check(&SETTINGS.replacen(from, to, 1), ROSTER, says);
    };
    change("[daemon]\nroster = \"roster.toml\"\n", "", "the table `[daemon]` is missing");
    change("roster = \"roster.toml\"\n", "", "`roster` is missing in daemon");
    change("[targets.bi]", "[targets.\"b i\"]", "`b i` is no valid name");
    change("\"quicksight\"", "\"quiksight\"", "did you mean `quicksight`?");
    change("\"us-east-1\"", "\"useast1\"", "`useast1` is no valid AWS Region");
    change("\"123456789012\"", "\"1234\"", "AWS account id has 4 characters; it must have 12 to 12");
    change("\"123456789012\"", "123456789012", "put it in quotes");
    change("\"dzd_x\"", "\"xyz\"", "`xyz` is no valid DataZone domain id");
    change("policy = \"upsert-only\"\n", "", "`policy` is missing in targets.bi");
    change("\"upsert-only\"", "\"upsertonly\"", "did you mean `upsert-only`?");
    change("[daemon]", "[deamon]", "did you mean `daemon`?");
    change("[daemon]", "[daemon", "not valid TOML");
    change("[targets.portal]", "[targets.bi]", "duplicate key `bi`");
    let with = |line: &str, says: &str| {
        check(&SETTINGS.replacen("[targets.bi]\n", &format!("[targets.bi]\n{line}\n"), 1), ROSTER, says);
    };
    with("on_unlisted = \"disable\"", "QuickSight cannot disable a principal");
    with("scope = { include = [\"[\"] }", "`[` is no valid pattern");
    with("scope = { includes = [] }", "did you mean `include`?");
    with("max_removals = { percent = 120 }", "is more than 100");
    with("max_removals = { count = -1 }", "a whole number that is not negative");
    with("removal_grace = \"soon\"", "`soon` is no length of time");
    with("removal_grace = 24", "must be a string, found integer");
    with("assume_role = \"arn:aws:iam::123456789012:user/x\"", "is no valid ARN of an IAM role");
    with("external_id = \"x1\"", "`external_id` goes with `assume_role`");
    with("endpoint_url = \"ftp://x.example\"", "is no valid URL");
    with("pace = { RegisterUsr = 1 }", "did you mean `RegisterUser`?");
    with("pace = { RegisterUser = 0 }", "must be from 0.01 to 10000");
    with("max_pace = { RegisterUsr = 1 }", "did you mean `RegisterUser`?");
    with("identity_type = \"SAML\"", "use one of: IAM, QUICKSIGHT, IAM_IDENTITY_CENTER");
    with("user_name_from = \"mail\"", "did you mean `email`?");
    let daemon = |line: &str, says: &str| {
        check(&SETTINGS.replacen("[daemon]\n", &format!("[daemon]\n{line}\n"), 1), ROSTER, says);
    };
    daemon("interval = \"0s\"", "`daemon.interval` must be from 1s to 168h");
    daemon("jitter = \"80%\"", "`80%` is no share from 0% to 50%");
    daemon("jitter = 0.1", "put it in quotes");
    daemon("listen = \"localhost\"", "`localhost` is no address and port");
    daemon("concurrency = 0", "must be from 1 to 256");
    daemon("max_attempts = 5000", "must be from 1 to 100");
    daemon("attempt_timeout = \"0s\"", "must be from 100ms to 10m");
    daemon("roster = \"nowhere.toml\"\nx = 1", "duplicate key `roster`");
}

#[test]
fn two_targets_of_one_place_are_refused() {
    let twin = "[targets.bi2]\nservice = \"quicksight\"\nregion = \"us-east-1\"\naccount_id = \"123456789012\"\npolicy = \"sync\"\non_unlisted = \"report\"\n";
    check(&format!("{SETTINGS}{twin}"), ROSTER, "targets `bi` and `bi2` are the same place");
}

#[test]
fn a_scope_that_includes_nothing_claims_nothing() {
    for scope in ["", "scope = {}", "scope = { exclude = [\"svc-*\"] }", "scope = { include = [] }"] {
        let sync = format!("policy = \"sync\"\non_unlisted = \"delete\"\n{scope}");
        check(
            &SETTINGS.replacen("policy = \"upsert-only\"", &sync, 1),
            ROSTER,
            "does not say which are rosterd's",
        );
    }
}

#[test]
fn what_is_wrong_in_the_roster() {
    let user = |line: &str, says: &str| check(SETTINGS, &format!("{ROSTER}{line}\n"), says);
    user("first_nam = \"A\"", "did you mean `first_name`?");
    user("state = \"gone\"", "use one of: active, suspended, absent");
    user("expires = \"2027-01-01\"", "a date without quotes, such as 2027-06-30");
    user("expires = 2027-02-30", "not valid TOML");
    user("sso_user = \"a b\"", "`a b` is no valid single sign-on user name");
    user("first_name = \"  \"", "is no valid first or last name");
    user("first_name = \"Ann\\nBee\"", "is no valid first or last name");
    user("iam_arn = \"arn:aws:iam::1:role/x\"", "ARN of an IAM user or role");
    user("iam_arn = \"arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/x\"", "is no valid ARN of an IAM user or role");
    user(
        "iam_arn = \"arn:aws:iam::123456789012:user/x\"\nsession_name = \"ss\"",
        "`session_name` goes with the ARN of a role",
    );
    user("session_name = \"ss\"", "need an `iam_arn`");
    user("iam_arn = \"arn:aws:iam::123456789012:role/x\"", "needs a `session_name` beside it");
    user("session_name = \"x\"", "session name has 1 characters; it must have 2 to 64");
    user("external_login = { type = \"OIDC\" }", "`OIDC` is no valid type of external login");
    user("external_login = { type = \"CUSTOM_OIDC\", id = \"x\" }", "CUSTOM_OIDC needs both `url` and `id`");
    user(
        "external_login = { type = \"COGNITO\", url = \"https://x.example\", id = \"x\" }",
        "`url` goes with CUSTOM_OIDC only",
    );
    user("external_login = { type = \"NONE\", id = \"x\" }", "NONE clears the login");
    user("external_login = { type = \"COGNITO\", id = \"\" }", "id at the login provider");
    user("on.bii = { email = \"x@example.com\" }", "did you mean `bi`?");
    user("on.portal = { user_name = \"x\" }", "unknown key `user_name` in users.a.on.portal");
    user("on.bi = { identity_type = \"IAM\" }", "there is no `iam_arn`");
    user("roles = \"r\"", "duplicate key `roles`");
    user(
        "[users.b]\nemail = \"A@example.com\"\nroles = [\"r\"]",
        "users `a` and `b` are the same principal `a@example.com` on target `bi`",
    );
    user("[users.b]\nroles = [\"r\"]", "there is no `email`");
    user("[users.b]\nroles = [\"rr\"]", "did you mean `r`?");
    user("[users.\"b c\"]\nroles = []", "`b c` is no valid name");
    user("[user.b]", "did you mean `users`?");
    let role = |block: &str, says: &str| check(SETTINGS, &format!("{ROSTER}[roles.x]\n{block}\n"), says);
    role("quicksigt = {}", "did you mean `quicksight`?");
    role("quicksight = { role = \"ADMINPRO\" }", "did you mean `ADMIN_PRO`?");
    role("quicksight = { groups = \"x\" }", "must be a list of strings");
    role("quicksight = { custom_permissions = true }", "is a name, or false to take it away");
    role("quicksight = { custom_permissions = \"a b\" }", "is no valid custom permissions name");
    role("quicksight = { tags = { k = 1 } }", "`tags.k` must be a string");
    role("datazone = { access = \"on\" }", "is no valid access");
    role("datazone = { projects = { \"p p\" = \"PROJECT_OWNER\" } }", "is no valid DataZone project");
    role("datazone = { projects = { p = \"OWNER\" } }", "is no valid designation");
    role("datazone = { projects = { p = \"USER_CREATED_DESIGNATION\" } }", "needs the id of the designation");
    role(
        "datazone = { projects = { p = { designation = \"PROJECT_OWNER\", id = \"x\" } } }",
        "`id` goes with USER_CREATED_DESIGNATION only",
    );
    role("finspace = { type = \"APPUSER\" }", "did you mean `APP_USER`?");
    role("finspace = { api_access_principal_arn = \"x\" }", "ARN of an IAM role");
    role("targets.nope = {}", "unknown target `nope`");
    role("targets.bi = { access = \"enabled\" }", "unknown key `access` in roles.x.targets.bi");
    let group = |block: &str, says: &str| check(SETTINGS, &format!("{ROSTER}{block}\n"), says);
    group(
        "[groups.g]\nfinspace = { application_permissions = [\"AccesNotebooks\"] }",
        "did you mean `AccessNotebooks`?",
    );
    group("[groups.g]\nfinspace = { description = \"x\" }", "`application_permissions` is missing");
    group("[groups.g]", "group `g` is for no service");
    group(
        "[groups.analysts]\nquicksight = {}\n[roles.y]\nquicksight = { groups = [\"analyst\"] }",
        "unknown QuickSight group `analyst`",
    );
}

#[test]
fn contradictory_roles_name_both() {
    let roster = r#"[roles.one]
quicksight = { role = "READER", custom_permissions = "a" }
[roles.two]
quicksight = { custom_permissions = "b" }
[users.a]
email = "a@example.com"
roles = ["one", "two"]
"#;
    insta::assert_snapshot!(said(SETTINGS, roster), @"
    error: roles `one` and `two` contradict each other on custom_permissions of target `bi`: a and b
     --> roster.toml:3:8
      |
    3 | [roles.two]
      |        ^^^ this role
      |
     ::: roster.toml:1:8
      |
    1 | [roles.one]
      |        --- and this one
      |
      = help: user `a` has both; take one away, or make the roles agree
    ");
}

#[test]
fn contradictions_do_not_depend_on_the_names_of_roles() {
    for [viewer, consumer, owner] in [["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"]] {
        let roster = |with_owner: bool| {
            let roles = if with_owner {
                format!("\"{viewer}\", \"{consumer}\", \"{owner}\"")
            } else {
                format!("\"{viewer}\", \"{consumer}\"")
            };
            format!(
                "[roles.{viewer}]\ndatazone = {{ projects = {{ p = \"PROJECT_CATALOG_STEWARD\" }} }}\n[roles.{consumer}]\ndatazone = {{ projects = {{ p = \"PROJECT_CATALOG_CONSUMER\" }} }}\n[roles.{owner}]\ndatazone = {{ projects = {{ p = \"PROJECT_OWNER\" }} }}\n[users.u]\nsso_user = \"u\"\nroles = [{roles}]\n"
            )
        };
        assert_eq!(said(SETTINGS, &roster(true)), "", "the owner's designation ranks above both");
        check(SETTINGS, &roster(false), "contradict each other on project p");
    }
}

#[test]
fn someone_who_expires_never_makes_the_roster_invalid() {
    // On the day they leave they are looked at on targets that no role of theirs names.
    let settings = format!(
        "{SETTINGS}[targets.research]\nservice = \"finspace\"\nregion = \"us-east-1\"\npolicy = \"upsert-only\"\n"
    );
    let roster = format!(
        "{ROSTER}[users.b]\nemail = \"b@corp.technology\"\nroles = [\"r\"]\nexpires = 2026-01-01\n[users.c]\nemail = \"a@example.com\"\nstate = \"absent\"\n"
    );
    let text = said(&settings, &roster);
    assert!(!text.contains("error"), "{text}");
}

#[test]
fn folders_are_merged_and_doubles_show_both_places() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("people")).unwrap();
    write("rosterd.toml", &SETTINGS.replace("roster.toml", "people"));
    write("people/a.toml", ROSTER);
    write("people/b.toml", "[users.b]\nemail = \"b@example.com\"\nroles = [\"r\"]\n");
    write("people/.hidden.toml", "broken [");
    write("people/notes.txt", "broken [");
    let load = || {
        let (mut sources, mut problems) = (Sources::default(), Problems::default());
        let settings = config::load(&dir.path().join("rosterd.toml"), &mut sources, &mut problems).unwrap();
        let roster = roster::load(&settings, &mut sources, &mut problems);
        (roster.users.len(), problems.render(&sources, false))
    };
    assert_eq!(load(), (2, String::new()));
    write("people/c.toml", "[users.a]\nroles = []\n[roles.r]\n");
    let (_, text) = load();
    for says in
        ["user `a` is defined twice", "role `r` is defined twice", "a.toml:3:8", "c.toml:1:8", "first here"]
    {
        assert!(text.contains(says), "no `{says}` in:\n{text}");
    }
}

#[test]
fn unreadable_files_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let read = |path: &Path| {
        let (mut sources, mut problems) = (Sources::default(), Problems::default());
        let _ = config::load(path, &mut sources, &mut problems);
        problems.render(&sources, false)
    };
    assert!(read(&dir.path().join("nowhere.toml")).contains("nowhere.toml: No such file"));
    assert!(read(dir.path()).contains("no regular file"));
    std::fs::write(dir.path().join("latin1.toml"), b"x = \"\xe9\"").unwrap();
    assert!(read(&dir.path().join("latin1.toml")).contains("byte 5 is not UTF-8"));
    let huge = std::fs::File::create(dir.path().join("huge.toml")).unwrap();
    huge.set_len(64 * 1024 * 1024 + 1).unwrap();
    assert!(read(&dir.path().join("huge.toml")).contains("64 MiB"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Whatever stands in the files, there is an answer and no panic.
    #[test]
    fn reading_never_panics(
        line in "(email|roles|state|expires|on\\.bi|external_login|iam_arn) = (\"\\PC{0,12}\"|\\[\"r\"\\]|\\{ [a-z_]{1,8} = 1 \\}|[0-9]{1,30}|true|2027-13-01)",
        noise in "\\PC{0,30}",
    ) {
        let _ = said(SETTINGS, &format!("{ROSTER}{line}\n"));
        let _ = said(&format!("{SETTINGS}{noise}"), &format!("{noise}\n{ROSTER}"));
    }
}

#[test]
fn a_roster_has_at_most_a_million_users() {
    let says = |users| {
        let mut problems = Problems::default();
        roster::load::size_problem(users, Path::new("people")).into_iter().for_each(|p| problems.push(p));
        problems.messages().map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(says(1), [""; 0]);
    assert_eq!(says(1_000_000), [""; 0]);
    assert_eq!(says(1_000_001), ["people lists 1000001 users, more than the limit of 1000000"]);
    assert_eq!(says(0), ["people lists no user"]);
}
