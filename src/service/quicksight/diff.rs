//! What differs in a namespace. Pure.
//!
//! Missing groups come first, then users, then memberships. All changed fields of a user become one
//! UpdateUser; a lowered role is split off as a blocked change, so that the rest still goes on.

use std::collections::HashSet;

use super::blocked::{
    lowered, not_understood, other_identity, refused_by_identity_center, renamed, suspended, taken,
};
use super::{Action, CustomPermissions, Desired, DesiredUser, ExternalLogin, LOST_NAME, Observed, User};
use crate::plan::{Change, Kind, Removal, Subject};
use crate::service::former::Formers;
use crate::service::{Action as AnyAction, Diff, Known, Ref, State};

/// See [`crate::service::diff`].
pub fn diff(target: &str, desired: &Desired, observed: &Observed, known: &Known) -> Diff {
    let mut out = Diff { listed: desired.users.len(), population: observed.population(), ..Diff::default() };
    for (group, description) in desired.groups.iter().filter(|(g, _)| !observed.groups.contains_key(*g)) {
        out.changes.push(create_group(target, group, description.clone()));
    }
    let formers = Formers::new(known, desired.users.iter().map(|u| (&*u.user, u.key(), u.state)));
    let mut claimed: HashSet<&str> = HashSet::new();
    for user in &desired.users {
        let before = out.changes.len();
        out.wanted += usize::from(user.state == State::Active);
        let key = user.key();
        let found = observed.user(&key);
        let former = formers.of(&user.user, &key).filter(|old| observed.holds(old));
        let old = former.and_then(|old| observed.user(old));
        claimed.extend(observed.users_of(&key).chain(old).map(|u| &*u.principal_id));
        let holder = formers.holder(&user.user, &key);
        let odd =
            [Some(&*key), former].into_iter().flatten().find_map(|k| observed.odd.get(&k.to_lowercase()));
        match (user.state, former, found) {
            (_, former, found) if odd.is_some() && (found.is_none() || former.is_some()) => {
                out.changes.extend(odd.map(|why| not_understood(target, user, why)));
            }
            // The old principal is the user's: to be absent means it too.
            (State::Absent, _, found) => {
                for have in old.into_iter().chain(found.filter(|_| holder.is_none())) {
                    let change = delete(target, have, Removal::Explicit).named(&user.email);
                    out.changes.push(change.caused_by(&user.user, &[]));
                }
            }
            (_, Some(_), _) => out.changes.extend(old.map(|old| renamed(target, user, old))),
            (State::Active, None, Some(have)) => match holder {
                Some(holder) => out.changes.push(taken(target, user, have, holder)),
                None => existing(target, desired, observed, user, have, &mut out),
            },
            (State::Active, None, None) => register(target, observed, user, &mut out),
            (State::Suspended, None, Some(have)) => out.changes.push(suspended(target, user, have)),
            (State::Suspended, None, None) => {}
        }
        out.in_step += usize::from(out.changes.len() == before);
    }
    let unlisted = observed.users.iter().filter(|u| !claimed.contains(&*u.principal_id));
    out.changes.extend(unlisted.map(|u| delete(target, u, Removal::Unlisted)));
    if desired.identity_center {
        out.changes = out.changes.into_iter().map(refused_by_identity_center).collect();
    }
    out
}

fn create_group(target: &str, group: &str, description: Option<String>) -> Change {
    let subject = Subject::Group { name: group.into() };
    let action = Action::CreateGroup { group: group.into(), description: description.clone() };
    let change = Change::new(target, Kind::CreateGroup, subject, AnyAction::QuickSight(action)).field(
        "group",
        None,
        Some(group.into()),
    );
    match description {
        Some(text) => change.field("description", None, Some(text)),
        None => change,
    }
}

fn group_id(target: &str, group: &str) -> String {
    Change::id_of(target, &Subject::Group { name: group.into() }, Kind::CreateGroup)
}

fn register(target: &str, observed: &Observed, user: &DesiredUser, out: &mut Diff) {
    let grant = &user.grant;
    let subject = Subject::user(user.key());
    let custom_permissions = grant.custom_permissions.as_ref().and_then(|c| c.value.clone());
    let external_login = user.external_login.clone().filter(|l| *l != ExternalLogin::None);
    let role = grant.role.as_ref().map(|r| r.value);
    let action = Action::RegisterUser {
        identity: user.identity.clone(),
        email: user.email.clone(),
        role: role.unwrap_or(super::Role::Reader),
        custom_permissions: custom_permissions.clone(),
        external_login: external_login.clone(),
        tags: grant.tags.clone(),
    };
    let mut change = Change::new(target, Kind::CreateUser, subject, AnyAction::QuickSight(action))
        .caused_by(&user.user, &grant.roles)
        .named(&user.email)
        .field("role", None, role.map(|r| r.to_string()))
        .field("email", None, Some(user.email.clone()));
    if let Some(name) = custom_permissions {
        change = change.field("custom_permissions", None, Some(name));
    }
    if let Some(login) = external_login {
        change = change.field("external_login", None, Some(login.to_string()));
    }
    if role.is_none() {
        change = change.blocked(
            "no role of this user says which QuickSight role to register with",
            &["add `quicksight = { role = \"READER\" }` to one of the user's roles"],
        );
        out.changes.push(change);
        return;
    }
    let id = change.id.clone();
    out.changes.push(change);
    for (group, roles) in grant.groups.iter().flatten() {
        let change = add_member(target, observed, user, group, Ref::CreatedBy(id.clone()));
        out.changes.push(change.caused_by(&user.user, roles).after([id.clone()]));
    }
}

