//! Folding roles into what each target should hold. Pure: the day is an argument.
//!
//! Most people share a handful of role combinations, so the roles of each combination are folded once per
//! target and shared. Of ordered values the most powerful wins; contradictions without an order are
//! problems that name both roles.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use super::schema::{Access, Person, Roster, User};
use crate::config::{Service, Settings, Target};
use crate::input::{Place, Problem, Problems, rules};
use crate::service::quicksight::{IdentityType, UserNameFrom};
use crate::service::{Caused, Desired, State, datazone, finspace, quicksight};

/// What every target should hold.
pub fn resolve(
    roster: &Roster,
    settings: &Settings,
    today: Date,
    problems: &mut Problems,
) -> BTreeMap<String, Desired> {
    let before = problems.counts().0;
    let mut all = BTreeMap::new();
    for target in settings.targets.values() {
        let desired = match &target.service {
            Service::DataZone { .. } => Desired::DataZone(datazone(roster, target, today, problems)),
            Service::QuickSight { identity_type, user_name_from, .. } => {
                let names = (*identity_type, *user_name_from);
                Desired::QuickSight(quicksight(roster, target, names, today, problems))
            }
            Service::FinSpace => Desired::FinSpace(finspace(roster, target, today, problems)),
        };
        all.insert(target.name.clone(), desired);
    }
    if problems.counts().0 > before { BTreeMap::new() } else { all }
}

/// The state of a user on a day.
pub fn state_on(user: &User, today: Date) -> State {
    if user.expires.is_some_and(|day| today >= day) { State::Absent } else { user.state }
}

/// What the roles of a user say of a target, each with its name.
pub fn granted<'r>(roster: &'r Roster, user: &'r User, target: &Target) -> Vec<(&'r str, Access)> {
    let mut names: Vec<&str> = user.roles.iter().map(|r| r.value.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let of_role = |name: &'r str| {
        let role = roster.roles.get(name)?;
        let access = match (role.services.get(&target.kind()), role.targets.get(&target.name)) {
            (Some(base), Some(over)) => base.with(over),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => return None,
        };
        Some((name, access))
    };
    names.into_iter().filter_map(of_role).collect()
}

/// What the loop over users yields for one of them.
struct Listed<'r, G> {
    id: &'r str,
    user: &'r User,
    person: Person,
    state: State,
    grant: Arc<G>,
}

/// The users that matter to a target, each with the grant of its combination of roles: those a role gives
/// something, and those who are to lose what they may have.
fn listed<'r, G: Default>(
    roster: &'r Roster,
    target: &Target,
    today: Date,
    problems: &mut Problems,
    fold: impl Fn(&[(&str, Access)], &mut Fold<'_>) -> G,
) -> Vec<Listed<'r, G>> {
    let mut combinations: HashMap<Vec<&str>, Option<Arc<G>>> = HashMap::new();
    let mut all = Vec::new();
    for (id, user) in &roster.users {
        let state = state_on(user, today);
        let names: Vec<&str> = user.roles.iter().map(|r| r.value.as_str()).collect();
        let grant = combinations.entry(names).or_insert_with(|| {
            let granted = granted(roster, user, target);
            let mut folding = Fold { target: &target.name, user: id, roster, problems };
            (!granted.is_empty()).then(|| Arc::new(fold(&granted, &mut folding)))
        });
        let grant = match (grant, state) {
            (Some(grant), _) => Arc::clone(grant),
            (None, State::Active) => continue,
            (None, _) => Arc::default(),
        };
        let person = user.person.with(user.on.get(&target.name));
        all.push(Listed { id, user, person, state, grant });
    }
    all
}

/// Folding the values of several roles into one, noting who contradicts whom.
struct Fold<'f> {
    target: &'f str,
    user: &'f str,
    roster: &'f Roster,
    problems: &'f mut Problems,
}

