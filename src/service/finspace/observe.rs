//! Reading an environment: users and permission groups by listing, members group by group, only for the
//! groups the roster names. Everything at once, bounded by the door; complete or an error.
#![allow(deprecated, reason = "AWS marked every method of this client when it announced FinSpace's end")]

use std::collections::{BTreeMap, HashSet};

use aws_sdk_finspacedata::types::PermissionGroupMembershipStatus;

use super::{ApiAccess, Desired, Group, Observed, Status, User, UserType};
use crate::aws::client::FinSpace;
use crate::aws::{Class, Failure, pages};
use crate::word::Word;

/// The largest page FinSpace gives; `maxResults` is required.
const PAGE: i32 = 100;

/// Reads what the environment holds, as far as the roster can differ from it.
pub async fn observe(api: &FinSpace, desired: &Desired) -> Result<Observed, Failure> {
    let groups = async {
        if desired.groups.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut groups = groups(api).await?;
        let named: Vec<(String, String)> = desired
            .groups
            .keys()
            .filter_map(|name| Some((name.clone(), groups.get(name)?.id.clone())))
            .collect();
        let members = named.iter().map(|(_, id)| members(api, id));
        let members = futures_util::future::try_join_all(members).await?;
        for ((name, id), members) in named.into_iter().zip(members) {
            groups.insert(name, Group { id, members });
        }
        Ok(groups)
    };
    let (users, groups) = tokio::try_join!(users(api), groups)?;
    Ok(Observed::new(users, groups))
}

/// All users.
pub async fn users(api: &FinSpace) -> Result<Vec<User>, Failure> {
    const OPERATION: &str = "ListUsers";
    pages::all(&api.caller, OPERATION, |token| async move {
        let call = || api.client.list_users().max_results(PAGE).set_next_token(token.clone()).send();
        let page = api.caller.call(OPERATION, call).await?;
        let users = page.users.into_iter().flatten().map(|u| user(api, u));
        Ok((users.collect::<Result<_, _>>()?, page.next_token))
    })
    .await
}

fn user(api: &FinSpace, user: aws_sdk_finspacedata::types::User) -> Result<User, Failure> {
    let odd = |what: String| api.caller.failure("ListUsers", Class::Invalid, what);
    let id = user.user_id.ok_or_else(|| odd("a user has no id".into()))?;
    let email = user.email_address.ok_or_else(|| odd(format!("user {id} has no e-mail address")))?;
    let status = user.status.as_ref().map_or("", |s| s.as_str());
    let status =
        Status::parse(status).ok_or_else(|| odd(format!("user {id} has the unknown status `{status}`")))?;
    let user_type = user.r#type.as_ref().map_or("", |t| t.as_str());
    let user_type = UserType::parse(user_type)
        .ok_or_else(|| odd(format!("user {id} has the unknown type `{user_type}`")))?;
    Ok(User {
        id,
        email,
        status,
        user_type,
        first_name: user.first_name,
        last_name: user.last_name,
        api_access: user.api_access.and_then(|a| ApiAccess::parse(a.as_str())),
        api_access_principal_arn: user.api_access_principal_arn,
    })
}

async fn groups(api: &FinSpace) -> Result<BTreeMap<String, Group>, Failure> {
    const OPERATION: &str = "ListPermissionGroups";
    let groups = pages::all(&api.caller, OPERATION, |token| async move {
        let call =
            || api.client.list_permission_groups().max_results(PAGE).set_next_token(token.clone()).send();
        let page = api.caller.call(OPERATION, call).await?;
        Ok((page.permission_groups.unwrap_or_default(), page.next_token))
    })
    .await?;
    let named = groups
        .into_iter()
        .filter_map(|g| Some((g.name?, Group { id: g.permission_group_id?, members: HashSet::new() })));
    Ok(named.collect())
}

/// User ids of a permission group: an addition in progress counts as in, a removal in progress as out.
pub async fn members(api: &FinSpace, group_id: &str) -> Result<HashSet<String>, Failure> {
    const OPERATION: &str = "ListUsersByPermissionGroup";
    let members = pages::all(&api.caller, OPERATION, |token| async move {
        let call = || {
            let request = api.client.list_users_by_permission_group().permission_group_id(group_id);
            request.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = api.caller.call(OPERATION, call).await?;
        let leaving = |s: &Option<_>| *s == Some(PermissionGroupMembershipStatus::RemovalInProgress);
        let members = page.users.into_iter().flatten().filter(|m| !leaving(&m.membership_status));
        Ok((members.filter_map(|m| m.user_id).collect(), page.next_token))
    })
    .await?;
    Ok(members.into_iter().collect())
}
