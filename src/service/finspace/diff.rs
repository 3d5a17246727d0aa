//! What differs in an environment. Pure.
//!
//! Permission groups the roster defines come first, then users, then memberships. UpdateUser says only
//! what changes; the status has calls of its own.

use std::collections::HashSet;

use super::{Action, Desired, DesiredUser, Observed, Status, User, UserType};
use crate::plan::{Change, Kind, Removal, Subject};
use crate::service::former::{self, Formers};
use crate::service::{Action as AnyAction, Diff, Known, Ref, State};

/// See [`crate::service::diff`].
pub fn diff(target: &str, desired: &Desired, observed: &Observed, known: &Known) -> Diff {
    let mut out = Diff { listed: desired.users.len(), population: observed.users.len(), ..Diff::default() };
    for (group, definition) in desired.groups.iter().filter(|(g, _)| !observed.groups.contains_key(*g)) {
        if let Some(definition) = definition {
            let permissions: Vec<&str> =
                definition.application_permissions.iter().map(|p| crate::word::Word::word(*p)).collect();
            let subject = Subject::Group { name: group.clone() };
            let action = Action::CreateGroup { group: group.clone(), definition: definition.clone() };
            let change = Change::new(target, Kind::CreateGroup, subject, AnyAction::FinSpace(action));
            out.changes.push(change.field("application_permissions", None, Some(permissions.join(" "))));
        }
    }
    let formers = Formers::new(known, desired.users.iter().map(|u| (&*u.user, u.key(), u.state)));
    let mut claimed: HashSet<&str> = HashSet::new();
    for user in &desired.users {
        let before = out.changes.len();
        out.wanted += usize::from(user.state == State::Active);
        let found = observed.user(&user.email);
        let old = renamed_from(user, observed, &formers, found.is_none());
        claimed.extend(found.into_iter().chain(old).map(|u| &*u.id));
        let holder = formers.holder(&user.user, &user.key());
        match (user.state, old, found) {
            // The old user is the same person: to lose access means it too.
            (State::Absent | State::Suspended, old, found) => {
                for have in old.into_iter().chain(found.filter(|_| holder.is_none())) {
                    existing(target, desired, observed, user, have, &mut out);
                }
            }
            (State::Active, Some(old), _) => out.changes.push(renamed(target, user, old)),
            (State::Active, None, Some(have)) => match holder {
                Some(holder) => out.changes.push(taken(target, user, have, holder)),
                None => existing(target, desired, observed, user, have, &mut out),
            },
            (State::Active, None, None) => create(target, desired, observed, user, &mut out),
        }
        out.in_step += usize::from(out.changes.len() == before);
    }
    let unlisted =
        observed.users.iter().filter(|u| !claimed.contains(&*u.id) && u.status != Status::Disabled);
    out.changes.extend(unlisted.map(|u| disable(target, u, Removal::Unlisted)));
    out
}

fn create(target: &str, desired: &Desired, observed: &Observed, user: &DesiredUser, out: &mut Diff) {
    let grant = &user.grant;
    let user_type = grant.user_type.as_ref().map(|t| t.value);
    let api_access = grant.api_access.as_ref().map(|a| a.value);
    let arn = grant.api_access_principal_arn.as_ref().map(|a| a.value.clone());
    let action = Action::CreateUser {
        email: user.email.clone(),
        user_type: user_type.unwrap_or(UserType::AppUser),
        first_name: user.first_name.clone(),
        last_name: user.last_name.clone(),
        api_access,
        api_access_principal_arn: arn.clone(),
    };
    let mut change =
        Change::new(target, Kind::CreateUser, Subject::user(user.key()), AnyAction::FinSpace(action))
            .caused_by(&user.user, &grant.roles)
            .field("type", None, user_type.map(|t| t.to_string()));
    for (name, value) in [
        ("first_name", user.first_name.clone()),
        ("last_name", user.last_name.clone()),
        ("api_access", api_access.map(|a| a.to_string())),
        ("api_access_principal_arn", arn),
    ] {
        if value.is_some() {
            change = change.field(name, None, value);
        }
    }
    if user_type.is_none() {
        out.changes.push(change.blocked(
            "no role of this user says which FinSpace type to create",
            &["add `finspace = { type = \"APP_USER\" }` to one of the user's roles"],
        ));
        return;
    }
    let id = change.id.clone();
    out.changes.push(change);
    for (group, roles) in grant.permission_groups.iter().flatten() {
        let change = add_member(target, desired, observed, user, group, Ref::CreatedBy(id.clone()));
        out.changes.push(change.caused_by(&user.user, roles).after([id.clone()]));
    }
}

