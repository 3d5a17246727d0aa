//! QuickSight: eleven operations, as the service model 2018-04-01 states them and as the service behaves.

use serde_json::{Map, Value, json};

use super::model::{
    Member, Operation, Refusal, Request, Shape, TEXT, optional, page, page_start, required, text,
};
use super::world::{Namespace, QuickSightGroup, QuickSightUser, World, seen};

const SERVICE: &str = "quicksight";
const ACCOUNT: Member = required("AwsAccountId", text(12, 12, "[0-9]{12}"));
const NAMESPACE: Member = required("Namespace", text(0, 64, "[a-zA-Z0-9._-]*"));
const NAME: Shape = text(1, usize::MAX, r"[\u{20}-\u{FF}]+");
const MEMBER_NAME: Shape = text(1, 256, r"[\u{20}-\u{FF}]+");
const CUSTOM: Shape = text(1, 64, "[a-zA-Z0-9+=,.@_-]+");
const ROLE: Shape = Shape::OneOf(&[
    "ADMIN",
    "AUTHOR",
    "READER",
    "RESTRICTED_AUTHOR",
    "RESTRICTED_READER",
    "ADMIN_PRO",
    "AUTHOR_PRO",
    "READER_PRO",
]);
const NEXT: Member = optional("NextToken", TEXT).query("next-token");
const PAGE: Member = optional("MaxResults", Shape::Integer { min: 1, max: 100 }).query("max-results");
const USER: Member = required("UserName", NAME);
const GROUP: Member = required("GroupName", NAME);
const TAG: Shape =
    Shape::Structure(&[required("Key", text(1, 128, "")), required("Value", text(1, 256, ""))]);

const fn operation(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    input: &'static [Member],
    run: fn(&mut World, &Request) -> Result<Value, Refusal>,
) -> Operation {
    Operation { service: SERVICE, name, method, path, status: 200, input, run }
}

/// The operations.
pub const OPERATIONS: &[Operation] = &[
    operation(
        "RegisterUser",
        "POST",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/users",
        &[
            ACCOUNT,
            NAMESPACE,
            required("IdentityType", Shape::OneOf(&["IAM", "QUICKSIGHT", "IAM_IDENTITY_CENTER"])),
            required("Email", TEXT),
            required("UserRole", ROLE),
            optional("IamArn", TEXT),
            optional("SessionName", text(2, 64, r"[a-zA-Z0-9_+=.@-]*")),
            optional("UserName", NAME),
            optional("CustomPermissionsName", CUSTOM),
            optional("ExternalLoginFederationProviderType", TEXT),
            optional("CustomFederationProviderUrl", TEXT),
            optional("ExternalLoginId", TEXT),
            optional("Tags", Shape::List { of: &TAG, min: 1, max: 200 }),
        ],
        register_user,
    ),
    operation(
        "UpdateUser",
        "PUT",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/users/{UserName}",
        &[
            ACCOUNT,
            NAMESPACE,
            USER,
            required("Email", TEXT),
            required("Role", ROLE),
            optional("CustomPermissionsName", CUSTOM),
            optional("UnapplyCustomPermissions", Shape::Boolean),
            optional("ExternalLoginFederationProviderType", TEXT),
            optional("CustomFederationProviderUrl", TEXT),
            optional("ExternalLoginId", TEXT),
        ],
        update_user,
    ),
    operation(
        "DescribeUser",
        "GET",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/users/{UserName}",
        &[ACCOUNT, NAMESPACE, USER],
        describe_user,
    ),
    operation(
        "ListUsers",
        "GET",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/users",
        &[ACCOUNT, NAMESPACE, NEXT, PAGE],
        list_users,
    ),
    operation(
        "DeleteUser",
        "DELETE",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/users/{UserName}",
        &[ACCOUNT, NAMESPACE, USER],
        delete_user,
    ),
    operation(
        "DeleteUserByPrincipalId",
        "DELETE",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/user-principals/{PrincipalId}",
        &[ACCOUNT, NAMESPACE, required("PrincipalId", TEXT)],
        delete_by_principal_id,
    ),
    operation(
        "CreateGroup",
        "POST",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/groups",
        &[ACCOUNT, NAMESPACE, GROUP, optional("Description", text(1, 512, ""))],
        create_group,
    ),
    operation(
        "ListGroups",
        "GET",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/groups",
        &[ACCOUNT, NAMESPACE, NEXT, PAGE],
        list_groups,
    ),
    operation(
        "CreateGroupMembership",
        "PUT",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/groups/{GroupName}/members/{MemberName}",
        &[ACCOUNT, NAMESPACE, GROUP, required("MemberName", MEMBER_NAME)],
        create_membership,
    ),
    operation(
        "DeleteGroupMembership",
        "DELETE",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/groups/{GroupName}/members/{MemberName}",
        &[ACCOUNT, NAMESPACE, GROUP, required("MemberName", MEMBER_NAME)],
        delete_membership,
    ),
    operation(
        "ListGroupMemberships",
        "GET",
        "/accounts/{AwsAccountId}/namespaces/{Namespace}/groups/{GroupName}/members",
        &[ACCOUNT, NAMESPACE, GROUP, NEXT, PAGE],
        list_memberships,
    ),
];

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::invalid(SERVICE, message)
}

