//! The writes of a domain. An action is a `match` arm; nothing is decided here that the plan could have
//! decided, except how to go on when the service says that the work is done already.

use aws_sdk_datazone::types::{Member, UserProfileDetails, UserProfileStatus, UserProfileType, UserType};

use super::observe::{project_members, wire};
use super::{Action, Designation, Identity, Status};
use crate::aws::client::DataZone;
use crate::aws::{Caller, Class, Failure};
use crate::service::{Made, Outcome};
use crate::word::Word as _;

/// Makes one change.
pub async fn apply(api: &DataZone, action: &Action, made: &Made) -> Result<Outcome, Failure> {
    match action {
        Action::CreateProfile { identity, status } => create_profile(api, identity, *status).await,
        Action::SetStatus { profile_id, identity, status } => {
            set_status(api, &api.caller, profile_id, identity, *status).await?;
            Ok(Outcome::default())
        }
        Action::AddMember { project, member, designation } => {
            let profile_id = made.get(member).ok_or_else(|| lost(api, "CreateProjectMembership"))?;
            add_member(api, &api.caller, project, profile_id, designation, made.fresh).await?;
            Ok(Outcome::default())
        }
        Action::ChangeDesignation { project, profile_id, old, new } => {
            change_designation(api, project, profile_id, old, new).await
        }
        Action::RemoveMember { project, profile_id } => {
            remove_member(api, &api.caller, project, profile_id).await?;
            Ok(Outcome::default())
        }
    }
}

fn lost(api: &DataZone, operation: &'static str) -> Failure {
    api.caller.failure(operation, Class::Invalid, "the profile it needs was not created")
}

async fn create_profile(
    api: &DataZone,
    identity: &Identity,
    status: Option<Status>,
) -> Result<Outcome, Failure> {
    let token = Caller::client_token();
    let (identifier, kind, session) = match identity {
        Identity::Sso { user_name } => (user_name, UserType::SsoUser, None),
        Identity::Iam { arn, session: Some(session), .. } => {
            (arn, UserType::IamRoleSession, Some(session.clone()))
        }
        Identity::Iam { arn, .. } if arn.contains(":user/") => (arn, UserType::IamUser, None),
        Identity::Iam { arn, .. } => (arn, UserType::IamRole, None),
    };
    let call = || {
        let request = api.client.create_user_profile().domain_identifier(&api.domain_id);
        let request = request.user_identifier(identifier).user_type(kind.clone()).client_token(&token);
        request.set_session_name(session.clone()).send()
    };
    let (id, now, note) = match api.caller.call("CreateUserProfile", call).await {
        Ok(made) => (made.id, made.status, None),
        Err(failure) if is_there_already(&failure) => {
            let found = get(api, identity).await.map_err(|_| failure)?;
            (found.0, found.1, Some("was there already; adopted".to_string()))
        }
        Err(failure) => return Err(failure),
    };
    let id = id.ok_or_else(|| lost(api, "CreateUserProfile"))?;
    let now = now.and_then(|s| Status::parse(s.as_str()));
    if let Some(status) = status.filter(|wish| now != Some(*wish)) {
        set_status(api, &api.caller.committed(), &id, identity, status).await?;
    }
    Ok(Outcome { created: Some(id), note })
}

/// The model lists no code for a profile that exists, so the words count too; and a call that ended
/// without an answer may have done its work.
fn is_there_already(failure: &Failure) -> bool {
    let says_so = failure.message.to_lowercase().contains("already exist");
    matches!(failure.class, Class::Exists | Class::Conflict) || says_so || failure.uncertain
}

async fn get(
    api: &DataZone,
    identity: &Identity,
) -> Result<(Option<String>, Option<UserProfileStatus>), Failure> {
    let (identifier, session) = match identity {
        Identity::Sso { user_name } => (user_name, None),
        Identity::Iam { arn, session, .. } => (arn, session.clone()),
    };
    let call = || {
        let request =
            api.client.get_user_profile().domain_identifier(&api.domain_id).user_identifier(identifier);
        request.r#type(profile_type(identity)).set_session_name(session.clone()).send()
    };
    let found = api.caller.settled(true, "GetUserProfile", call).await?;
    let principal = match &found.details {
        Some(UserProfileDetails::Iam(iam)) => iam.principal_id.as_ref(),
        _ => None,
    };
    match (identity, principal) {
        (Identity::Iam { principal_id: Some(wanted), .. }, Some(found)) if found != wanted => {
            Err(lost(api, "GetUserProfile"))
        }
        _ => Ok((found.id, found.status)),
    }
}

