//! The writes of a namespace. RegisterUser has no client token, so "exists" after a lost answer means
//! describe and adopt; what differs then is for the next pass.

use aws_sdk_quicksight::types::{IdentityType, Tag, UserRole};

use super::{Action, CustomPermissions, ExternalLogin, Identity};
use crate::aws::client::QuickSight;
use crate::aws::{Class, Failure};
use crate::service::{Made, Outcome};
use crate::word::Word as _;

/// Makes one change.
pub async fn apply(api: &QuickSight, action: &Action, made: &Made) -> Result<Outcome, Failure> {
    let done = |result: Result<(), Failure>| result.map(|()| Outcome::default());
    match action {
        Action::RegisterUser { .. } => register(api, action).await,
        Action::UpdateUser { .. } => done(update(api, action).await),
        Action::DeleteUser { user_name } => done(delete(api, user_name).await),
        Action::DeleteByPrincipalId { principal_id } => done(delete_by_principal_id(api, principal_id).await),
        Action::CreateGroup { group, description } => {
            done(create_group(api, group, description.clone()).await)
        }
        Action::AddMember { group, member } => {
            let user_name = made.get(member).ok_or_else(|| {
                api.caller.failure(
                    "CreateGroupMembership",
                    Class::Invalid,
                    "the user it needs was not registered",
                )
            })?;
            done(add_member(api, group, user_name, made.fresh).await)
        }
        Action::RemoveMember { group, user_name } => done(remove_member(api, group, user_name).await),
    }
}

/// Type, URL and id as the calls want them.
fn login_parts(login: Option<&ExternalLogin>) -> (Option<String>, Option<String>, Option<String>) {
    match login {
        None => (None, None, None),
        Some(ExternalLogin::None) => (Some("NONE".into()), None, None),
        Some(ExternalLogin::Cognito { id }) => (Some("COGNITO".into()), None, Some(id.clone())),
        Some(ExternalLogin::CustomOidc { url, id }) => {
            (Some("CUSTOM_OIDC".into()), Some(url.clone()), Some(id.clone()))
        }
    }
}

async fn register(api: &QuickSight, action: &Action) -> Result<Outcome, Failure> {
    let Action::RegisterUser { identity, email, role, custom_permissions, external_login, tags } = action
    else {
        return Ok(Outcome::default());
    };
    // For IAM identities the service assigns the name: sending one is an error.
    let (arn, session, user_name) = match identity {
        Identity::Iam { arn, session } => (Some(arn.clone()), session.clone(), None),
        Identity::Named { user_name, .. } => (None, None, Some(user_name.clone())),
    };
    let identity_type = IdentityType::from(identity.identity_type().word());
    let (login_type, url, login_id) = login_parts(external_login.as_ref());
    let tags: Vec<Tag> =
        tags.iter().filter_map(|(k, v)| Tag::builder().key(k).value(v).build().ok()).collect();
    let call = || {
        let request = api.client.register_user().aws_account_id(&api.account_id).namespace(&api.namespace);
        let request =
            request.identity_type(identity_type.clone()).email(email).user_role(UserRole::from(role.word()));
        let request = request.set_iam_arn(arn.clone()).set_session_name(session.clone());
        let request =
            request.set_user_name(user_name.clone()).set_custom_permissions_name(custom_permissions.clone());
        let request = request.set_external_login_federation_provider_type(login_type.clone());
        let request =
            request.set_custom_federation_provider_url(url.clone()).set_external_login_id(login_id.clone());
        request.set_tags((!tags.is_empty()).then(|| tags.clone())).send()
    };
    match api.caller.call("RegisterUser", call).await {
        Ok(answer) => Ok(Outcome {
            created: Some(answer.user.and_then(|u| u.user_name).unwrap_or_else(|| identity.user_name())),
            // Mailed to no one and shown once.
            note: answer.user_invitation_url.map(|url| format!("invitation to pass on: {url}")),
        }),
        Err(failure) if failure.class == Class::Exists || failure.uncertain => {
            adopt(api, identity, failure).await
        }
        Err(failure) => Err(failure),
    }
}