fn existing(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    have: &User,
    out: &mut Diff,
) {
    let is_active = user.state == State::Active;
    if is_active {
        update(target, user, have, out);
    }
    match (is_active, have.status) {
        (true, Status::Disabled) => {
            let action = Action::Enable { user_id: have.id.clone() };
            let change = status(target, have, Kind::EnableUser, action, Status::Enabled);
            out.changes.push(change.caused_by(&user.user, &user.grant.roles));
        }
        (false, Status::Enabled | Status::Creating) => {
            let change = disable(target, have, Removal::Explicit).named(&user.email);
            out.changes.push(change.caused_by(&user.user, &[]));
        }
        _ => {}
    }
    let declared = match user.state {
        State::Active => user.grant.permission_groups.as_ref(),
        // Suspended keeps its memberships for the day it comes back.
        State::Suspended => return,
        State::Absent => None,
    };
    if declared.is_none() && is_active {
        return;
    }
    for name in desired.groups.keys() {
        let group = observed.groups.get(name);
        let is_in = group.is_some_and(|g| g.members.contains(&have.id));
        match (is_in, declared.and_then(|d| d.get(name))) {
            (false, Some(roles)) => {
                let member = Ref::Known(have.id.clone());
                let change = add_member(target, desired, observed, user, name, member);
                out.changes.push(change.caused_by(&user.user, roles));
            }
            (true, None) => {
                let subject = Subject::Member { container: name.clone(), key: have.email.to_lowercase() };
                let group_id = group.map(|g| g.id.clone()).unwrap_or_default();
                let action = Action::RemoveMember { group_id, user_id: have.id.clone() };
                let removal = if is_active { Removal::Unlisted } else { Removal::Explicit };
                let change = Change::new(target, Kind::RemoveMember, subject, AnyAction::FinSpace(action))
                    .field("member", Some(name.clone()), None)
                    .removing(removal);
                out.changes.push(change.caused_by(&user.user, &[]));
            }
            _ => {}
        }
    }
}

fn update(target: &str, user: &DesiredUser, have: &User, out: &mut Diff) {
    let grant = &user.grant;
    let user_type = grant.user_type.as_ref().filter(|t| t.value != have.user_type);
    let api_access = grant.api_access.as_ref().filter(|a| Some(a.value) != have.api_access);
    let arn = grant.api_access_principal_arn.as_ref();
    let arn = arn.filter(|a| Some(&a.value) != have.api_access_principal_arn.as_ref());
    let first_name = user.first_name.clone().filter(|n| Some(n) != have.first_name.as_ref());
    let last_name = user.last_name.clone().filter(|n| Some(n) != have.last_name.as_ref());
    let fields = [
        ("type", Some(have.user_type.to_string()), user_type.map(|t| t.value.to_string())),
        ("first_name", have.first_name.clone(), first_name.clone()),
        ("last_name", have.last_name.clone(), last_name.clone()),
        ("api_access", have.api_access.map(|a| a.to_string()), api_access.map(|a| a.value.to_string())),
        ("api_access_principal_arn", have.api_access_principal_arn.clone(), arn.map(|a| a.value.clone())),
    ];
    let action = Action::UpdateUser {
        user_id: have.id.clone(),
        user_type: user_type.map(|t| t.value),
        first_name,
        last_name,
        api_access: api_access.map(|a| a.value),
        api_access_principal_arn: arn.map(|a| a.value.clone()),
    };
    let mut change =
        Change::new(target, Kind::UpdateUser, Subject::user(user.key()), AnyAction::FinSpace(action));
    for (name, old, new) in fields {
        if new.is_some() {
            change = change.field(name, old, new);
        }
    }
    let causes = [user_type.map(|t| &t.roles), api_access.map(|a| &a.roles), arn.map(|a| &a.roles)];
    let mut roles: Vec<String> = causes.into_iter().flatten().flatten().cloned().collect();
    roles.sort();
    roles.dedup();
    if !change.fields.is_empty() {
        out.changes.push(change.caused_by(&user.user, &roles));
    }
}

