//! DataZone: seven operations, as the service model 2018-05-10 states them and as the service behaves.

use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::model::{
    Member, Operation, Refusal, Request, Shape, TEXT, optional, page, page_start, required, text,
};
use super::world::{Domain, Membership, Profile, World, seen};

const SERVICE: &str = "datazone";
const ID: Shape = text(0, usize::MAX, r"dzd[-_][a-zA-Z0-9_-]{1,36}");
const USER: Shape = text(
    0,
    usize::MAX,
    r"(([0-9a-f]{10}-|)[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}|[a-zA-Z_0-9+=,.@-]+|arn:aws:iam::[0-9]{12}:.+)",
);
const PROJECT: Shape = text(0, usize::MAX, r"[a-zA-Z0-9_-]{1,36}");
const SESSION: Shape = text(2, 64, "");
const TOKEN: Shape = text(1, 8192, "");
const PAGE: Shape = Shape::Integer { min: 1, max: 50 };
const STATUS: Shape = Shape::OneOf(&["ASSIGNED", "NOT_ASSIGNED", "ACTIVATED", "DEACTIVATED"]);
const TYPE: Shape = Shape::OneOf(&["IAM", "SSO"]);
const MEMBER: Shape = Shape::Union(&[optional("userIdentifier", TEXT), optional("groupIdentifier", TEXT)]);
const DESIGNATION: Shape = Shape::OneOf(&[
    "PROJECT_OWNER",
    "PROJECT_CONTRIBUTOR",
    "PROJECT_CATALOG_VIEWER",
    "PROJECT_CATALOG_CONSUMER",
    "PROJECT_CATALOG_STEWARD",
    "USER_CREATED_DESIGNATION",
]);
const DOMAIN: Member = required("domainIdentifier", ID);

/// The operations.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        service: SERVICE,
        name: "CreateUserProfile",
        method: "POST",
        path: "/v2/domains/{domainIdentifier}/user-profiles",
        status: 201,
        input: &[
            DOMAIN,
            required("userIdentifier", USER),
            optional("userType", Shape::OneOf(&["IAM_USER", "IAM_ROLE", "SSO_USER", "IAM_ROLE_SESSION"])),
            optional("sessionName", SESSION),
            optional("clientToken", TEXT),
        ],
        run: create_user_profile,
    },
    Operation {
        service: SERVICE,
        name: "GetUserProfile",
        method: "GET",
        path: "/v2/domains/{domainIdentifier}/user-profiles/{userIdentifier}",
        status: 200,
        input: &[
            DOMAIN,
            required("userIdentifier", USER),
            optional("type", TYPE).query("type"),
            optional("sessionName", SESSION).query("sessionName"),
        ],
        run: get_user_profile,
    },
    Operation {
        service: SERVICE,
        name: "UpdateUserProfile",
        method: "PUT",
        path: "/v2/domains/{domainIdentifier}/user-profiles/{userIdentifier}",
        status: 200,
        input: &[
            DOMAIN,
            required("userIdentifier", USER),
            optional("type", TYPE),
            required("status", STATUS),
            optional("sessionName", SESSION),
        ],
        run: update_user_profile,
    },
    Operation {
        service: SERVICE,
        name: "SearchUserProfiles",
        method: "POST",
        path: "/v2/domains/{domainIdentifier}/search-user-profiles",
        status: 200,
        input: &[
            DOMAIN,
            required(
                "userType",
                Shape::OneOf(&["SSO_USER", "DATAZONE_USER", "DATAZONE_SSO_USER", "DATAZONE_IAM_USER"]),
            ),
            optional("searchText", text(0, 1024, "")),
            optional("maxResults", PAGE),
            optional("nextToken", TOKEN),
        ],
        run: search_user_profiles,
    },
    Operation {
        service: SERVICE,
        name: "CreateProjectMembership",
        method: "POST",
        path: "/v2/domains/{domainIdentifier}/projects/{projectIdentifier}/createMembership",
        status: 201,
        input: &[
            DOMAIN,
            required("projectIdentifier", PROJECT),
            required("member", MEMBER),
            required("designation", DESIGNATION),
            optional("userCreatedDesignationId", PROJECT),
        ],
        run: create_membership,
    },
    Operation {
        service: SERVICE,
        name: "DeleteProjectMembership",
        method: "POST",
        path: "/v2/domains/{domainIdentifier}/projects/{projectIdentifier}/deleteMembership",
        status: 204,
        input: &[DOMAIN, required("projectIdentifier", PROJECT), required("member", MEMBER)],
        run: delete_membership,
    },
    Operation {
        service: SERVICE,
        name: "ListProjectMemberships",
        method: "GET",
        path: "/v2/domains/{domainIdentifier}/projects/{projectIdentifier}/memberships",
        status: 200,
        input: &[
            DOMAIN,
            required("projectIdentifier", PROJECT),
            optional("sortBy", Shape::OneOf(&["NAME"])).query("sortBy"),
            optional("sortOrder", Shape::OneOf(&["ASCENDING", "DESCENDING"])).query("sortOrder"),
            optional("nextToken", TOKEN).query("nextToken"),
            optional("maxResults", PAGE).query("maxResults"),
        ],
        run: list_memberships,
    },
];