/// The user is there after all: ours, if it is the identity that was to be registered.
async fn adopt(api: &QuickSight, identity: &Identity, failure: Failure) -> Result<Outcome, Failure> {
    let expected = identity.user_name();
    let call = || {
        let request = api.client.describe_user().aws_account_id(&api.account_id).namespace(&api.namespace);
        request.user_name(&expected).send()
    };
    let Ok(found) = api.caller.settled(true, "DescribeUser", call).await else { return Err(failure) };
    let found = found.user.and_then(|u| super::observe::user(u).ok());
    match found {
        Some(user) if user.identity_type == identity.identity_type() => {
            Ok(Outcome { created: Some(user.name), note: Some("was there already; adopted".into()) })
        }
        _ => Err(failure),
    }
}

async fn update(api: &QuickSight, action: &Action) -> Result<(), Failure> {
    let Action::UpdateUser { user_name, email, role, custom_permissions, external_login } = action else {
        return Ok(());
    };
    let (set, unapply) = match custom_permissions {
        CustomPermissions::Keep => (None, None),
        CustomPermissions::Set(name) => (Some(name.clone()), None),
        CustomPermissions::Unapply => (None, Some(true)),
    };
    let (login_type, url, login_id) = login_parts(external_login.as_ref());
    let call = || {
        let request = api.client.update_user().aws_account_id(&api.account_id).namespace(&api.namespace);
        let request = request.user_name(user_name).email(email).role(UserRole::from(role.word()));
        let request =
            request.set_custom_permissions_name(set.clone()).set_unapply_custom_permissions(unapply);
        let request = request.set_external_login_federation_provider_type(login_type.clone());
        request.set_custom_federation_provider_url(url.clone()).set_external_login_id(login_id.clone()).send()
    };
    api.caller.call("UpdateUser", call).await.map(drop)
}

/// What is to be gone and is gone is done.
fn gone<T>(result: Result<T, Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        other => other.map(drop),
    }
}

async fn delete(api: &QuickSight, user_name: &str) -> Result<(), Failure> {
    let call = || {
        let request = api.client.delete_user().aws_account_id(&api.account_id).namespace(&api.namespace);
        request.user_name(user_name).send()
    };
    gone(api.caller.call("DeleteUser", call).await)
}

async fn delete_by_principal_id(api: &QuickSight, principal_id: &str) -> Result<(), Failure> {
    let call = || {
        let request = api.client.delete_user_by_principal_id().aws_account_id(&api.account_id);
        request.namespace(&api.namespace).principal_id(principal_id).send()
    };
    gone(api.caller.call("DeleteUserByPrincipalId", call).await)
}

async fn create_group(api: &QuickSight, group: &str, description: Option<String>) -> Result<(), Failure> {
    let call = || {
        let request = api.client.create_group().aws_account_id(&api.account_id).namespace(&api.namespace);
        request.group_name(group).set_description(description.clone()).send()
    };
    match api.caller.call("CreateGroup", call).await {
        Err(failure) if failure.class == Class::Exists => Ok(()),
        other => other.map(drop),
    }
}

/// Just after RegisterUser or CreateGroup the one may not see the other yet.
async fn add_member(api: &QuickSight, group: &str, user_name: &str, fresh: bool) -> Result<(), Failure> {
    let call = || {
        let request = api.client.create_group_membership().aws_account_id(&api.account_id);
        request.namespace(&api.namespace).group_name(group).member_name(user_name).send()
    };
    match api.caller.settled(fresh, "CreateGroupMembership", call).await {
        Err(failure) if failure.class == Class::Exists => Ok(()),
        other => other.map(drop),
    }
}

async fn remove_member(api: &QuickSight, group: &str, user_name: &str) -> Result<(), Failure> {
    let call = || {
        let request = api.client.delete_group_membership().aws_account_id(&api.account_id);
        request.namespace(&api.namespace).group_name(group).member_name(user_name).send()
    };
    gone(api.caller.call("DeleteGroupMembership", call).await)
}
