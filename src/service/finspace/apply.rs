//! The writes of an environment. Every call carries a client token that stays the same over its attempts;
//! on a conflict the present state decides whether the work is done already.
#![allow(deprecated, reason = "AWS marked every method of this client when it announced FinSpace's end")]

use aws_sdk_finspacedata::types;

use super::observe::{members, users};
use super::{Action, GroupDefinition, Status};
use crate::aws::client::FinSpace;
use crate::aws::{Caller, Class, Failure};
use crate::service::{Made, Outcome};
use crate::word::Word as _;

/// Makes one change.
pub async fn apply(api: &FinSpace, action: &Action, made: &Made) -> Result<Outcome, Failure> {
    let done = |result: Result<(), Failure>| result.map(|()| Outcome::default());
    match action {
        Action::CreateUser { .. } => create_user(api, action).await,
        Action::UpdateUser { .. } => done(update_user(api, action).await),
        Action::Enable { user_id } => done(enable(api, user_id).await),
        Action::Disable { user_id } => done(disable(api, user_id).await),
        Action::CreateGroup { group, definition } => create_group(api, group, definition).await,
        Action::AddMember { group, user } => {
            let (Some(group), Some(user)) = (made.get(group), made.get(user)) else {
                let what = "the user or permission group it needs was not created";
                return Err(api.caller.failure("AssociateUserToPermissionGroup", Class::Invalid, what));
            };
            done(add_member(api, group, user, made.fresh).await)
        }
        Action::RemoveMember { group_id, user_id } => done(remove_member(api, group_id, user_id).await),
    }
}

async fn create_user(api: &FinSpace, action: &Action) -> Result<Outcome, Failure> {
    let Action::CreateUser { email, user_type, first_name, last_name, api_access, api_access_principal_arn } =
        action
    else {
        return Ok(Outcome::default());
    };
    let token = Caller::client_token();
    let call = || {
        let request = api.client.create_user().email_address(email).client_token(&token);
        let request = request.r#type(types::UserType::from(user_type.word()));
        let request = request.set_first_name(first_name.clone()).set_last_name(last_name.clone());
        let request = request.set_api_access(api_access.map(|a| types::ApiAccess::from(a.word())));
        request.set_api_access_principal_arn(api_access_principal_arn.clone()).send()
    };
    match api.caller.call("CreateUser", call).await {
        Ok(made) => Ok(Outcome { created: made.user_id, note: None }),
        Err(failure) if failure.class == Class::Conflict || failure.uncertain => {
            let found = users(api).await.map_err(|_| failure.clone())?;
            let ours = found.into_iter().find(|u| u.email.eq_ignore_ascii_case(email)).ok_or(failure)?;
            Ok(Outcome { created: Some(ours.id), note: Some("was there already; adopted".into()) })
        }
        Err(failure) => Err(failure),
    }
}

async fn update_user(api: &FinSpace, action: &Action) -> Result<(), Failure> {
    let Action::UpdateUser {
        user_id,
        user_type,
        first_name,
        last_name,
        api_access,
        api_access_principal_arn,
    } = action
    else {
        return Ok(());
    };
    let token = Caller::client_token();
    let call = || {
        let request = api.client.update_user().user_id(user_id).client_token(&token);
        let request = request.set_type(user_type.map(|t| types::UserType::from(t.word())));
        let request = request.set_first_name(first_name.clone()).set_last_name(last_name.clone());
        let request = request.set_api_access(api_access.map(|a| types::ApiAccess::from(a.word())));
        request.set_api_access_principal_arn(api_access_principal_arn.clone()).send()
    };
    api.caller.call("UpdateUser", call).await.map(drop)
}

async fn enable(api: &FinSpace, user_id: &str) -> Result<(), Failure> {
    let token = Caller::client_token();
    let call = || api.client.enable_user().user_id(user_id).client_token(&token).send();
    let result = api.caller.call("EnableUser", call).await.map(drop);
    settle_status(api, user_id, Status::Enabled, result).await
}

async fn disable(api: &FinSpace, user_id: &str) -> Result<(), Failure> {
    let token = Caller::client_token();
    let call = || api.client.disable_user().user_id(user_id).client_token(&token).send();
    let result = api.caller.call("DisableUser", call).await.map(drop);
    settle_status(api, user_id, Status::Disabled, result).await
}

/// After a conflict: done, if the user has the status that was asked for.
async fn settle_status(
    api: &FinSpace,
    user_id: &str,
    wanted: Status,
    result: Result<(), Failure>,
) -> Result<(), Failure> {
    let Err(failure) = result else { return Ok(()) };
    if failure.class != Class::Conflict && !failure.uncertain {
        return Err(failure);
    }
    let call = || api.client.get_user().user_id(user_id).send();
    let found = api.caller.call("GetUser", call).await.map_err(|_| failure.clone())?;
    let is_met = found.status.is_some_and(|s| s.as_str() == wanted.word());
    if is_met { Ok(()) } else { Err(failure) }
}

async fn create_group(api: &FinSpace, group: &str, definition: &GroupDefinition) -> Result<Outcome, Failure> {
    let token = Caller::client_token();
    let GroupDefinition { description, application_permissions } = definition;
    let permissions: Vec<types::ApplicationPermission> =
        application_permissions.iter().map(|p| types::ApplicationPermission::from(p.word())).collect();
    let call = || {
        let request = api.client.create_permission_group().name(group).client_token(&token);
        let request = request.set_application_permissions(Some(permissions.clone()));
        request.set_description(description.clone()).send()
    };
    let made = api.caller.call("CreatePermissionGroup", call).await?;
    Ok(Outcome { created: made.permission_group_id, note: None })
}

async fn add_member(api: &FinSpace, group_id: &str, user_id: &str, fresh: bool) -> Result<(), Failure> {
    let token = Caller::client_token();
    let call = || {
        let request = api.client.associate_user_to_permission_group().client_token(&token);
        request.permission_group_id(group_id).user_id(user_id).send()
    };
    match api.caller.settled(fresh, "AssociateUserToPermissionGroup", call).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::Conflict || failure.uncertain => {
            let is_in = members(api, group_id).await.is_ok_and(|m| m.contains(user_id));
            if is_in { Ok(()) } else { Err(failure) }
        }
        Err(failure) => Err(failure),
    }
}

async fn remove_member(api: &FinSpace, group_id: &str, user_id: &str) -> Result<(), Failure> {
    let token = Caller::client_token();
    let call = || {
        let request = api.client.disassociate_user_from_permission_group().client_token(&token);
        request.permission_group_id(group_id).user_id(user_id).send()
    };
    match api.caller.call("DisassociateUserFromPermissionGroup", call).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        Err(failure) if failure.class == Class::Conflict || failure.uncertain => {
            let is_out = members(api, group_id).await.is_ok_and(|m| !m.contains(user_id));
            if is_out { Ok(()) } else { Err(failure) }
        }
        Err(failure) => Err(failure),
    }
}