fn domain<'w>(world: &'w mut World, request: &Request) -> Result<&'w mut Domain, Refusal> {
    let id = request.needed("domainIdentifier");
    let found = world.domains.get_mut(id).filter(|d| d.region == request.region);
    found.ok_or_else(|| Refusal::missing(SERVICE, format!("domain {id} in {}", request.region)))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid(SERVICE, message)
}

fn create_user_profile(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let (number, lag) = (world.next_number(), world.lag);
    let domain = domain(world, request)?;
    let token = request.text("clientToken").map(str::to_string);
    if let Some(id) = token.as_ref().and_then(|t| domain.tokens.get(t)).cloned() {
        return Ok(profile_json(request, &id, &domain.profiles[&id]));
    }
    let identifier = request.needed("userIdentifier");
    let session = request.text("sessionName").map(str::to_string);
    let is_arn = identifier.starts_with("arn:");
    let kind = request.text("userType").unwrap_or(if is_arn { "IAM_USER" } else { "SSO_USER" });
    let fits = match kind {
        "SSO_USER" => !is_arn,
        "IAM_USER" => is_arn && identifier.contains(":user/"),
        _ => is_arn && identifier.contains(":role/"),
    };
    if !fits {
        return Err(invalid(format!("userIdentifier '{identifier}' does not fit userType {kind}")));
    }
    if (kind == "IAM_ROLE_SESSION") != session.is_some() {
        return Err(invalid("sessionName goes with userType IAM_ROLE_SESSION, and with it alone"));
    }
    if kind == "SSO_USER" && request.under_way > 1 {
        return Err(invalid("Identity Center: There is a conflicting operation in process"));
    }
    let mut profile = Profile { hidden: lag, ..Profile::default() };
    if kind == "SSO_USER" {
        if !domain.directory.is_empty() && !domain.directory.contains(identifier) {
            return Err(Refusal::missing(SERVICE, format!("user {identifier}")));
        }
        profile.user_name = Some(identifier.into());
        profile.status = "ASSIGNED".into();
    } else {
        profile.arn = Some(identifier.into());
        profile.session_name = session;
        let prefix = if kind == "IAM_USER" { "AIDA" } else { "AROA" };
        profile.principal_id = Some(format!("{prefix}{:016X}", hash(identifier)));
        let foreign = domain.account.as_ref().is_some_and(|own| identifier.split(':').nth(4) != Some(own));
        let starts = if foreign && kind != "IAM_USER" { "ASSIGNED" } else { "ACTIVATED" };
        profile.status = starts.into();
    }
    let identity = profile.identity();
    if domain.by_identity.contains_key(&identity) {
        return Err(invalid(format!("a user profile for {identifier} already exists")));
    }
    let id = format!("{:08x}-{:04x}-4000-8000-{number:012x}", hash(&identity) as u32, number as u16);
    let answer = profile_json(request, &id, &profile);
    domain.by_identity.insert(identity, id.clone());
    domain.profiles.insert(id.clone(), profile);
    domain.tokens.extend(token.map(|t| (t, id)));
    Ok(answer)
}