fn namespace<'w>(world: &'w mut World, request: &Request) -> Result<&'w mut Namespace, Refusal> {
    let (id, name) = (request.needed("AwsAccountId"), request.needed("Namespace"));
    let account =
        world.accounts.get_mut(id).ok_or_else(|| Refusal::missing(SERVICE, format!("account {id}")))?;
    if account.identity_region != request.region {
        let message = format!(
            "Operation is being called from endpoint {}, but your identity region is {}. Please use the {} endpoint.",
            request.region, account.identity_region, account.identity_region
        );
        return Err(Refusal::new(SERVICE, "AccessDeniedException", message));
    }
    account.namespaces.get_mut(name).ok_or_else(|| Refusal::missing(SERVICE, format!("namespace {name}")))
}

/// What an account that signs in through Identity Center leaves to Identity Center.
fn refuse_identity_center(world: &World, request: &Request) -> Result<(), Refusal> {
    match world.accounts.get(request.needed("AwsAccountId")) {
        Some(account) if account.identity_center => Err(Refusal::new(
            SERVICE,
            "AccessDeniedException",
            "This operation is not available for accounts that use IAM Identity Center",
        )),
        _ => Ok(()),
    }
}

fn arn(request: &Request, kind: &str, name: &str) -> String {
    let (account, namespace) = (request.needed("AwsAccountId"), request.needed("Namespace"));
    format!("arn:aws:quicksight:{}:{account}:{kind}/{namespace}/{name}", request.region)
}

fn user_json(request: &Request, principal_id: &str, user: &QuickSightUser) -> Value {
    let mut json = Map::new();
    json.insert("Arn".into(), json!(arn(request, "user", &user.user_name)));
    json.insert("UserName".into(), json!(user.user_name));
    json.insert("Email".into(), json!(user.email));
    json.insert("Role".into(), json!(user.role));
    json.insert("IdentityType".into(), json!(user.identity_type));
    json.insert("Active".into(), json!(user.active));
    json.insert("PrincipalId".into(), json!(principal_id));
    json.extend(user.custom_permissions.as_ref().map(|n| ("CustomPermissionsName".into(), json!(n))));
    if let Some((kind, url, id)) = &user.external_login {
        json.insert("ExternalLoginFederationProviderType".into(), json!(kind));
        let url = url.as_deref().unwrap_or("cognito-identity.amazonaws.com");
        json.insert("ExternalLoginFederationProviderUrl".into(), json!(url));
        json.insert("ExternalLoginId".into(), json!(id));
    }
    Value::Object(json)
}

type Login = Option<(String, Option<String>, String)>;

/// The external login a request states: nothing stated, cleared, or set.
fn login(request: &Request) -> Result<Option<Login>, Refusal> {
    let url = request.text("CustomFederationProviderUrl").map(str::to_string);
    let id = request.text("ExternalLoginId").map(str::to_string);
    match (request.text("ExternalLoginFederationProviderType"), url, id) {
        (None, None, None) => Ok(None),
        (None, ..) => Err(invalid("ExternalLoginFederationProviderType is missing")),
        (Some("NONE"), None, None) => Ok(Some(None)),
        (Some("COGNITO"), None, Some(id)) => Ok(Some(Some(("COGNITO".into(), None, id)))),
        (Some("COGNITO"), Some(_), _) => {
            Err(invalid("CustomFederationProviderUrl goes with CUSTOM_OIDC only"))
        }
        (Some("CUSTOM_OIDC"), Some(url), Some(id)) => Ok(Some(Some(("CUSTOM_OIDC".into(), Some(url), id)))),
        (Some(kind), ..) => Err(invalid(format!("the external login {kind} is not complete or not known"))),
    }
}

