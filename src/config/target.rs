//! Reading one `[targets.NAME]` table.

use std::collections::BTreeMap;

use super::rules::read_rules;
use super::values::word;
use super::{Access, Service, Target};
use crate::input::{Problem, Problems, Table, rules};
use crate::service::ServiceKind;
use crate::service::quicksight::{IdentityType, UserNameFrom};

pub fn read_target(name: &str, mut t: Table<'_>, problems: &mut Problems) -> Option<Target> {
    let kind = t.required("service", problems).and_then(|s| word::<ServiceKind>(&s, "service", problems));
    let region = t.required("region", problems).map(|r| rules::REGION.check(r, problems).value);
    let service = kind.and_then(|kind| read_service(kind, &mut t, problems));
    let rules = read_rules(kind, &mut t, problems);
    let access = Access {
        endpoint_url: t.string("endpoint_url", problems).map(|u| rules::URL.check(u, problems).value),
        profile: t.string("profile", problems).map(|s| s.value),
        assume_role: t.string("assume_role", problems).map(|a| rules::ROLE_ARN.check(a, problems).value),
        external_id: t.string("external_id", problems).map(|e| rules::EXTERNAL_ID.check(e, problems).value),
    };
    if access.external_id.is_some() && access.assume_role.is_none() {
        problems.push(Problem::at(t.place, "`external_id` goes with `assume_role`"));
    }
    let pace = read_rates(name, "pace", kind, &mut t, problems);
    let max_pace = read_rates(name, "max_pace", kind, &mut t, problems);
    // An unknown service leaves its own keys unread; one clear error is enough then.
    if kind.is_some() {
        t.finish(problems);
    }
    Some(Target {
        name: name.to_string(),
        service: service?,
        region: region?,
        rules: rules?,
        access,
        pace,
        max_pace,
    })
}

/// Calls per second by operation.
fn read_rates(
    target: &str,
    key: &'static str,
    kind: Option<ServiceKind>,
    t: &mut Table<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, f64> {
    let mut rates = BTreeMap::new();
    for (operation, value) in t.table(key, problems).into_iter().flat_map(Table::into_named) {
        let path = format!("targets.{target}.{key}.{}", operation.value);
        let known = kind.map_or(&[][..], ServiceKind::operations);
        if operation.value != "default" && kind.is_some() && !known.contains(&&*operation.value) {
            let problem = Problem::at(
                operation.place,
                format!("`{}` is no operation rosterd calls here", operation.value),
            );
            problems.push(problem.suggest(&operation.value, known.iter().copied()));
        }
        let place = value.place;
        if let Some(rate) = value.into_number(&path, problems) {
            if !(0.01..=10_000.0).contains(&rate) {
                problems.push(Problem::at(
                    place,
                    format!("`{path}` must be from 0.01 to 10000 calls per second"),
                ));
            }
            rates.insert(operation.value, rate);
        }
    }
    rates
}

fn read_service(kind: ServiceKind, t: &mut Table<'_>, problems: &mut Problems) -> Option<Service> {
    Some(match kind {
        ServiceKind::DataZone => {
            let domain_id =
                t.required("domain_id", problems).map(|d| rules::DATAZONE_DOMAIN.check(d, problems).value);
            Service::DataZone { domain_id: domain_id? }
        }
        ServiceKind::QuickSight => {
            let account_id =
                t.required("account_id", problems).map(|a| rules::ACCOUNT_ID.check(a, problems).value);
            let namespace =
                t.string("namespace", problems).map(|n| rules::QUICKSIGHT_NAMESPACE.check(n, problems).value);
            let identity_type =
                t.string("identity_type", problems).and_then(|s| word(&s, "identity_type", problems));
            let user_name_from =
                t.string("user_name_from", problems).and_then(|s| word(&s, "user_name_from", problems));
            Service::QuickSight {
                account_id: account_id?,
                namespace: namespace.unwrap_or_else(|| "default".into()),
                identity_type: identity_type.unwrap_or(IdentityType::QuickSight),
                user_name_from: user_name_from.unwrap_or(UserNameFrom::Email),
            }
        }
        ServiceKind::FinSpace => Service::FinSpace,
    })
}