impl Fold<'_> {
    /// Adds a role's value: the higher rank wins, the same value gains a cause, another value of the
    /// same rank is a contradiction.
    fn add<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        so_far: &mut Option<Caused<T>>,
        role: &str,
        value: Option<T>,
        rank: impl Fn(&T) -> u8,
    ) {
        let Some(value) = value else { return };
        match so_far {
            Some(have) if have.value == value => have.roles.push(role.into()),
            Some(have) if rank(&have.value) > rank(&value) => {}
            Some(have) if rank(&have.value) == rank(&value) => {
                let place = |name: &str| self.roster.roles.get(name).map(|r| r.place);
                let first = have.roles.first().map_or("", String::as_str);
                let message = format!(
                    "roles `{first}` and `{role}` contradict each other on {what} of target `{}`: {:?} and {:?}",
                    self.target, have.value, value
                );
                let help = format!("user `{}` has both; take one away, or make the roles agree", self.user);
                let problem = match (place(role), place(first)) {
                    (Some(second), Some(first)) => {
                        Problem::at(second, message).label("this role").also(first, "and this one")
                    }
                    _ => Problem::anywhere(message),
                };
                self.problems.push(problem.help(help));
            }
            _ => *so_far = Some(Caused { value, roles: vec![role.into()] }),
        }
    }
}

/// Values without an order: two that differ contradict each other.
fn equal<T>(_: &T) -> u8 {
    0
}

fn datazone(roster: &Roster, target: &Target, today: Date, problems: &mut Problems) -> datazone::Desired {
    let all_profiles = target.rules.policy == crate::plan::guard::Policy::Sync;
    let mut desired = datazone::Desired { all_profiles, ..datazone::Desired::default() };
    for access in accesses(roster, target) {
        if let Access::DataZone(a) = access {
            desired.projects.extend(a.projects.into_iter().flatten().map(|(project, _)| project));
        }
    }
    let mut seen = Unique::default();
    for l in listed(roster, target, today, problems, fold_datazone) {
        let Person { iam_arn, session_name, iam_principal_id, sso_user, .. } = l.person;
        let identity = match (iam_arn, sso_user) {
            (Some(arn), _) => {
                datazone::Identity::Iam { arn, session: session_name, principal_id: iam_principal_id }
            }
            (None, Some(user_name)) => datazone::Identity::Sso { user_name },
            (None, None) => {
                missing(target, l.id, l.user.place, l.state, "`sso_user` or `iam_arn`", problems);
                continue;
            }
        };
        if seen.is_new(target, identity.key(), l.id, l.user.place, problems) {
            desired.users.push(datazone::DesiredUser {
                user: l.id.into(),
                identity,
                state: l.state,
                grant: l.grant,
            });
        }
    }
    desired
}

fn fold_datazone(granted: &[(&str, Access)], fold: &mut Fold<'_>) -> datazone::Grant {
    let mut grant = datazone::Grant::default();
    for (role, access) in granted {
        let Access::DataZone(datazone::Access { access, projects }) = access else { continue };
        grant.roles.push((*role).into());
        fold.add("access", &mut grant.access, role, *access, equal);
        if let Some(projects) = projects {
            let all = grant.projects.get_or_insert_default();
            for (project, designation) in projects {
                let mut so_far = all.remove(project);
                let what = format!("project {project}");
                fold.add(&what, &mut so_far, role, Some(designation.clone()), datazone::Designation::rank);
                all.extend(so_far.map(|d| (project.clone(), d)));
            }
        }
    }
    grant
}

