//! What differs in a domain. Pure.
//!
//! For each roster user: no profile -> create; one -> status and memberships; several (a re-created IAM
//! role) -> the only enabled one, or blocked, because nobody can tell which is meant. Profiles that no
//! user claims are removals for the guard to judge.

use std::collections::HashSet;

use super::{AccessWish, Action, Desired, DesiredUser, Identity, Observed, Profile, Status};
use crate::plan::{Change, Kind, Removal, Subject};
use crate::service::former::{self, Formers};
use crate::service::{Action as AnyAction, Diff, Known, Ref, State};

/// See [`crate::service::diff`].
pub fn diff(target: &str, desired: &Desired, observed: &Observed, known: &Known) -> Diff {
    let mut out = Diff { listed: desired.users.len(), population: observed.population(), ..Diff::default() };
    let listed = desired.users.iter().map(|u| (&*u.user, u.identity.key(), u.state));
    let formers = Formers::new(known, listed);
    let mut claimed: HashSet<&str> = HashSet::new();
    for user in &desired.users {
        let before = out.changes.len();
        let mut profiles = observed.matching(&user.identity);
        out.wanted += usize::from(user.state == State::Active);
        let old = renamed_from(user, observed, &formers, profiles.is_empty());
        claimed.extend(profiles.iter().chain(&old).map(|p| &*p.id));
        let holder = formers.holder(&user.user, &user.identity.key());
        match (user.state, old.first(), profiles.as_slice()) {
            // The old profile is the user's: to lose access means it too.
            (State::Absent | State::Suspended, ..) => {
                profiles.retain(|_| holder.is_none());
                profiles.extend(&old);
                for profile in profiles {
                    existing(target, desired, observed, user, profile, &mut out);
                }
            }
            (State::Active, Some(old), _) => out.changes.push(renamed(target, user, old)),
            (State::Active, None, []) => create(target, desired, observed, user, &mut out),
            (State::Active, None, several) => match (holder, the_one(several)) {
                (Some(holder), _) => out.changes.push(taken(target, user, several[0], holder)),
                (None, Some(profile)) => existing(target, desired, observed, user, profile, &mut out),
                (None, None) => out.changes.push(ambiguous(target, user, several)),
            },
        }
        out.in_step += usize::from(out.changes.len() == before);
    }
    if desired.all_profiles {
        let unlisted =
            observed.profiles.iter().filter(|p| !claimed.contains(&*p.id) && p.status.is_enabled());
        out.changes.extend(unlisted.map(|p| {
            let change = set_status(target, p, off(p), Kind::DisableUser);
            change.removing(Removal::Unlisted)
        }));
    }
    out
}

fn the_one<'o>(profiles: &[&'o Profile]) -> Option<&'o Profile> {
    if let [only] = profiles {
        return Some(only);
    }
    let mut enabled = profiles.iter().filter(|p| p.status.is_enabled());
    enabled.next().filter(|_| enabled.next().is_none()).copied()
}

fn ambiguous(target: &str, user: &DesiredUser, profiles: &[&Profile]) -> Change {
    let ids: Vec<&str> = profiles.iter().map(|p| &*p.id).collect();
    let (key, status) = (user.identity.key(), profiles[0].status);
    let subject = Subject::user(&key);
    let action = Action::SetStatus { profile_id: ids[0].into(), identity: user.identity.clone(), status };
    Change::new(target, Kind::UpdateUser, subject, AnyAction::DataZone(action))
        .caused_by(&user.user, &user.grant.roles)
        .blocked(
            format!(
                "{} profiles have this ARN ({}); the role was made anew at some time",
                ids.len(),
                ids.join(", ")
            ),
            &[
                "name the current one's principal id: users.ID.on.TARGET = { iam_principal_id = \"AROA…\" }",
                "deactivate the stale profiles in the domain's portal",
            ],
        )
}