/// FNV-1a: ids that look random and are the same in every run.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// By profile id, by user name, or by ARN and session.
fn find(domain: &mut Domain, request: &Request) -> Result<String, Refusal> {
    let identifier = request.needed("userIdentifier");
    let missing = || Refusal::missing(SERVICE, format!("user profile {identifier}"));
    let session = request.text("sessionName");
    let by_identity = || {
        let is_it = |p: &Profile| match (&p.user_name, &p.arn) {
            (Some(name), _) => name == identifier,
            (None, arn) => arn.as_deref() == Some(identifier) && p.session_name.as_deref() == session,
        };
        domain.profiles.iter().find(|(_, p)| is_it(p)).map(|(id, _)| id.clone())
    };
    let id = if domain.profiles.contains_key(identifier) {
        identifier.to_string()
    } else {
        by_identity().ok_or_else(missing)?
    };
    let profile = domain.profiles.get_mut(&id).ok_or_else(missing)?;
    let of_type = request.text("type").is_none_or(|t| (t == "SSO") == profile.user_name.is_some());
    if of_type && seen(&mut profile.hidden) { Ok(id) } else { Err(missing()) }
}

fn get_user_profile(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let domain = domain(world, request)?;
    let id = find(domain, request)?;
    Ok(profile_json(request, &id, &domain.profiles[&id]))
}

fn update_user_profile(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let domain = domain(world, request)?;
    let id = find(domain, request)?;
    let profile = domain.profiles.get_mut(&id).ok_or_else(|| Refusal::missing(SERVICE, &id))?;
    let status = request.needed("status");
    if profile.user_name.is_none() && matches!(status, "ASSIGNED" | "NOT_ASSIGNED") {
        return Err(invalid(format!("an IAM user profile cannot become {status}")));
    }
    profile.status = status.into();
    Ok(profile_json(request, &id, profile))
}

fn profile_json(request: &Request, id: &str, profile: &Profile) -> Value {
    let details = match &profile.user_name {
        Some(name) => json!({ "sso": { "username": name } }),
        None => {
            let mut iam = Map::new();
            iam.extend(profile.arn.as_ref().map(|arn| ("arn".into(), json!(arn))));
            iam.extend(profile.principal_id.as_ref().map(|id| ("principalId".into(), json!(id))));
            iam.extend(profile.session_name.as_ref().map(|name| ("sessionName".into(), json!(name))));
            json!({ "iam": iam })
        }
    };
    let kind = if profile.user_name.is_some() { "SSO" } else { "IAM" };
    let domain = request.needed("domainIdentifier");
    json!({ "domainId": domain, "id": id, "type": kind, "status": profile.status, "details": details })
}

fn search_user_profiles(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let domain = domain(world, request)?;
    let start =
        page_start(request.text("nextToken")).map_err(|()| invalid("nextToken is not one of ours"))?;
    let size = request.page_size("maxResults", 50);
    let wanted = request.needed("userType");
    let search = request.text("searchText").unwrap_or_default();
    if wanted == "SSO_USER" {
        let all = domain.directory.iter().filter(|name| name.contains(search));
        let all = all.filter(|name| start.as_ref().is_none_or(|s| *name > s));
        let (names, token) = page(all.map(|name| (name, name)), size);
        let items: Vec<Value> = names
            .into_iter()
            .map(|name| json!({ "type": "SSO", "status": "NOT_ASSIGNED", "details": { "sso": { "username": name } } }))
            .collect();
        return Ok(json!({ "items": items, "nextToken": token }));
    }
    let from = start.map_or(Bound::Unbounded, Bound::Excluded);
    let fits = |p: &Profile| {
        let of_kind = match wanted {
            "DATAZONE_SSO_USER" => p.user_name.is_some(),
            "DATAZONE_IAM_USER" => p.user_name.is_none(),
            _ => true,
        };
        let name = p.user_name.as_deref().or(p.arn.as_deref()).unwrap_or_default();
        of_kind && name.contains(search)
    };
    let all = domain.profiles.range_mut((from, Bound::Unbounded));
    let all = all.filter_map(|(id, p)| (fits(p) && seen(&mut p.hidden)).then_some((id, (id, &*p))));
    let (profiles, token) = page(all, size);
    let items: Vec<Value> = profiles.into_iter().map(|(id, p)| profile_json(request, id, p)).collect();
    Ok(json!({ "items": items, "nextToken": token }))
}