fn quicksight(
    roster: &Roster,
    target: &Target,
    (identity_type, user_name_from): (IdentityType, UserNameFrom),
    today: Date,
    problems: &mut Problems,
) -> quicksight::Desired {
    let identity_center = identity_type == IdentityType::IdentityCenter;
    let mut desired = quicksight::Desired { identity_center, ..quicksight::Desired::default() };
    for access in accesses(roster, target) {
        if let Access::QuickSight(a) = access {
            let description = |g: &String| roster.groups.get(g).and_then(|g| g.quicksight.clone().flatten());
            desired.groups.extend(a.groups.into_iter().flatten().map(|g| (g.clone(), description(&g))));
        }
    }
    let mut seen = Unique::default();
    for l in listed(roster, target, today, problems, fold_quicksight) {
        let mut needs = |what: &str| missing(target, l.id, l.user.place, l.state, what, problems);
        let Some(email) = l.person.email.clone() else {
            needs("`email`");
            continue;
        };
        let by_arn = l
            .person
            .iam_arn
            .clone()
            .filter(|_| l.person.identity_type.is_none_or(|t| t == IdentityType::Iam));
        let identity = match (by_arn, l.person.identity_type.unwrap_or(identity_type)) {
            (Some(arn), _) if arn.contains(":role/") && l.person.session_name.is_none() => {
                needs("`session_name` beside the ARN of a role");
                continue;
            }
            (Some(arn), _) => quicksight::Identity::Iam { arn, session: l.person.session_name.clone() },
            (None, IdentityType::Iam) => {
                needs("`iam_arn`");
                continue;
            }
            (None, identity_type) => {
                let made = match user_name_from {
                    UserNameFrom::Email => Some(email.clone()),
                    UserNameFrom::SsoUser => l.person.sso_user.clone(),
                    UserNameFrom::Id => Some(l.id.to_string()),
                };
                let Some(user_name) = l.person.user_name.clone().or(made) else {
                    needs("`sso_user`");
                    continue;
                };
                quicksight::Identity::Named { identity_type, user_name }
            }
        };
        if let Some(objection) = rules::QUICKSIGHT_USER_NAME.objection(&identity.user_name()) {
            problems.push(Problem::at(
                l.user.place,
                format!("user `{}` on target `{}`: {objection}", l.id, target.name),
            ));
        }
        // Names are compared without regard to case, as the service's own pages do.
        if seen.is_new(target, identity.user_name().to_lowercase(), l.id, l.user.place, problems) {
            desired.users.push(quicksight::DesiredUser {
                user: l.id.into(),
                identity,
                email,
                external_login: l.person.external_login.clone(),
                state: l.state,
                grant: l.grant,
            });
        }
    }
    desired
}

fn fold_quicksight(granted: &[(&str, Access)], fold: &mut Fold<'_>) -> quicksight::Grant {
    let mut grant = quicksight::Grant::default();
    let mut tags: BTreeMap<String, Option<Caused<String>>> = BTreeMap::new();
    for (role, access) in granted {
        let Access::QuickSight(quicksight::Access { role: power, groups, custom_permissions, tags: given }) =
            access
        else {
            continue;
        };
        grant.roles.push((*role).into());
        // Declared from the most powerful down.
        fold.add("role", &mut grant.role, role, *power, |r| u8::MAX - *r as u8);
        fold.add(
            "custom_permissions",
            &mut grant.custom_permissions,
            role,
            custom_permissions.clone(),
            equal,
        );
        for (key, value) in given {
            let so_far = tags.entry(key.clone()).or_default();
            fold.add(&format!("tag {key}"), so_far, role, Some(value.clone()), equal);
        }
        if let Some(groups) = groups {
            add_groups(&mut grant.groups, groups, role);
        }
    }
    grant.tags = tags.into_iter().filter_map(|(key, value)| Some((key, value?.value))).collect();
    grant
}

