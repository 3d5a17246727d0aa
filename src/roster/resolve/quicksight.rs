//! Who a user is in a QuickSight namespace, and what the roles give there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::fold::{Fold, add_groups, equal};
use super::{Listed, Unique, View};
use crate::input::{Problems, rules};
use crate::roster::schema::Access;
use crate::service::quicksight::{self, Desired, DesiredUser, Grant, Identity, IdentityType, UserNameFrom};

pub fn resolve(
    view: View<'_>,
    identity_type: IdentityType,
    user_name_from: UserNameFrom,
    problems: &mut Problems,
) -> Desired {
    let identity_center = identity_type == IdentityType::IdentityCenter;
    let mut desired = Desired { identity_center, ..Desired::default() };
    for access in view.accesses() {
        if let Access::QuickSight(a) = access {
            let description =
                |g: &String| view.roster.groups.get(g).and_then(|g| g.quicksight.clone().flatten());
            desired.groups.extend(a.groups.into_iter().flatten().map(|g| (g.clone(), description(&g))));
        }
    }
    let mut seen = Unique::default();
    for listed in view.listed(problems, fold) {
        view.check_arn(&listed, problems);
        let Some(email) = listed.person.email.clone() else {
            view.object(&listed, "there is no `email`", problems);
            continue;
        };
        let identity = match identity(&listed, &email, identity_type, user_name_from) {
            Ok(identity) => identity,
            Err(why) => {
                view.object(&listed, why, problems);
                continue;
            }
        };
        if let Some(objection) = rules::QUICKSIGHT_USER_NAME.objection(&identity.user_name()) {
            view.object(&listed, &objection, problems);
        }
        // Names are compared without regard to case, as the service's own pages do.
        if seen.is_new(view, identity.user_name().to_lowercase(), &listed, problems) {
            let Listed { id, person, state, grant, .. } = listed;
            let external_login = person.external_login.clone();
            desired.users.push(DesiredUser {
                user: id.into(),
                identity,
                email,
                external_login,
                state,
                grant,
            });
        }
    }
    desired.users.sort_by(|a, b| a.user.cmp(&b.user));
    desired
}

/// The ARN, or else a name; a name or another type given for this target alone wins over an ARN of the user.
fn identity(
    listed: &Listed<'_, Grant>,
    email: &str,
    identity_type: IdentityType,
    user_name_from: UserNameFrom,
) -> Result<Identity, &'static str> {
    let person = &*listed.person;
    let named = listed.over.is_some_and(|over| over.user_name.is_some() && over.iam_arn.is_none());
    let other_type = person.identity_type.is_some_and(|t| t != IdentityType::Iam);
    let arn = person.iam_arn.clone().filter(|_| !named && !other_type);
    match (arn, person.identity_type.unwrap_or(identity_type)) {
        (Some(arn), _) if arn.contains(":role/") && person.session_name.is_none() => {
            Err("the ARN of a role needs a `session_name` beside it")
        }
        (Some(arn), _) => Ok(Identity::Iam { arn, session: person.session_name.clone() }),
        (None, IdentityType::Iam) => Err("there is no `iam_arn`"),
        (None, identity_type) => {
            let made = match user_name_from {
                UserNameFrom::Email => Some(email.to_string()),
                UserNameFrom::SsoUser => person.sso_user.clone(),
                UserNameFrom::Id => Some(listed.id.to_string()),
            };
            let user_name = person
                .user_name
                .clone()
                .or(made)
                .ok_or("there is no `sso_user` to make the user name from")?;
            Ok(Identity::Named { identity_type, user_name })
        }
    }
}

/// Custom permissions in a message.
#[derive(Clone, PartialEq)]
struct Custom(Option<String>);

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("false (none)"))
    }
}

fn fold(granted: &[(&str, Access)], fold: &mut Fold<'_>) -> Grant {
    let mut grant = Grant::default();
    let mut parts: Vec<(&str, &quicksight::Access)> = Vec::new();
    for (role, access) in granted {
        if let Access::QuickSight(access) = access {
            parts.push((role, access));
            grant.roles.push((*role).into());
            add_groups(&mut grant.groups, access.groups.as_ref(), role);
        }
    }
    let roles = parts.iter().filter_map(|(role, a)| Some((*role, a.role?)));
    // Declared from the most powerful down.
    grant.role = fold.pick("role", roles, |r| u8::MAX - *r as u8);
    let custom = parts.iter().filter_map(|(role, a)| Some((*role, Custom(a.custom_permissions.clone()?))));
    let custom = fold.pick("custom_permissions", custom, equal);
    grant.custom_permissions = custom.map(|c| crate::service::Caused { value: c.value.0, roles: c.roles });
    let keys: BTreeSet<&String> = parts.iter().flat_map(|(_, a)| a.tags.keys()).collect();
    let mut tags = BTreeMap::new();
    for key in keys {
        let values = parts.iter().filter_map(|(role, a)| Some((*role, a.tags.get(key)?.clone())));
        tags.extend(fold.pick(&format!("tag {key}"), values, equal).map(|t| (key.clone(), t.value)));
    }
    grant.tags = tags;
    grant
}