fn add_member(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    name: &str,
    member: Ref,
) -> Change {
    let group_subject = Subject::Group { name: name.into() };
    let creation = Change::id_of(target, &group_subject, Kind::CreateGroup);
    let found = observed.groups.get(name);
    let group = found.map_or_else(|| Ref::CreatedBy(creation.clone()), |g| Ref::Known(g.id.clone()));
    let subject = Subject::Member { container: name.into(), key: user.key() };
    let action = Action::AddMember { group, user: member };
    let change = Change::new(target, Kind::AddMember, subject, AnyAction::FinSpace(action))
        .field("member", None, Some(name.into()))
        .after(found.is_none().then_some(creation));
    if found.is_some() || matches!(desired.groups.get(name), Some(Some(_))) {
        return change;
    }
    let near = crate::input::nearest(name, observed.groups.keys().map(String::as_str));
    let way = near.map_or_else(
        || format!("define it in the roster: [groups.\"{name}\"] finspace = {{ application_permissions = [\"AccessNotebooks\"] }}"),
        |near| format!("did you mean `{near}`?"),
    );
    change.blocked(format!("the environment has no permission group `{name}`"), &[&way])
}

fn status(target: &str, have: &User, kind: Kind, action: Action, new: Status) -> Change {
    let subject = Subject::user(have.email.to_lowercase());
    Change::new(target, kind, subject, AnyAction::FinSpace(action)).field(
        "status",
        Some(have.status.to_string()),
        Some(new.to_string()),
    )
}

fn disable(target: &str, have: &User, removal: Removal) -> Change {
    let action = Action::Disable { user_id: have.id.clone() };
    status(target, have, Kind::DisableUser, action, Status::Disabled).removing(removal)
}

/// The old user of somebody whose address changed in the roster: still that person, whatever else has the
/// new address by now (never disable + create). A disabled one is nobody's loss once there is another.
fn renamed_from<'o>(
    user: &DesiredUser,
    observed: &'o Observed,
    formers: &Formers<'_>,
    is_only: bool,
) -> Option<&'o User> {
    let old = observed.user(formers.of(&user.user, &user.key())?);
    old.filter(|u| is_only || user.state == State::Absent || u.status != Status::Disabled)
}

/// The address is another user's as far as anybody knows: nobody is given somebody else's account.
fn taken(target: &str, user: &DesiredUser, have: &User, holder: &str) -> Change {
    let action = Action::Disable { user_id: have.id.clone() };
    let change =
        Change::new(target, Kind::UpdateUser, Subject::user(user.key()), AnyAction::FinSpace(action))
            .caused_by(&user.user, &user.grant.roles);
    former::taken(change, &user.user, holder)
}

fn renamed(target: &str, user: &DesiredUser, old: &User) -> Change {
    let action = Action::Disable { user_id: old.id.clone() };
    Change::new(target, Kind::UpdateUser, Subject::user(user.key()), AnyAction::FinSpace(action))
        .named(&old.email)
        .field("email", Some(old.email.clone()), Some(user.email.clone()))
        .caused_by(&user.user, &user.grant.roles)
        .blocked(
            "the address of a FinSpace user cannot change",
            &[
                &format!(
                    "keep the user under the old address: users.{}.on.{target} = {{ email = \"{}\" }}",
                    user.user, old.email
                ),
                "take the old one away first: list it under an id of its own with state = \"absent\"",
                "it is another person: give that person an id of their own in the roster",
            ],
        )
}
