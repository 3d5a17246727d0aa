//! Reading a domain: profiles by listing or each by name, memberships project by project, only for the
//! projects the roster names. Everything at once, bounded by the door; complete or an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_datazone::types::{
    ProjectMember, UserDesignation, UserProfileDetails, UserProfileSummary, UserProfileType, UserSearchType,
};

use super::{Designation, DesignationKind, Desired, Identity, Observed, Profile, Status};
use crate::aws::client::DataZone;
use crate::aws::{Caller, Class, Failure, pages};
use crate::service::index::is_same;
use crate::service::reading::{Reading, is_for_the_listing};
use crate::word::Word;

/// The largest page DataZone gives.
pub const PAGE: i32 = 50;

/// Reads what the domain holds, as far as the roster can differ from it.
pub async fn observe(api: &DataZone, desired: &Desired, reading: Reading) -> Result<Observed, Failure> {
    // Both kinds, whatever the roster has: a user who changed from one to the other has a profile of the old.
    let profiles = async {
        if let Reading::Each { .. } = reading
            && let Some(profiles) = each(api, desired).await?
        {
            return Ok((profiles, reading));
        }
        let (sso, iam) = tokio::try_join!(
            profiles(api, UserSearchType::DatazoneSsoUser),
            profiles(api, UserSearchType::DatazoneIamUser),
        )?;
        Ok((sso.into_iter().chain(iam).collect::<Vec<_>>(), Reading::List))
    };
    let memberships = async {
        let each = desired.projects.iter().map(|project| project_members(api, &api.caller, project));
        futures_util::future::try_join_all(each).await
    };
    let ((profiles, reading), projects) = tokio::try_join!(profiles, memberships)?;
    let mut memberships = BTreeMap::new();
    let mut missing = BTreeSet::new();
    for (project, members) in desired.projects.iter().zip(projects) {
        match members {
            Some(members) => _ = memberships.insert(project.clone(), members),
            None => _ = missing.insert(project.clone()),
        }
    }
    Ok(Observed { reading, ..Observed::new(profiles, memberships, missing) })
}

/// The single sign-on profiles of the roster, by user name; nothing when one cannot be had that way.
async fn each(api: &DataZone, desired: &Desired) -> Result<Option<Vec<Profile>>, Failure> {
    const OPERATION: &str = "GetUserProfile";
    let profiles = desired.users.iter().map(|user| async move {
        let Identity::Sso { user_name } = &user.identity else { return Ok(None) };
        let call = || {
            let request = api.client.get_user_profile().domain_identifier(&api.domain_id);
            request.user_identifier(user_name).r#type(UserProfileType::Sso).send()
        };
        match api.caller.call(OPERATION, call).await {
            Ok(found) => {
                let summary = UserProfileSummary::builder()
                    .set_id(found.id)
                    .set_status(found.status)
                    .set_details(found.details);
                let profile = profile(api, OPERATION, summary.build()).ok();
                Ok(profile.filter(|p| matches!(&p.identity, Identity::Sso { user_name: found } if is_same(found, user_name))))
            }
            // Gone, or not to be asked for: the listing will tell.
            Err(failure) if is_for_the_listing(failure.class) => Ok(None),
            Err(failure) => Err(failure),
        }
    });
    Ok(futures_util::future::try_join_all(profiles).await?.into_iter().collect())
}

async fn profiles(api: &DataZone, kind: UserSearchType) -> Result<Vec<Profile>, Failure> {
    const OPERATION: &str = "SearchUserProfiles";
    pages::all(&api.caller, OPERATION, |token| {
        let kind = kind.clone();
        async move {
            let call = || {
                let request = api.client.search_user_profiles().domain_identifier(&api.domain_id);
                request.user_type(kind.clone()).max_results(PAGE).set_next_token(token.clone()).send()
            };
            let page = api.caller.call(OPERATION, call).await?;
            let profiles = page.items.into_iter().flatten().map(|s| profile(api, OPERATION, s));
            Ok((profiles.collect::<Result<_, _>>()?, page.next_token))
        }
    })
    .await
}

fn profile(api: &DataZone, operation: &'static str, summary: UserProfileSummary) -> Result<Profile, Failure> {
    let odd = |what: String| api.caller.failure(operation, Class::Invalid, what);
    let id = summary.id.ok_or_else(|| odd("a profile has no id".into()))?;
    let status = summary.status.as_ref().map_or("", |s| s.as_str());
    let status = Status::parse(status)
        .ok_or_else(|| odd(format!("profile {id} has the unknown status `{status}`")))?;
    let identity = match summary.details {
        Some(UserProfileDetails::Sso(sso)) => Identity::Sso {
            user_name: sso.username.ok_or_else(|| odd(format!("profile {id} has no user name")))?,
        },
        Some(UserProfileDetails::Iam(iam)) => Identity::Iam {
            arn: iam.arn.ok_or_else(|| odd(format!("profile {id} has no ARN")))?,
            session: iam.session_name,
            principal_id: iam.principal_id,
        },
        _ => return Err(odd(format!("profile {id} is of a kind this version does not know"))),
    };
    Ok(Profile { id, identity, status })
}

/// The members of a project that are users; nothing when the domain has no such project or rosterd may
/// not see it, for one project must not hold the domain back.
pub async fn project_members(
    api: &DataZone,
    caller: &Caller,
    project: &str,
) -> Result<Option<HashMap<String, Designation>>, Failure> {
    const OPERATION: &str = "ListProjectMemberships";
    let members = pages::all(&api.caller, OPERATION, |token| async move {
        let call = || {
            let request = api.client.list_project_memberships().domain_identifier(&api.domain_id);
            request.project_identifier(project).max_results(PAGE).set_next_token(token.clone()).send()
        };
        let page = caller.call(OPERATION, call).await?;
        let members = page.members.iter().filter_map(|m| member(api, m).transpose());
        Ok((members.collect::<Result<_, _>>()?, page.next_token))
    })
    .await;
    match members {
        Ok(members) => Ok(Some(members.into_iter().collect::<HashMap<_, _>>())),
        Err(failure) if matches!(failure.class, Class::NotFound | Class::Denied) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Groups may be members too; they are nobody's membership here.
fn member(api: &DataZone, member: &ProjectMember) -> Result<Option<(String, Designation)>, Failure> {
    let Some(Ok(user)) = member.member_details.as_ref().map(|d| d.as_user()) else { return Ok(None) };
    let name = member.designation.as_str();
    let kind = DesignationKind::parse(name).ok_or_else(|| {
        let what = format!("member {} has the unknown designation `{name}`", user.user_id);
        api.caller.failure("ListProjectMemberships", Class::Invalid, what)
    })?;
    let id = member.user_created_designation_id.clone().filter(|_| kind == DesignationKind::UserCreated);
    Ok(Some((user.user_id.clone(), Designation { kind, id })))
}

/// The SDK's value of a designation.
pub fn wire(kind: DesignationKind) -> UserDesignation {
    UserDesignation::from(kind.word())
}