fn membership_parts<'w>(
    world: &'w mut World,
    request: &Request,
) -> Result<(&'w mut Domain, String, String, bool), Refusal> {
    let domain = domain(world, request)?;
    let project = request.needed("projectIdentifier").to_string();
    if !domain.projects.contains_key(&project) {
        return Err(Refusal::missing(SERVICE, format!("project {project}")));
    }
    let member = request.value("member").and_then(Value::as_object);
    let user = member.and_then(|m| m.get("userIdentifier")).and_then(Value::as_str);
    let group = member.and_then(|m| m.get("groupIdentifier")).and_then(Value::as_str);
    let id = user.or(group).unwrap_or_default().to_string();
    Ok((domain, project, id, group.is_some()))
}

fn create_membership(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let (domain, project, id, group) = membership_parts(world, request)?;
    let designation = request.needed("designation").to_string();
    let designation_id = request.text("userCreatedDesignationId").map(str::to_string);
    if (designation == "USER_CREATED_DESIGNATION") != designation_id.is_some() {
        return Err(invalid(
            "userCreatedDesignationId goes with USER_CREATED_DESIGNATION, and with it alone",
        ));
    }
    let visible = group || domain.profiles.get_mut(&id).is_some_and(|p| seen(&mut p.hidden));
    if !visible {
        return Err(Refusal::missing(SERVICE, format!("member {id}")));
    }
    let members = domain.projects.entry(project.clone()).or_default();
    if members.contains_key(&id) {
        return Err(invalid(format!("{id} is already a member of project {project}")));
    }
    members.insert(id, Membership { designation, designation_id, group });
    Ok(json!({}))
}

fn delete_membership(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let (domain, project, id, _) = membership_parts(world, request)?;
    let removed = domain.projects.get_mut(&project).and_then(|members| members.remove(&id));
    removed.map(|_| Value::Null).ok_or_else(|| Refusal::missing(SERVICE, format!("member {id} of {project}")))
}

fn list_memberships(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let domain = domain(world, request)?;
    let project = request.needed("projectIdentifier");
    let members = domain
        .projects
        .get(project)
        .ok_or_else(|| Refusal::missing(SERVICE, format!("project {project}")))?;
    let start =
        page_start(request.text("nextToken")).map_err(|()| invalid("nextToken is not one of ours"))?;
    let bound = start.map_or(Bound::Unbounded, Bound::Excluded);
    let size = request.page_size("maxResults", 50);
    let (members, token) = if request.text("sortOrder") == Some("DESCENDING") {
        page(members.range((Bound::Unbounded, bound)).rev().map(|(id, m)| (id, (id, m))), size)
    } else {
        page(members.range((bound, Bound::Unbounded)).map(|(id, m)| (id, (id, m))), size)
    };
    let members: Vec<Value> = members
        .into_iter()
        .map(|(id, m)| {
            let details = if m.group {
                json!({ "group": { "groupId": id } })
            } else {
                json!({ "user": { "userId": id } })
            };
            let mut member = json!({ "memberDetails": details, "designation": m.designation });
            if let Some(id) = &m.designation_id {
                member["userCreatedDesignationId"] = json!(id);
            }
            member
        })
        .collect();
    Ok(json!({ "members": members, "nextToken": token }))
}