fn finspace(roster: &Roster, target: &Target, today: Date, problems: &mut Problems) -> finspace::Desired {
    let mut desired = finspace::Desired::default();
    for access in accesses(roster, target) {
        if let Access::FinSpace(a) = access {
            let definition = |g: &String| roster.groups.get(g).and_then(|g| g.finspace.clone().flatten());
            desired
                .groups
                .extend(a.permission_groups.into_iter().flatten().map(|g| (g.clone(), definition(&g))));
        }
    }
    let mut seen = Unique::default();
    for l in listed(roster, target, today, problems, fold_finspace) {
        let Some(email) = l.person.email else {
            missing(target, l.id, l.user.place, l.state, "`email`", problems);
            continue;
        };
        if let Some(objection) = rules::FINSPACE_EMAIL.objection(&email) {
            let message = format!("user `{}` on target `{}`: {objection}", l.id, target.name);
            let help = format!("give it another: users.{}.on.{} = {{ email = \"…\" }}", l.id, target.name);
            problems.push(Problem::at(l.user.place, message).help(help));
        }
        if seen.is_new(target, email.to_lowercase(), l.id, l.user.place, problems) {
            desired.users.push(finspace::DesiredUser {
                user: l.id.into(),
                email,
                first_name: l.person.first_name,
                last_name: l.person.last_name,
                state: l.state,
                grant: l.grant,
            });
        }
    }
    desired
}

fn fold_finspace(granted: &[(&str, Access)], fold: &mut Fold<'_>) -> finspace::Grant {
    let mut grant = finspace::Grant::default();
    for (role, access) in granted {
        let Access::FinSpace(a) = access else { continue };
        let finspace::Access { user_type, api_access, api_access_principal_arn, permission_groups } = a;
        grant.roles.push((*role).into());
        fold.add("type", &mut grant.user_type, role, *user_type, |t| u8::MAX - *t as u8);
        fold.add("api_access", &mut grant.api_access, role, *api_access, equal);
        let arn = api_access_principal_arn.clone();
        fold.add("api_access_principal_arn", &mut grant.api_access_principal_arn, role, arn, equal);
        if let Some(groups) = permission_groups {
            add_groups(&mut grant.permission_groups, groups, role);
        }
    }
    grant
}

fn add_groups(
    all: &mut Option<BTreeMap<String, Vec<String>>>,
    groups: &std::collections::BTreeSet<String>,
    role: &str,
) {
    let all = all.get_or_insert_default();
    for group in groups {
        all.entry(group.clone()).or_default().push(role.into());
    }
}

/// What any role says of a target.
fn accesses(roster: &Roster, target: &Target) -> Vec<Access> {
    let blocks = roster.roles.values().flat_map(|role| {
        let base = role.services.get(&target.kind());
        let over = role.targets.get(&target.name);
        match (base, over) {
            (Some(base), Some(over)) => Some(base.with(over)),
            (base, over) => over.or(base).cloned(),
        }
    });
    blocks.collect()
}

/// A user without what its identity on a target is made from. One who is to be absent has nothing there.
fn missing(target: &Target, id: &str, place: Place, state: State, what: &str, problems: &mut Problems) {
    if state == State::Active {
        let service = target.kind().title();
        let message = format!("user `{id}` has a role on target `{}` ({service}) and no {what}", target.name);
        let help =
            format!("add it to the user, or for this target alone: users.{id}.on.{} = {{ … }}", target.name);
        problems.push(Problem::at(place, message).help(help));
    }
}

/// Identities seen so far on one target.
#[derive(Default)]
struct Unique {
    by_key: HashMap<String, (String, Place)>,
}

impl Unique {
    fn is_new(
        &mut self,
        target: &Target,
        key: String,
        id: &str,
        place: Place,
        problems: &mut Problems,
    ) -> bool {
        if let Some((other, first)) = self.by_key.get(&key) {
            problems.push(
                Problem::at(
                    place,
                    format!(
                        "users `{other}` and `{id}` are the same principal `{key}` on target `{}`",
                        target.name
                    ),
                )
                .label("this user")
                .also(*first, "and this one")
                .help("merge the two, or give one another identity with `on`"),
            );
            return false;
        }
        self.by_key.insert(key, (id.to_string(), place));
        true
    }
}
