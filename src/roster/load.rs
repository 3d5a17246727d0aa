//! Reading roster files: one file, or a folder of `*.toml` merged. A user, role or group defined twice is
//! an error that shows both places; a roster with nobody left in it is an error, not a wish.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::schema::{Access, Group, Person, Role, Roster, USERS_MAX, User};
use crate::config::{Settings, Target, word};
use crate::input::pieces::pieces;
use crate::input::{Located, Problem, Problems, Sources, Table, rules, table};
use crate::service::quicksight::ExternalLogin;
use crate::service::{ServiceKind, State, Word, finspace};

/// Reads the roster the settings name, as far as it can be read: what is wrong goes to `problems`.
pub fn load(settings: &Settings, sources: &mut Sources, problems: &mut Problems) -> Roster {
    let before = problems.counts().0;
    let path = &settings.daemon.roster;
    let mut files = Vec::new();
    match roster_files(path) {
        Ok(paths) => {
            for path in paths {
                match sources.read(&path) {
                    Ok(file) => files.push(file),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Err(problem) => problems.push(problem),
    }
    let mut roster = Roster::default();
    let mut is_toml = true;
    for file in files {
        for piece in pieces(sources.text(file)) {
            match table::parse_piece(sources, file, piece, problems) {
                Some(root) => read_root(&mut roster, settings, root, problems),
                None => is_toml = false,
            }
        }
    }
    let complete = problems.counts().0 == before;
    // What is not TOML may be what defines the roles.
    if is_toml {
        check_names(&roster, problems);
    }
    if complete {
        size_problem(roster.users.len(), path).into_iter().for_each(|problem| problems.push(problem));
    }
    roster
}

fn roster_files(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let unreadable = |e: std::io::Error| Problem::anywhere(format!("cannot read {}: {e}", path.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let hidden = file.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if !hidden && file.extension().is_some_and(|e| e == "toml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Problem::anywhere(format!("no *.toml in {}", path.display()))
            .help("an empty roster is never taken for a wish to remove everybody"));
    }
    Ok(files)
}

fn read_root(roster: &mut Roster, settings: &Settings, mut root: Table<'_>, problems: &mut Problems) {
    let roles = root.table("roles", problems);
    let groups = root.table("groups", problems);
    let users = root.table("users", problems);
    root.finish(problems);
    for (name, t) in named(roles, problems) {
        let name = rules::NAME.check(name, problems);
        let role = read_role(settings, &name, t, problems);
        twice(roster.roles.get(&name.value).map(|r| r.place), "role", &name, problems);
        roster.roles.insert(name.value, role);
    }
    for (name, t) in named(groups, problems) {
        let group = read_group(&name, t, problems);
        twice(roster.groups.get(&name.value).map(|g| g.place), "group", &name, problems);
        roster.groups.insert(name.value, group);
    }
    for (name, t) in named(users, problems) {
        let name = rules::NAME.check(name, problems);
        let user = read_user(settings, &name, t, problems);
        twice(roster.users.get(&name.value).map(|u| u.place), "user", &name, problems);
        roster.users.insert(name.value, Box::new(user));
    }
}

fn named<'i>(tables: Option<Table<'i>>, problems: &mut Problems) -> Vec<(Located<String>, Table<'i>)> {
    let mut read = Vec::new();
    if let Some(tables) = tables {
        let prefix = tables.name.clone();
        for (name, value) in tables.into_named() {
            if let Some(table) = value.into_table(format!("{prefix}.{}", name.value), problems) {
                read.push((name, table));
            }
        }
    }
    read
}

fn twice(first: Option<crate::input::Place>, what: &str, name: &Located<String>, problems: &mut Problems) {
    if let Some(first) = first {
        problems.push(
            Problem::at(name.place, format!("{what} `{}` is defined twice", name.value))
                .label("again here")
                .also(first, "first here"),
        );
    }
}

fn read_role(settings: &Settings, name: &Located<String>, mut t: Table<'_>, problems: &mut Problems) -> Role {
    let description = t.string("description", problems).map(|d| d.value);
    let mut services = BTreeMap::new();
    for (key, service) in [
        ("datazone", ServiceKind::DataZone),
        ("quicksight", ServiceKind::QuickSight),
        ("finspace", ServiceKind::FinSpace),
    ] {
        if let Some(block) = t.table(key, problems) {
            services.insert(service, Access::read(service, block, problems));
        }
    }
    let mut targets = BTreeMap::new();
    for (target, block) in named(t.table("targets", problems), problems) {
        match settings.targets.get(&target.value) {
            Some(known) => {
                targets.insert(target.value, Access::read(known.kind(), block, problems));
            }
            None => unknown_target(settings, &target, problems),
        }
    }
    t.finish(problems);
    Role { place: name.place, description, services, targets }
}

fn unknown_target(settings: &Settings, target: &Located<String>, problems: &mut Problems) {
    if settings.broken.contains(&target.value) {
        return;
    }
    let names = settings.targets.keys().map(String::as_str);
    let known: Vec<&str> = names.clone().collect();
    let problem = Problem::at(target.place, format!("unknown target `{}`", target.value));
    let problem = problem.help(format!("the settings have: {}", known.join(", ")));
    problems.push(problem.suggest(&target.value, names));
}

fn read_group(name: &Located<String>, mut t: Table<'_>, problems: &mut Problems) -> Group {
    let quicksight = t.table("quicksight", problems).map(|mut t| {
        let description = t.string("description", problems);
        t.finish(problems);
        let checked = Located { value: name.value.clone(), place: name.place };
        rules::QUICKSIGHT_GROUP.check(checked, problems);
        description.map(|d| rules::QUICKSIGHT_DESCRIPTION.check(d, problems).value)
    });
    let finspace = t.table("finspace", problems).map(|mut t| {
        let description = t.string("description", problems);
        let description = description.map(|d| rules::FINSPACE_DESCRIPTION.check(d, problems).value);
        let path = t.path("application_permissions");
        let permissions = t.take("application_permissions").and_then(|v| v.into_strings(&path, problems));
        t.finish(problems);
        rules::FINSPACE_GROUP.check(name.clone(), problems);
        let Some(permissions) = permissions else {
            if description.is_some() {
                let message =
                    format!("`application_permissions` is missing in groups.{}.finspace", name.value);
                let help = "list them to have the group created, or leave both out for a group that is there";
                problems.push(Problem::at(name.place, message).help(help));
            }
            return None;
        };
        let application_permissions =
            permissions.iter().filter_map(|p| word(p, "application permission", problems)).collect();
        Some(finspace::GroupDefinition { description, application_permissions })
    });
    if quicksight.is_none() && finspace.is_none() {
        let problem = Problem::at(name.place, format!("group `{}` is for no service", name.value));
        problems
            .push(problem.help("add `quicksight = {}` or `finspace = { application_permissions = [ … ] }`"));
    }
    t.finish(problems);
    Group { place: name.place, quicksight, finspace }
}

fn read_user(settings: &Settings, name: &Located<String>, mut t: Table<'_>, problems: &mut Problems) -> User {
    let before = problems.counts().0;
    let person = read_person(&mut t, problems);
    let path = t.path("roles");
    let roles = t.take("roles").and_then(|v| v.into_strings(&path, problems)).unwrap_or_default();
    let state = t.string("state", problems).and_then(|s| word::<State>(&s, "state", problems));
    let path = t.path("expires");
    let expires = t.take("expires").and_then(|v| v.into_date(&path, problems)).map(|d| d.value);
    let mut on = BTreeMap::new();
    for (target, mut t) in named(t.table("on", problems), problems) {
        let mut person = read_person(&mut t, problems);
        let kind = settings.targets.get(&target.value).map(Target::kind);
        if kind.is_none_or(|k| k == ServiceKind::QuickSight) {
            let user_name = t.string("user_name", problems);
            person.user_name = user_name.map(|n| rules::QUICKSIGHT_USER_NAME.check(n, problems).value);
            let identity_type = t.string("identity_type", problems);
            person.identity_type = identity_type.and_then(|s| word(&s, "identity_type", problems));
        }
        t.finish(problems);
        match kind {
            Some(_) => _ = on.insert(target.value, person),
            None => unknown_target(settings, &target, problems),
        }
    }
    t.finish(problems);
    let is_broken = problems.counts().0 > before;
    User { place: name.place, person, roles, state: state.unwrap_or(State::Active), expires, on, is_broken }
}

fn read_person(t: &mut Table<'_>, problems: &mut Problems) -> Person {
    let mut text = |key: &'static str, rule: &rules::Rule| {
        t.string(key, problems).map(|text| rule.check(text, problems).value)
    };
    let email = text("email", &rules::EMAIL);
    let first_name = text("first_name", &rules::PERSON_NAME);
    let last_name = text("last_name", &rules::PERSON_NAME);
    let sso_user = text("sso_user", &rules::SSO_USER);
    let iam_arn = text("iam_arn", &rules::IAM_ARN);
    let session_name = text("session_name", &rules::SESSION_NAME);
    let iam_principal_id = text("iam_principal_id", &rules::IAM_PRINCIPAL_ID);
    let external_login = t.table("external_login", problems).and_then(|t| read_login(t, problems));
    Person {
        email,
        first_name,
        last_name,
        sso_user,
        iam_arn,
        session_name,
        iam_principal_id,
        external_login,
        user_name: None,
        identity_type: None,
    }
}

fn read_login(mut t: Table<'_>, problems: &mut Problems) -> Option<ExternalLogin> {
    const TYPES: [&str; 3] = ["COGNITO", "CUSTOM_OIDC", "NONE"];
    let place = t.place;
    let kind = t.required("type", problems);
    let url = t.string("url", problems).map(|u| rules::URL.check(u, problems).value);
    let id = t.string("id", problems).map(|i| rules::LOGIN_ID.check(i, problems).value);
    t.finish(problems);
    let kind = kind?;
    let mut wrong = |message: &str| {
        problems.push(Problem::at(place, message));
        None
    };
    match (kind.value.as_str(), url, id) {
        ("COGNITO", None, Some(id)) => Some(ExternalLogin::Cognito { id }),
        ("COGNITO", Some(_), _) => wrong("`url` goes with CUSTOM_OIDC only; COGNITO has its own"),
        ("COGNITO", None, None) => wrong("COGNITO needs `id`, the user's id at the provider"),
        ("CUSTOM_OIDC", Some(url), Some(id)) => Some(ExternalLogin::CustomOidc { url, id }),
        ("CUSTOM_OIDC", ..) => wrong("CUSTOM_OIDC needs both `url` and `id`"),
        ("NONE", None, None) => Some(ExternalLogin::None),
        ("NONE", ..) => wrong("NONE clears the login and takes neither `url` nor `id`"),
        _ => {
            let problem =
                Problem::at(kind.place, format!("`{}` is no valid type of external login", kind.value))
                    .private(&kind.value);
            problems
                .push(problem.help(format!("use one of: {}", TYPES.join(", "))).suggest(&kind.value, TYPES));
            None
        }
    }
}

/// Roles and groups that are named and not defined.
fn check_names(roster: &Roster, problems: &mut Problems) {
    for user in roster.users.values() {
        for role in user.roles.iter().filter(|r| !roster.roles.contains_key(&r.value)) {
            let problem = Problem::at(role.place, format!("unknown role `{}`", role.value))
                .help("define it: [roles.NAME] in any roster file");
            problems.push(problem.suggest(&role.value, roster.roles.keys().map(String::as_str)));
        }
    }
    let defined = |service: ServiceKind| -> BTreeSet<&str> {
        let is_for = |g: &&Group| match service {
            ServiceKind::QuickSight => g.quicksight.is_some(),
            ServiceKind::FinSpace => g.finspace.is_some(),
            ServiceKind::DataZone => false,
        };
        roster.groups.iter().filter(|(_, g)| is_for(g)).map(|(name, _)| name.as_str()).collect()
    };
    for role in roster.roles.values() {
        for access in role.services.values().chain(role.targets.values()) {
            let (service, groups) = match access {
                Access::QuickSight(a) => (ServiceKind::QuickSight, a.groups.as_ref()),
                Access::FinSpace(a) => (ServiceKind::FinSpace, a.permission_groups.as_ref()),
                Access::DataZone(_) => continue,
            };
            let defined = defined(service);
            if defined.is_empty() {
                continue;
            }
            for group in groups.into_iter().flatten().filter(|g| !defined.contains(g.as_str())) {
                let word = service.word();
                let problem = Problem::at(role.place, format!("unknown {} group `{group}`", service.title()))
                    .label("named by this role")
                    .help(format!(
                        "the roster defines groups, so this one too: [groups.\"{group}\"] {word} = {{ … }}"
                    ));
                problems.push(problem.suggest(group, defined.iter().copied()));
            }
        }
    }
}

/// What stands against a roster of so many users.
pub fn size_problem(users: usize, path: &Path) -> Option<Problem> {
    if users > USERS_MAX {
        let message = format!("{} lists {users} users, more than the limit of {USERS_MAX}", path.display());
        return Some(Problem::anywhere(message).help("split the roster over several rosterd"));
    }
    (users == 0).then(|| {
        Problem::anywhere(format!("{} lists no user", path.display()))
            .help("an empty roster is never taken for a wish to remove everybody; to stop managing a target, take it out of the settings")
    })
}