/// The profiles of a user whose identity changed in the roster: still the user's, whatever else has the
/// new identity by now (never delete + create). A disabled one is nobody's loss once there is another.
fn renamed_from<'o>(
    user: &DesiredUser,
    observed: &'o Observed,
    formers: &Formers<'_>,
    is_only: bool,
) -> Vec<&'o Profile> {
    let old = formers.of(&user.user, &user.identity.key());
    let profiles = old.into_iter().flat_map(|old| observed.of_key(old));
    profiles.filter(|p| is_only || user.state == State::Absent || p.status.is_enabled()).collect()
}

/// The identity is another user's as far as anybody knows: nobody is given somebody else's profile.
fn taken(target: &str, user: &DesiredUser, have: &Profile, holder: &str) -> Change {
    let change = set_status(target, have, have.status, Kind::UpdateUser);
    former::taken(change.caused_by(&user.user, &user.grant.roles), &user.user, holder)
}

fn renamed(target: &str, user: &DesiredUser, old: &Profile) -> Change {
    let new = user.identity.key();
    let action = Action::CreateProfile { identity: user.identity.clone(), status: None };
    Change::new(target, Kind::UpdateUser, Subject::user(&new), AnyAction::DataZone(action))
        .field("identity", Some(old.identity.key()), Some(new))
        .caused_by(&user.user, &user.grant.roles)
        .blocked(
            "the identity of this user changed; a new profile would lose what the old one owns",
            &[
                &format!("keep the profile: give users.{}.on.{target} the old sso_user, or the old iam_arn and session_name", user.user),
                "take the old one away first: list it under an id of its own with state = \"absent\"",
            ],
        )
}

fn create(target: &str, desired: &Desired, observed: &Observed, user: &DesiredUser, out: &mut Diff) {
    let wish = user.grant.access.as_ref().map_or(AccessWish::Enabled, |a| a.value);
    if !wish.wants_access() {
        return;
    }
    let subject = Subject::user(user.identity.key());
    let action = Action::CreateProfile { identity: user.identity.clone(), status: wish.exact() };
    let change = Change::new(target, Kind::CreateUser, subject, AnyAction::DataZone(action))
        .caused_by(&user.user, &user.grant.roles)
        .field("status", None, Some(wish.to_string()));
    let member = Ref::CreatedBy(change.id.clone());
    let id = change.id.clone();
    out.changes.push(named(change, user));
    for (project, designation) in user.grant.projects.iter().flatten() {
        let change = add_member(target, desired, observed, user, project, &designation.value, member.clone());
        out.changes.push(change.caused_by(&user.user, &designation.roles).after([id.clone()]));
    }
}

fn existing(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    profile: &Profile,
    out: &mut Diff,
) {
    let granted = user.grant.access.as_ref();
    let wish =
        if user.state == State::Active { granted.map(|a| a.value) } else { Some(AccessWish::Disabled) };
    if let Some(wish) = wish.filter(|w| !w.is_met_by(profile.status)) {
        let new = wish.exact().unwrap_or(if wish.wants_access() { on(profile) } else { off(profile) });
        let (kind, removal) = match (profile.status.is_enabled(), new.is_enabled()) {
            (false, true) => (Kind::EnableUser, Removal::None),
            (true, false) => (Kind::DisableUser, Removal::Explicit),
            _ => (Kind::UpdateUser, Removal::None),
        };
        let roles = granted.filter(|_| user.state == State::Active).map_or(&[][..], |a| &a.roles);
        let change = set_status(target, profile, new, kind).removing(removal).caused_by(&user.user, roles);
        out.changes.push(named(change, user));
    }
    for project in &desired.projects {
        membership(target, desired, observed, user, profile, project, out);
    }
}