fn register_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let (number, lag) = (world.next_number(), world.lag);
    let namespace = namespace(world, request)?;
    let identity_type = request.needed("IdentityType");
    if !request.needed("Email").contains('@') {
        return Err(invalid("Email is no e-mail address"));
    }
    let user_name = match (identity_type, request.text("IamArn"), request.text("UserName")) {
        ("IAM", None, _) => return Err(invalid("IamArn is required for IdentityType IAM")),
        ("IAM", Some(_), Some(_)) => {
            return Err(invalid("UserName is assigned by the service for IdentityType IAM"));
        }
        ("IAM", Some(arn), None) => {
            let name = arn.rsplit('/').next().unwrap_or(arn);
            match (arn.contains(":role/"), request.text("SessionName")) {
                (true, Some(session)) => format!("{name}/{session}"),
                (true, None) => return Err(invalid("SessionName is required for an IAM role")),
                (false, Some(_)) => return Err(invalid("SessionName goes with an IAM role only")),
                (false, None) => name.to_string(),
            }
        }
        (_, Some(_), _) => return Err(invalid("IamArn goes with IdentityType IAM only")),
        (_, None, None) => return Err(invalid("UserName is required for this IdentityType")),
        (_, None, Some(name)) => name.to_string(),
    };
    if namespace.by_name.contains_key(&user_name.to_lowercase()) {
        return Err(Refusal::new(
            SERVICE,
            "ResourceExistsException",
            format!("user {user_name} already exists"),
        ));
    }
    let tags = request.value("Tags").and_then(Value::as_array).into_iter().flatten();
    let tag = |t: &Value, key: &str| t.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
    let user = QuickSightUser {
        user_name: user_name.clone(),
        email: request.needed("Email").into(),
        role: request.needed("UserRole").into(),
        identity_type: identity_type.into(),
        active: identity_type == "IAM",
        custom_permissions: request.text("CustomPermissionsName").map(str::to_string),
        external_login: login(request)?.flatten(),
        tags: tags.map(|t| (tag(t, "Key"), tag(t, "Value"))).collect(),
        hidden: lag,
    };
    let principal_id = format!("federated/{}/{number:012x}", identity_type.to_lowercase());
    let mut answer = json!({ "User": user_json(request, &principal_id, &user), "Status": 200 });
    if identity_type == "QUICKSIGHT" {
        answer["UserInvitationUrl"] =
            json!(format!("https://signin.aws.amazon.com/inviteuser?token={number:012x}"));
    }
    namespace.by_name.insert(user_name.to_lowercase(), principal_id.clone());
    namespace.users.insert(principal_id, user);
    Ok(answer)
}

/// The principal id of a user that can be seen.
fn find(namespace: &mut Namespace, name: &str) -> Result<String, Refusal> {
    let missing = || Refusal::missing(SERVICE, format!("user {name}"));
    let id = namespace.by_name.get(&name.to_lowercase()).cloned().ok_or_else(missing)?;
    let user = namespace.users.get_mut(&id).ok_or_else(missing)?;
    if seen(&mut user.hidden) { Ok(id) } else { Err(missing()) }
}

fn update_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let namespace = namespace(world, request)?;
    let id = find(namespace, request.needed("UserName"))?;
    let login = login(request)?;
    let user = namespace.users.get_mut(&id).ok_or_else(|| Refusal::missing(SERVICE, &id))?;
    let (old, new) = (user.role.as_str(), request.needed("Role"));
    if !old.contains("READER") && new.contains("READER") {
        return Err(invalid(format!(
            "The role of user {} cannot be downgraded from {old} to {new}",
            user.user_name
        )));
    }
    let custom = request.text("CustomPermissionsName");
    let unapply = request.value("UnapplyCustomPermissions").and_then(Value::as_bool) == Some(true);
    if custom.is_some() && unapply {
        return Err(invalid("CustomPermissionsName and UnapplyCustomPermissions exclude each other"));
    }
    user.role = new.into();
    user.email = request.needed("Email").into();
    if custom.is_some() || unapply {
        user.custom_permissions = custom.map(str::to_string);
    }
    if let Some(login) = login {
        user.external_login = login;
    }
    Ok(json!({ "User": user_json(request, &id, user), "Status": 200 }))
}

fn describe_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let namespace = namespace(world, request)?;
    let id = find(namespace, request.needed("UserName"))?;
    Ok(json!({ "User": user_json(request, &id, &namespace.users[&id]), "Status": 200 }))
}

