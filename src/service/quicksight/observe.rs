//! Reading a namespace: users by listing or each by name, groups by listing, members group by group, only for
//! the groups the roster names. Everything at once, bounded by the door; complete or an error.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Desired, ExternalLogin, IdentityType, Observed, Role, User};
use crate::aws::client::QuickSight;
use crate::aws::{Failure, pages};
use crate::service::index::is_same;
use crate::service::reading::{Reading, is_for_the_listing};
use crate::word::Word;

/// The largest page QuickSight gives.
pub const PAGE: i32 = 100;

/// Reads what the namespace holds, as far as the roster can differ from it.
pub async fn observe(api: &QuickSight, desired: &Desired, reading: Reading) -> Result<Observed, Failure> {
    let groups = async {
        if desired.groups.is_empty() {
            return Ok(BTreeMap::new());
        }
        let existing = group_names(api).await?;
        let named: Vec<&String> = desired.groups.keys().filter(|g| existing.contains(*g)).collect();
        let members =
            futures_util::future::try_join_all(named.iter().map(|group| members(api, group))).await?;
        Ok(named.into_iter().cloned().zip(members).collect())
    };
    let users = async {
        match reading {
            Reading::Each { .. } => match each(api, desired).await? {
                Some(users) => Ok((users, reading)),
                None => Ok((users(api).await?, Reading::List)),
            },
            Reading::List => Ok((users(api).await?, Reading::List)),
        }
    };
    let ((users, reading), groups) = tokio::try_join!(users, groups)?;
    let mut understood = Vec::with_capacity(users.len());
    let mut odd = BTreeMap::new();
    for user in users {
        match user {
            Ok(user) => understood.push(user),
            // One user of a newer kind must not hold the namespace back.
            Err(Odd { name, why }) => _ = odd.insert(name.to_lowercase(), why),
        }
    }
    Ok(Observed { reading, ..Observed::new(understood, groups, odd) })
}

/// The users of the roster, by name; nothing when one cannot be had that way.
async fn each(api: &QuickSight, desired: &Desired) -> Result<Option<Vec<Result<User, Odd>>>, Failure> {
    const OPERATION: &str = "DescribeUser";
    let users = desired.users.iter().map(|user| async move {
        let name = user.key();
        let call = || {
            let request = api.client.describe_user().aws_account_id(&api.account_id);
            request.namespace(&api.namespace).user_name(&name).send()
        };
        match api.caller.call(OPERATION, call).await {
            Ok(found) => Ok(found
                .user
                .map(self::user)
                .filter(|found| found.as_ref().is_ok_and(|u| is_same(&u.name, &name)))),
            // Gone, or not to be asked for: the listing will tell.
            Err(failure) if is_for_the_listing(failure.class) => Ok(None),
            Err(failure) => Err(failure),
        }
    });
    Ok(futures_util::future::try_join_all(users).await?.into_iter().collect())
}

/// A user this version does not understand, and why.
pub struct Odd {
    name: String,
    why: String,
}

async fn users(api: &QuickSight) -> Result<Vec<Result<User, Odd>>, Failure> {
    const OPERATION: &str = "ListUsers";
    pages::all(&api.caller, OPERATION, |token| async move {
        let call = || {
            let request = api.client.list_users().aws_account_id(&api.account_id).namespace(&api.namespace);
            request.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = api.caller.call(OPERATION, call).await?;
        Ok((page.user_list.into_iter().flatten().map(self::user).collect(), page.next_token))
    })
    .await
}

/// A user as the SDK gives it, as far as it can be understood.
pub fn user(user: aws_sdk_quicksight::types::User) -> Result<User, Odd> {
    let name = user.user_name.unwrap_or_default();
    let odd = |name: String, why: &str| Err(Odd { name, why: why.to_string() });
    if name.is_empty() {
        return odd(name, "it has no user name");
    }
    let Some(principal_id) = user.principal_id.or(user.arn) else {
        return odd(name, "it has no principal id");
    };
    let role = user.role.as_ref().map_or("", |r| r.as_str());
    let Some(role) = Role::parse(role) else {
        return odd(name, &format!("its role `{role}` is not known to this version"));
    };
    let identity_type = user.identity_type.as_ref().map_or("", |t| t.as_str());
    let Some(identity_type) = IdentityType::parse(identity_type) else {
        return odd(name, &format!("its identity type `{identity_type}` is not known to this version"));
    };
    let id = user.external_login_id.unwrap_or_default();
    let external_login = match user.external_login_federation_provider_type.as_deref() {
        Some("COGNITO") => Some(ExternalLogin::Cognito { id }),
        Some("CUSTOM_OIDC") => {
            let url = user.external_login_federation_provider_url.unwrap_or_default();
            Some(ExternalLogin::CustomOidc { url, id })
        }
        _ => None,
    };
    Ok(User {
        name,
        email: user.email.unwrap_or_default(),
        role,
        identity_type,
        principal_id,
        custom_permissions: user.custom_permissions_name.filter(|n| !n.is_empty()),
        external_login,
    })
}

async fn group_names(api: &QuickSight) -> Result<BTreeSet<String>, Failure> {
    const OPERATION: &str = "ListGroups";
    let names = pages::all(&api.caller, OPERATION, |token| async move {
        let call = || {
            let request = api.client.list_groups().aws_account_id(&api.account_id).namespace(&api.namespace);
            request.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = api.caller.call(OPERATION, call).await?;
        Ok((page.group_list.into_iter().flatten().filter_map(|g| g.group_name).collect(), page.next_token))
    })
    .await?;
    Ok(names.into_iter().collect())
}

async fn members(api: &QuickSight, group: &str) -> Result<HashSet<String>, Failure> {
    const OPERATION: &str = "ListGroupMemberships";
    let members = pages::all(&api.caller, OPERATION, |token| async move {
        let call = || {
            let request = api.client.list_group_memberships().aws_account_id(&api.account_id);
            let request = request.namespace(&api.namespace).group_name(group);
            request.max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = api.caller.call(OPERATION, call).await?;
        let names = page.group_member_list.into_iter().flatten().filter_map(|m| m.member_name);
        Ok((names.map(lower_case).collect(), page.next_token))
    })
    .await?;
    Ok(members.into_iter().collect())
}

/// In place where that can be.
fn lower_case(mut name: String) -> String {
    if !name.is_ascii() {
        return name.to_lowercase();
    }
    name.make_ascii_lowercase();
    name
}