fn membership(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    profile: &Profile,
    project: &str,
    out: &mut Diff,
) {
    let have = observed.memberships.get(project).and_then(|m| m.get(&profile.id));
    let declared = match user.state {
        State::Active => user.grant.projects.as_ref(),
        // Suspended keeps its memberships for the day it comes back.
        State::Suspended => return,
        State::Absent => None,
    };
    if declared.is_none() && user.state == State::Active {
        return;
    }
    let want = declared.and_then(|projects| projects.get(project));
    let subject = || Subject::Member { container: project.into(), key: observed.member_key(profile) };
    let change = match (have, want) {
        (None, Some(want)) => {
            let member = Ref::Known(profile.id.clone());
            let change = add_member(target, desired, observed, user, project, &want.value, member);
            change.caused_by(&user.user, &want.roles)
        }
        (Some(have), Some(want)) if *have != want.value => {
            let action = Action::ChangeDesignation {
                project: project.into(),
                profile_id: profile.id.clone(),
                old: have.clone(),
                new: want.value.clone(),
            };
            Change::new(target, Kind::ChangeMember, subject(), AnyAction::DataZone(action))
                .field("designation", Some(have.to_string()), Some(want.value.to_string()))
                .caused_by(&user.user, &want.roles)
        }
        (Some(have), None) => {
            let action = Action::RemoveMember { project: project.into(), profile_id: profile.id.clone() };
            let removal = if user.state == State::Absent { Removal::Explicit } else { Removal::Unlisted };
            Change::new(target, Kind::RemoveMember, subject(), AnyAction::DataZone(action))
                .field("designation", Some(have.to_string()), None)
                .removing(removal)
                .caused_by(&user.user, &[])
        }
        _ => return,
    };
    out.changes.push(named(change, user));
}

fn add_member(
    target: &str,
    desired: &Desired,
    observed: &Observed,
    user: &DesiredUser,
    project: &str,
    designation: &super::Designation,
    member: Ref,
) -> Change {
    let subject = Subject::Member { container: project.into(), key: user.identity.key() };
    let action = Action::AddMember { project: project.into(), member, designation: designation.clone() };
    let change = Change::new(target, Kind::AddMember, subject, AnyAction::DataZone(action)).field(
        "designation",
        None,
        Some(designation.to_string()),
    );
    if !observed.missing_projects.contains(project) {
        return change;
    }
    let others =
        desired.projects.iter().filter(|p| !observed.missing_projects.contains(*p)).map(String::as_str);
    let near = crate::input::nearest(project, others).map(|near| format!("did you mean `{near}`?"));
    let way = near.unwrap_or_else(|| "create the project, or correct its id in the roster".into());
    change.blocked(format!("the domain has no project `{project}`, or rosterd may not see it"), &[&way])
}

fn set_status(target: &str, profile: &Profile, new: Status, kind: Kind) -> Change {
    let subject = Subject::User { key: profile.identity.key(), id: Some(profile.id.clone()) };
    let action =
        Action::SetStatus { profile_id: profile.id.clone(), identity: profile.identity.clone(), status: new };
    let change = Change::new(target, kind, subject, AnyAction::DataZone(action));
    with_names(
        change.field("status", Some(profile.status.to_string()), Some(new.to_string())),
        &profile.identity,
    )
}

/// Scope and protection may name a roster user by the address too.
fn named(change: Change, user: &DesiredUser) -> Change {
    with_names(change, &user.identity).named(user.email.as_deref().unwrap_or_default())
}

/// Scope and protection may name an IAM identity by its last part or by its session.
fn with_names(change: Change, identity: &Identity) -> Change {
    match identity {
        Identity::Sso { .. } => change,
        Identity::Iam { arn, session, .. } => change
            .named(arn.rsplit('/').next().unwrap_or_default())
            .named(session.as_deref().unwrap_or_default()),
    }
}

/// The enabled status a profile goes to: IAM profiles know no ASSIGNED of their own.
fn on(profile: &Profile) -> Status {
    match (profile.status, &profile.identity) {
        (Status::NotAssigned, Identity::Sso { .. }) => Status::Assigned,
        _ => Status::Activated,
    }
}

/// The disabled status a profile goes to: one never signed in to is unassigned, others are deactivated.
fn off(profile: &Profile) -> Status {
    match (profile.status, &profile.identity) {
        (Status::Assigned, Identity::Sso { .. }) => Status::NotAssigned,
        _ => Status::Deactivated,
    }
}