fn profile_type(identity: &Identity) -> UserProfileType {
    match identity {
        Identity::Sso { .. } => UserProfileType::Sso,
        Identity::Iam { .. } => UserProfileType::Iam,
    }
}

async fn set_status(
    api: &DataZone,
    caller: &Caller,
    profile_id: &str,
    identity: &Identity,
    status: Status,
) -> Result<(), Failure> {
    let session = match identity {
        Identity::Iam { session, .. } => session.clone(),
        Identity::Sso { .. } => None,
    };
    let call = || {
        let request = api.client.update_user_profile().domain_identifier(&api.domain_id);
        let request = request.user_identifier(profile_id).r#type(profile_type(identity));
        request.set_session_name(session.clone()).status(UserProfileStatus::from(status.word())).send()
    };
    caller.settled(true, "UpdateUserProfile", call).await.map(drop)
}

/// There is no client token, and a duplicate fails: on a failure the list of members decides.
async fn add_member(
    api: &DataZone,
    caller: &Caller,
    project: &str,
    profile_id: &str,
    designation: &Designation,
    fresh: bool,
) -> Result<(), Failure> {
    let call = || {
        let request = api.client.create_project_membership().domain_identifier(&api.domain_id);
        let request =
            request.project_identifier(project).member(Member::UserIdentifier(profile_id.to_string()));
        let request = request.designation(wire(designation.kind));
        request.set_user_created_designation_id(designation.id.clone()).send()
    };
    match caller.settled(fresh, "CreateProjectMembership", call).await {
        Ok(_) => Ok(()),
        Err(failure)
            if matches!(failure.class, Class::Exists | Class::Conflict | Class::Invalid)
                || failure.uncertain =>
        {
            match project_members(api, caller, project).await {
                Ok(Some(members)) if members.get(profile_id) == Some(designation) => Ok(()),
                _ => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    }
}

async fn remove_member(
    api: &DataZone,
    caller: &Caller,
    project: &str,
    profile_id: &str,
) -> Result<(), Failure> {
    let call = || {
        let request = api.client.delete_project_membership().domain_identifier(&api.domain_id);
        request.project_identifier(project).member(Member::UserIdentifier(profile_id.to_string())).send()
    };
    match caller.call("DeleteProjectMembership", call).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        Err(failure) if failure.class == Class::Invalid || failure.uncertain => {
            match project_members(api, caller, project).await {
                Ok(Some(members)) if !members.contains_key(profile_id) => Ok(()),
                _ => Err(failure),
            }
        }
        Err(failure) => Err(failure),
    }
}

/// Delete, then create; once begun it is brought to an end, whatever rosterd is told meanwhile, and when
/// the second half fails the old designation is put back. A delete whose end is not known is taken for
/// done: where it is not, the create is refused and nothing was lost.
async fn change_designation(
    api: &DataZone,
    project: &str,
    profile_id: &str,
    old: &Designation,
    new: &Designation,
) -> Result<Outcome, Failure> {
    match remove_member(api, &api.caller, project, profile_id).await {
        Err(failure) if !failure.uncertain => return Err(failure),
        _ => {}
    }
    let caller = api.caller.committed();
    let Err(mut failure) = add_member(api, &caller, project, profile_id, new, false).await else {
        return Ok(Outcome::default());
    };
    failure.message = match add_member(api, &caller, project, profile_id, old, false).await {
        Ok(()) => format!("{} (the old designation {old} was put back)", failure.message),
        Err(second) => format!(
            "{} (AND THE OLD DESIGNATION {old} COULD NOT BE PUT BACK: {}; the next pass creates the new one)",
            failure.message, second.message
        ),
    };
    Err(failure)
}