fn start(request: &Request) -> Result<(std::ops::Bound<String>, usize), Refusal> {
    let bad = |()| Refusal::new(SERVICE, "InvalidNextTokenException", "the NextToken value is not valid");
    let start = page_start(request.text("NextToken")).map_err(bad)?;
    let from = start.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    Ok((from, request.page_size("MaxResults", 100)))
}

fn list_users(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let namespace = namespace(world, request)?;
    let (from, size) = start(request)?;
    let all = namespace.users.range_mut((from, std::ops::Bound::Unbounded));
    let all = all.filter_map(|(id, u)| seen(&mut u.hidden).then_some((id, (id, &*u))));
    let (users, token) = page(all, size);
    let users: Vec<Value> = users.into_iter().map(|(id, u)| user_json(request, id, u)).collect();
    Ok(json!({ "UserList": users, "NextToken": token, "Status": 200 }))
}

fn remove(namespace: &mut Namespace, principal_id: &str) -> Result<Value, Refusal> {
    let user = namespace
        .users
        .remove(principal_id)
        .ok_or_else(|| Refusal::missing(SERVICE, format!("principal {principal_id}")))?;
    namespace.by_name.remove(&user.user_name.to_lowercase());
    for group in namespace.groups.values_mut() {
        group.members.remove(&user.user_name);
    }
    Ok(json!({ "Status": 200 }))
}

fn delete_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    refuse_identity_center(world, request)?;
    let namespace = namespace(world, request)?;
    let id = find(namespace, request.needed("UserName"))?;
    remove(namespace, &id)
}

fn delete_by_principal_id(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    refuse_identity_center(world, request)?;
    remove(namespace(world, request)?, request.needed("PrincipalId"))
}

fn group_json(request: &Request, name: &str, group: &QuickSightGroup) -> Value {
    let mut json = json!({ "Arn": arn(request, "group", name), "GroupName": name, "PrincipalId": format!("group/{name}") });
    if let Some(description) = &group.description {
        json["Description"] = json!(description);
    }
    json
}

fn create_group(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    refuse_identity_center(world, request)?;
    let namespace = namespace(world, request)?;
    let name = request.needed("GroupName");
    if namespace.groups.contains_key(name) {
        return Err(Refusal::new(SERVICE, "ResourceExistsException", format!("group {name} already exists")));
    }
    let description = request.text("Description").map(str::to_string);
    let group = QuickSightGroup { description, ..QuickSightGroup::default() };
    let answer = json!({ "Group": group_json(request, name, &group), "Status": 200 });
    namespace.groups.insert(name.into(), group);
    Ok(answer)
}

fn list_groups(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let namespace = namespace(world, request)?;
    let (from, size) = start(request)?;
    let all = namespace.groups.range((from, std::ops::Bound::Unbounded)).map(|(name, g)| (name, (name, g)));
    let (groups, token) = page(all, size);
    let groups: Vec<Value> = groups.into_iter().map(|(name, g)| group_json(request, name, g)).collect();
    Ok(json!({ "GroupList": groups, "NextToken": token, "Status": 200 }))
}

fn group<'n>(namespace: &'n mut Namespace, request: &Request) -> Result<&'n mut QuickSightGroup, Refusal> {
    let name = request.needed("GroupName");
    namespace.groups.get_mut(name).ok_or_else(|| Refusal::missing(SERVICE, format!("group {name}")))
}

fn create_membership(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    refuse_identity_center(world, request)?;
    let namespace = namespace(world, request)?;
    group(namespace, request)?;
    let id = find(namespace, request.needed("MemberName"))?;
    let name = namespace.users[&id].user_name.clone();
    group(namespace, request)?.members.insert(name.clone());
    Ok(json!({ "GroupMember": { "Arn": arn(request, "user", &name), "MemberName": name }, "Status": 200 }))
}

fn delete_membership(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    refuse_identity_center(world, request)?;
    let namespace = namespace(world, request)?;
    let name = request.needed("MemberName");
    if !group(namespace, request)?.members.remove(name) {
        return Err(Refusal::missing(SERVICE, format!("member {name}")));
    }
    Ok(json!({ "Status": 200 }))
}

fn list_memberships(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let namespace = namespace(world, request)?;
    let (from, size) = start(request)?;
    let members = &group(namespace, request)?.members;
    let all = members.range((from, std::ops::Bound::Unbounded)).map(|name| (name, name));
    let (names, token) = page(all, size);
    let members: Vec<Value> = names
        .into_iter()
        .map(|name| json!({ "Arn": arn(request, "user", name), "MemberName": name }))
        .collect();
    Ok(json!({ "GroupMemberList": members, "NextToken": token, "Status": 200 }))
}
