//! What a role says of one service: reading the block, and laying a target's block over the service's.

use std::collections::BTreeMap;

use super::schema::Access;
use crate::config::word;
use crate::input::{Located, Problem, Problems, Table, Value, rules};
use crate::service::datazone::{Designation, DesignationKind};
use crate::service::{ServiceKind, datazone, finspace, quicksight};

/// `Tags` of RegisterUser.
const TAGS_MAX: usize = 200;

impl Access {
    /// Reads the block a role has for a service or for one target of it.
    pub fn read(service: ServiceKind, table: Table<'_>, problems: &mut Problems) -> Access {
        match service {
            ServiceKind::DataZone => Access::DataZone(datazone(table, problems)),
            ServiceKind::QuickSight => Access::QuickSight(quicksight(table, problems)),
            ServiceKind::FinSpace => Access::FinSpace(finspace(table, problems)),
        }
    }

    /// This block with the fields of `over` instead of its own, where `over` has them.
    pub fn with(&self, over: &Access) -> Access {
        match (self, over) {
            (Access::DataZone(base), Access::DataZone(over)) => {
                let datazone::Access { access, projects } = over.clone();
                Access::DataZone(datazone::Access {
                    access: access.or(base.access),
                    projects: projects.or_else(|| base.projects.clone()),
                })
            }
            (Access::QuickSight(base), Access::QuickSight(over)) => {
                let quicksight::Access { role, groups, custom_permissions, tags } = over.clone();
                Access::QuickSight(quicksight::Access {
                    role: role.or(base.role),
                    groups: groups.or_else(|| base.groups.clone()),
                    custom_permissions: custom_permissions.or_else(|| base.custom_permissions.clone()),
                    tags: if tags.is_empty() { base.tags.clone() } else { tags },
                })
            }
            (Access::FinSpace(base), Access::FinSpace(over)) => {
                let finspace::Access { user_type, api_access, api_access_principal_arn, permission_groups } =
                    over.clone();
                Access::FinSpace(finspace::Access {
                    user_type: user_type.or(base.user_type),
                    api_access: api_access.or(base.api_access),
                    api_access_principal_arn: api_access_principal_arn
                        .or_else(|| base.api_access_principal_arn.clone()),
                    permission_groups: permission_groups.or_else(|| base.permission_groups.clone()),
                })
            }
            // A target has one service, so its block and the service-wide one are of one kind.
            (_, over) => over.clone(),
        }
    }
}

fn datazone(mut t: Table<'_>, problems: &mut Problems) -> datazone::Access {
    let access = t.string("access", problems).and_then(|s| word(&s, "access", problems));
    let projects = t.table("projects", problems).map(|table| {
        let mut projects = BTreeMap::new();
        let name = table.name.clone();
        for (project, value) in table.into_named() {
            let project = rules::DATAZONE_PROJECT.check(project, problems);
            let path = format!("{name}.{}", project.value);
            if let Some(designation) = designation(value, path, problems) {
                projects.insert(project.value, designation);
            }
        }
        projects
    });
    t.finish(problems);
    datazone::Access { access, projects }
}

/// `"PROJECT_OWNER"`, or `{ designation = "USER_CREATED_DESIGNATION", id = "…" }`.
fn designation(value: Value<'_>, path: String, problems: &mut Problems) -> Option<Designation> {
    if value.is_string() {
        let text = value.into_string(&path, problems)?;
        let kind = word(&text, "designation", problems)?;
        if kind == DesignationKind::UserCreated {
            let problem = Problem::at(text.place, "USER_CREATED_DESIGNATION needs the id of the designation");
            problems.push(problem.help("write { designation = \"USER_CREATED_DESIGNATION\", id = \"…\" }"));
        }
        return Some(Designation { kind, id: None });
    }
    let mut t = value.into_table(path, problems)?;
    let place = t.place;
    let kind = t.required("designation", problems).and_then(|s| word(&s, "designation", problems));
    let id = t.string("id", problems).map(|id| rules::DATAZONE_PROJECT.check(id, problems).value);
    t.finish(problems);
    if kind == Some(DesignationKind::UserCreated) && id.is_none() {
        problems.push(Problem::at(place, "USER_CREATED_DESIGNATION needs `id`, the id of the designation"));
    } else if kind.is_some_and(|k| k != DesignationKind::UserCreated) && id.is_some() {
        problems.push(Problem::at(place, "`id` goes with USER_CREATED_DESIGNATION only"));
    }
    Some(Designation { kind: kind?, id })
}

fn quicksight(mut t: Table<'_>, problems: &mut Problems) -> quicksight::Access {
    let role = t.string("role", problems).and_then(|s| word(&s, "role", problems));
    let groups = names(&mut t, "groups", &rules::QUICKSIGHT_GROUP, problems);
    let path = t.path("custom_permissions");
    let custom_permissions = t.take("custom_permissions").and_then(|value| match value.as_bool() {
        Some(false) => Some(None),
        Some(true) => {
            let problem = Problem::at(value.place, format!("`{path}` is a name, or false to take it away"));
            problems.push(problem.help("give the name of a custom permissions profile of the account"));
            None
        }
        None => {
            let name = value.into_string(&path, problems)?;
            Some(Some(rules::CUSTOM_PERMISSIONS.check(name, problems).value))
        }
    });
    let mut tags = BTreeMap::new();
    let table = t.table("tags", problems);
    let place = table.as_ref().map(|t| t.place);
    for (key, value) in table.into_iter().flat_map(Table::into_named) {
        let key = rules::TAG_KEY.check(key, problems).value;
        if let Some(value) = value.into_string(&format!("tags.{key}"), problems) {
            tags.insert(key, rules::TAG_VALUE.check(value, problems).value);
        }
    }
    if let Some(place) = place.filter(|_| tags.len() > TAGS_MAX) {
        problems
            .push(Problem::at(place, format!("{} tags are more than the limit of {TAGS_MAX}", tags.len())));
    }
    t.finish(problems);
    quicksight::Access { role, groups, custom_permissions, tags }
}

fn finspace(mut t: Table<'_>, problems: &mut Problems) -> finspace::Access {
    let user_type = t.string("type", problems).and_then(|s| word(&s, "type", problems));
    let api_access = t.string("api_access", problems).and_then(|s| word(&s, "api_access", problems));
    let arn = t.string("api_access_principal_arn", problems);
    let permission_groups = names(&mut t, "permission_groups", &rules::FINSPACE_GROUP, problems);
    t.finish(problems);
    finspace::Access {
        user_type,
        api_access,
        api_access_principal_arn: arn.map(|a| rules::FINSPACE_PRINCIPAL_ARN.check(a, problems).value),
        permission_groups,
    }
}

fn names(
    t: &mut Table<'_>,
    key: &'static str,
    rule: &rules::Rule,
    problems: &mut Problems,
) -> Option<std::collections::BTreeSet<String>> {
    let path = t.path(key);
    let names: Vec<Located<String>> = t.take(key)?.into_strings(&path, problems)?;
    Some(names.into_iter().map(|name| rule.check(name, problems).value).collect())
}
