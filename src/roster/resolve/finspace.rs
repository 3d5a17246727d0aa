//! Who a user is in a FinSpace environment, and what the roles give there.

use super::fold::{Fold, add_groups, equal};
use super::{Listed, Unique, View};
use crate::input::{Problems, rules};
use crate::roster::schema::Access;
use crate::service::finspace::{self, Desired, DesiredUser, Grant};

pub fn resolve(view: View<'_>, problems: &mut Problems) -> Desired {
    let mut desired = Desired::default();
    for access in view.accesses() {
        if let Access::FinSpace(a) = access {
            let definition =
                |g: &String| view.roster.groups.get(g).and_then(|g| g.finspace.clone().flatten());
            let groups = a.permission_groups.into_iter().flatten();
            desired.groups.extend(groups.map(|g| (g.clone(), definition(&g))));
        }
    }
    let mut seen = Unique::default();
    for listed in view.listed(problems, fold) {
        let Some(email) = listed.person.email.clone() else {
            view.object(&listed, "there is no `email`", problems);
            continue;
        };
        if let Some(objection) = rules::FINSPACE_EMAIL.objection(&email) {
            view.object(&listed, &objection, problems);
            continue;
        }
        if seen.is_new(view, email.to_lowercase(), &listed, problems) {
            let Listed { id, person, state, grant, .. } = listed;
            let (first_name, last_name) = (person.first_name.clone(), person.last_name.clone());
            desired.users.push(DesiredUser { user: id.into(), email, first_name, last_name, state, grant });
        }
    }
    desired.users.sort_by(|a, b| a.user.cmp(&b.user));
    desired
}

fn fold(granted: &[(&str, Access)], fold: &mut Fold<'_>) -> Grant {
    let mut grant = Grant::default();
    let mut parts: Vec<(&str, &finspace::Access)> = Vec::new();
    for (role, access) in granted {
        if let Access::FinSpace(access) = access {
            parts.push((role, access));
            grant.roles.push((*role).into());
            add_groups(&mut grant.permission_groups, access.permission_groups.as_ref(), role);
        }
    }
    let types = parts.iter().filter_map(|(role, a)| Some((*role, a.user_type?)));
    // Declared from the most powerful down.
    grant.user_type = fold.pick("type", types, |t| u8::MAX - *t as u8);
    let api_access = parts.iter().filter_map(|(role, a)| Some((*role, a.api_access?)));
    grant.api_access = fold.pick("api_access", api_access, equal);
    let arns = parts.iter().filter_map(|(role, a)| Some((*role, a.api_access_principal_arn.clone()?)));
    grant.api_access_principal_arn = fold.pick("api_access_principal_arn", arns, equal);
    grant
}
