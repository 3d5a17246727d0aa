//! Who a user is in a DataZone domain, and what the roles give there.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::{Fold, equal};
use super::{Listed, Unique, View};
use crate::input::{Problems, rules};
use crate::plan::guard::Policy;
use crate::roster::schema::Access;
use crate::service::datazone::{self, Designation, Desired, DesiredUser, Grant, Identity};

pub fn resolve(view: View<'_>, problems: &mut Problems) -> Desired {
    let all_profiles = view.target.rules.policy == Policy::Sync;
    let mut desired = Desired { all_profiles, ..Desired::default() };
    for access in view.accesses() {
        if let Access::DataZone(a) = access {
            desired.projects.extend(a.projects.into_iter().flatten().map(|(project, _)| project));
        }
    }
    let mut seen = Unique::default();
    for listed in view.listed(problems, fold) {
        view.check_arn(&listed, problems);
        let Some(identity) = identity(&listed) else {
            view.object(&listed, "there is no `sso_user` and no `iam_arn`", problems);
            continue;
        };
        if let Some(objection) = objection(&identity) {
            view.object(&listed, &objection, problems);
        }
        // User names of single sign-on are one whatever their case.
        let mut key = match &identity {
            Identity::Sso { user_name } => user_name.to_lowercase(),
            Identity::Iam { .. } => identity.key(),
        };
        if let Identity::Iam { principal_id: Some(id), .. } = &identity {
            key = format!("{key} {id}");
        }
        if seen.is_new(view, key, &listed, problems) {
            let Listed { id, person, state, grant, .. } = listed;
            let email = person.email.clone();
            desired.users.push(DesiredUser { user: id.into(), identity, email, state, grant });
        }
    }
    desired.users.sort_by(|a, b| a.user.cmp(&b.user));
    desired
}

/// The ARN, or else the user name; a user name given for this target alone wins over an ARN of the user.
fn identity(listed: &Listed<'_, Grant>) -> Option<Identity> {
    let person = &*listed.person;
    let chosen = listed.over.is_some_and(|over| over.sso_user.is_some() && over.iam_arn.is_none());
    match (person.iam_arn.clone().filter(|_| !chosen), person.sso_user.clone()) {
        (Some(arn), _) => {
            let (session, principal_id) = (person.session_name.clone(), person.iam_principal_id.clone());
            Some(Identity::Iam { arn, session, principal_id })
        }
        (None, Some(user_name)) => Some(Identity::Sso { user_name }),
        (None, None) => None,
    }
}

fn objection(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Sso { .. } => None,
        Identity::Iam { arn, .. } => rules::DATAZONE_ARN.objection(arn),
    }
}

fn fold(granted: &[(&str, Access)], fold: &mut Fold<'_>) -> Grant {
    let mut parts: Vec<(&str, &datazone::Access)> = Vec::new();
    for (role, access) in granted {
        if let Access::DataZone(access) = access {
            parts.push((role, access));
        }
    }
    let access = parts.iter().filter_map(|(role, a)| Some((*role, a.access?)));
    let access = fold.pick("access", access, equal);
    let declared = parts.iter().any(|(_, a)| a.projects.is_some());
    let named: BTreeSet<&String> =
        parts.iter().flat_map(|(_, a)| a.projects.iter().flatten()).map(|(p, _)| p).collect();
    let mut projects = BTreeMap::new();
    for project in named {
        let of = |a: &datazone::Access| a.projects.as_ref().and_then(|p| p.get(project)).cloned();
        let values = parts.iter().filter_map(|(role, a)| Some((*role, of(a)?)));
        if let Some(picked) = fold.pick(&format!("project {project}"), values, Designation::rank) {
            projects.insert(project.clone(), picked);
        }
    }
    let roles = parts.iter().map(|(role, _)| role.to_string()).collect();
    Grant { access, projects: declared.then_some(projects), roles }
}