fn add_member(target: &str, observed: &Observed, user: &DesiredUser, group: &str, member: Ref) -> Change {
    let subject = Subject::Member { container: group.into(), key: user.key() };
    let action = Action::AddMember { group: group.into(), member };
    let missing = !observed.groups.contains_key(group);
    Change::new(target, Kind::AddMember, subject, AnyAction::QuickSight(action))
        .named(&user.email)
        .field("member", None, Some(group.into()))
        .after(missing.then(|| group_id(target, group)))
}

fn existing(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    have: &User,
    out: &mut Diff,
) {
    if have.identity_type != user.identity.identity_type() {
        out.changes.push(other_identity(target, user, have));
        return;
    }
    let grant = &user.grant;
    let mut update = Update::of(have);
    let mut change = Change::new(
        target,
        Kind::UpdateUser,
        subject(user, have),
        AnyAction::QuickSight(update.action(have)),
    );
    let mut roles: Vec<String> = Vec::new();
    if have.email != user.email {
        change = change.field("email", Some(have.email.clone()), Some(user.email.clone()));
        update.email.clone_from(&user.email);
    }
    if let Some(role) = grant.role.as_ref().filter(|r| r.value != have.role) {
        if have.role.refuses(role.value) {
            out.changes.push(lowered(target, user, have, role.value, &role.roles));
        } else {
            change = change.field("role", Some(have.role.to_string()), Some(role.value.to_string()));
            roles.extend(role.roles.iter().cloned());
            update.role = role.value;
        }
    }
    if let Some(wish) = grant.custom_permissions.as_ref().filter(|c| c.value != have.custom_permissions) {
        change = change.field("custom_permissions", have.custom_permissions.clone(), wish.value.clone());
        roles.extend(wish.roles.iter().cloned());
        update.custom_permissions =
            wish.value.clone().map_or(CustomPermissions::Unapply, CustomPermissions::Set);
    }
    let login = user.external_login.as_ref();
    let is_met = |wish: &ExternalLogin| match wish {
        ExternalLogin::None => have.external_login.is_none(),
        wish => have.external_login.as_ref() == Some(wish),
    };
    if let Some(wish) = login.filter(|wish| !is_met(wish)) {
        let old = have.external_login.as_ref().map(ToString::to_string);
        let new = Some(wish).filter(|w| **w != ExternalLogin::None).map(ToString::to_string);
        change = change.field("external_login", old, new);
        update.external_login = Some(wish.clone());
    }
    if !change.fields.is_empty() {
        roles.sort();
        roles.dedup();
        change.action = AnyAction::QuickSight(update.action(have));
        out.changes.push(change.named(&user.email).named(&have.email).caused_by(&user.user, &roles));
    }
    memberships(target, desired, observed, user, have, out);
}

/// What UpdateUser will say; starts as "nothing changes".
pub struct Update {
    /// `Email`.
    pub email: String,
    /// `Role`.
    pub role: super::Role,
    custom_permissions: CustomPermissions,
    external_login: Option<ExternalLogin>,
}

impl Update {
    /// Nothing changes.
    pub fn of(have: &User) -> Self {
        Update {
            email: have.email.clone(),
            role: have.role,
            custom_permissions: CustomPermissions::Keep,
            external_login: None,
        }
    }

    /// The action that says so.
    pub fn action(&self, have: &User) -> Action {
        Action::UpdateUser {
            user_name: have.name.clone(),
            email: self.email.clone(),
            role: self.role,
            custom_permissions: self.custom_permissions.clone(),
            external_login: self.external_login.clone(),
        }
    }
}

/// A user who is there.
pub fn subject(user: &DesiredUser, have: &User) -> Subject {
    Subject::User { key: user.key(), id: Some(have.principal_id.clone()) }
}

fn delete(target: &str, have: &User, removal: Removal) -> Change {
    let lost = have.name == LOST_NAME;
    let action = if lost {
        Action::DeleteByPrincipalId { principal_id: have.principal_id.clone() }
    } else {
        Action::DeleteUser { user_name: have.name.clone() }
    };
    // Users whose name is lost are several of one name, and each counts.
    let key = if lost { format!("{LOST_NAME} {}", have.principal_id) } else { have.name.clone() };
    let subject = Subject::User { key, id: Some(have.principal_id.clone()) };
    Change::new(target, Kind::DeleteUser, subject, AnyAction::QuickSight(action))
        .named(&have.email)
        .field("role", Some(have.role.to_string()), None)
        .removing(removal)
}

fn memberships(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    have: &User,
    out: &mut Diff,
) {
    let Some(wanted) = &user.grant.groups else { return };
    let name = have.name.to_lowercase();
    for group in desired.groups.keys() {
        let is_in = observed.groups.get(group).is_some_and(|members| members.contains(&name));
        match (is_in, wanted.get(group)) {
            (false, Some(roles)) => {
                let member = Ref::Known(have.name.clone());
                out.changes
                    .push(add_member(target, observed, user, group, member).caused_by(&user.user, roles));
            }
            (true, None) => {
                let subject = Subject::Member { container: group.clone(), key: user.key() };
                let action = Action::RemoveMember { group: group.clone(), user_name: have.name.clone() };
                out.changes.push(
                    Change::new(target, Kind::RemoveMember, subject, AnyAction::QuickSight(action))
                        .named(&user.email)
                        .field("member", Some(group.clone()), None)
                        .removing(Removal::Unlisted)
                        .caused_by(&user.user, &[]),
                );
            }
            _ => {}
        }
    }
}
