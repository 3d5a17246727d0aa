//! FinSpace Data: eleven operations, as the service model 2020-07-13 states them and as the service
//! behaves. The environment is the one of the Region a request is signed for.

use serde_json::{Map, Value, json};

use super::model::{
    Member, Operation, Refusal, Request, Shape, TEXT, optional, page, page_start, required, text,
};
use super::world::{Environment, FinSpaceUser, PermissionGroup, World, seen};

const SERVICE: &str = "finspace";
const ID: Shape = text(1, 26, r".*\S.*");
const EMAIL: Shape = text(4, 320, r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,4}");
const PERSON: Shape = text(1, 50, r".*\S.*");
const TYPE: Shape = Shape::OneOf(&["SUPER_USER", "APP_USER"]);
const API_ACCESS: Member = optional("apiAccess", Shape::OneOf(&["ENABLED", "DISABLED"]));
const PRINCIPAL: Member = optional(
    "apiAccessPrincipalArn",
    text(20, 2048, r"arn:aws[a-z\-]*:iam::[0-9]{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
);
const CLIENT_TOKEN: Member = optional("clientToken", text(1, 128, r".*\S.*"));
const PAGE: Member = required("maxResults", Shape::Integer { min: 1, max: 100 }).query("maxResults");
const NEXT: Member = optional("nextToken", TEXT).query("nextToken");
const USER: Member = required("userId", ID);
const GROUP: Member = required("permissionGroupId", ID);
const PERMISSION: Shape = Shape::OneOf(&[
    "CreateDataset",
    "ManageClusters",
    "ManageUsersAndGroups",
    "ManageAttributeSets",
    "ViewAuditData",
    "AccessNotebooks",
    "GetTemporaryCredentials",
]);

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
        "CreateUser",
        "POST",
        "/user",
        &[
            required("emailAddress", EMAIL),
            required("type", TYPE),
            optional("firstName", PERSON),
            optional("lastName", PERSON),
            API_ACCESS,
            PRINCIPAL,
            CLIENT_TOKEN,
        ],
        create_user,
    ),
    operation("GetUser", "GET", "/user/{userId}", &[USER], get_user),
    operation(
        "UpdateUser",
        "PUT",
        "/user/{userId}",
        &[
            USER,
            optional("type", TYPE),
            optional("firstName", PERSON),
            optional("lastName", PERSON),
            API_ACCESS,
            PRINCIPAL,
            CLIENT_TOKEN,
        ],
        update_user,
    ),
    operation("ListUsers", "GET", "/user", &[NEXT, PAGE], list_users),
    operation("EnableUser", "POST", "/user/{userId}/enable", &[USER, CLIENT_TOKEN], enable_user),
    operation("DisableUser", "POST", "/user/{userId}/disable", &[USER, CLIENT_TOKEN], disable_user),
    operation(
        "CreatePermissionGroup",
        "POST",
        "/permission-group",
        &[
            required("name", text(1, 255, r".*\S.*")),
            optional("description", text(1, 4000, "")),
            required("applicationPermissions", Shape::List { of: &PERMISSION, min: 0, max: usize::MAX }),
            CLIENT_TOKEN,
        ],
        create_group,
    ),
    operation("ListPermissionGroups", "GET", "/permission-group", &[NEXT, PAGE], list_groups),
    operation(
        "ListUsersByPermissionGroup",
        "GET",
        "/permission-group/{permissionGroupId}/users",
        &[GROUP, NEXT, PAGE],
        list_members,
    ),
    operation(
        "AssociateUserToPermissionGroup",
        "POST",
        "/permission-group/{permissionGroupId}/users/{userId}",
        &[GROUP, USER, CLIENT_TOKEN],
        associate,
    ),
    operation(
        "DisassociateUserFromPermissionGroup",
        "DELETE",
        "/permission-group/{permissionGroupId}/users/{userId}",
        &[GROUP, USER, optional("clientToken", text(1, 128, r".*\S.*")).query("clientToken")],
        disassociate,
    ),
];

fn environment<'w>(world: &'w mut World, request: &Request) -> Result<&'w mut Environment, Refusal> {
    let missing = || {
        let message = format!("no FinSpace environment in {}", request.region);
        Refusal::new(SERVICE, "AccessDeniedException", message)
    };
    world.environments.get_mut(&request.region).ok_or_else(missing)
}

fn conflict(message: impl Into<String>) -> Refusal {
    Refusal::new(SERVICE, "ConflictException", message)
}

fn user<'e>(environment: &'e mut Environment, id: &str) -> Result<&'e mut FinSpaceUser, Refusal> {
    let missing = || Refusal::missing(SERVICE, format!("user {id}"));
    let user = environment.users.get_mut(id).ok_or_else(missing)?;
    if seen(&mut user.hidden) { Ok(user) } else { Err(missing()) }
}

fn user_json(id: &str, user: &FinSpaceUser) -> Map<String, Value> {
    let mut json = Map::new();
    json.insert("userId".into(), json!(id));
    json.insert("status".into(), json!(user.status));
    json.insert("emailAddress".into(), json!(user.email));
    json.insert("type".into(), json!(user.user_type));
    for (name, value) in [
        ("firstName", &user.first_name),
        ("lastName", &user.last_name),
        ("apiAccess", &user.api_access),
        ("apiAccessPrincipalArn", &user.api_access_principal_arn),
    ] {
        json.extend(value.as_ref().map(|v| (name.to_string(), json!(v))));
    }
    for time in ["createTime", "lastEnabledTime", "lastDisabledTime", "lastModifiedTime", "lastLoginTime"] {
        json.insert(time.into(), json!(0));
    }
    json
}

fn create_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let (number, lag) = (world.next_number(), world.lag);
    let environment = environment(world, request)?;
    let token = request.text("clientToken").map(|t| format!("CreateUser/{t}"));
    if let Some(id) = token.as_ref().and_then(|t| environment.tokens.get(t)) {
        return Ok(json!({ "userId": id }));
    }
    let email = request.needed("emailAddress");
    if environment.by_email.contains_key(&email.to_lowercase()) {
        return Err(conflict(format!("a user with the address {email} already exists")));
    }
    let text = |name: &str| request.text(name).map(str::to_string);
    let user = FinSpaceUser {
        email: email.into(),
        status: "CREATING".into(),
        user_type: request.needed("type").into(),
        first_name: text("firstName"),
        last_name: text("lastName"),
        api_access: Some(text("apiAccess").unwrap_or_else(|| "DISABLED".into())),
        api_access_principal_arn: text("apiAccessPrincipalArn"),
        hidden: lag,
    };
    let id = format!("u{number:025}");
    environment.by_email.insert(email.to_lowercase(), id.clone());
    environment.users.insert(id.clone(), user);
    environment.tokens.extend(token.map(|t| (t, id.clone())));
    Ok(json!({ "userId": id }))
}

fn get_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let id = request.needed("userId");
    let user = user(environment(world, request)?, id)?;
    let json = Value::Object(user_json(id, user));
    created(user);
    Ok(json)
}

/// A user is being created until somebody has looked once.
fn created(user: &mut FinSpaceUser) {
    if user.status == "CREATING" {
        user.status = "ENABLED".into();
    }
}

fn update_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let id = request.needed("userId");
    let user = user(environment(world, request)?, id)?;
    let set = |name: &str, field: &mut Option<String>| {
        if let Some(value) = request.text(name) {
            *field = Some(value.into());
        }
    };
    set("firstName", &mut user.first_name);
    set("lastName", &mut user.last_name);
    set("apiAccess", &mut user.api_access);
    set("apiAccessPrincipalArn", &mut user.api_access_principal_arn);
    if let Some(kind) = request.text("type") {
        user.user_type = kind.into();
    }
    Ok(json!({ "userId": id }))
}

fn start(request: &Request) -> Result<(std::ops::Bound<String>, usize), Refusal> {
    let bad = |()| Refusal::invalid(SERVICE, "nextToken is not valid");
    let start = page_start(request.text("nextToken")).map_err(bad)?;
    let from = start.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
    Ok((from, request.page_size("maxResults", 100)))
}

fn list_users(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let environment = environment(world, request)?;
    let (from, size) = start(request)?;
    let all = environment.users.range_mut((from, std::ops::Bound::Unbounded));
    let all = all.filter_map(|(id, u)| seen(&mut u.hidden).then_some((id, (id, u))));
    let (users, token) = page(all, size);
    let mut list = Vec::new();
    for (id, user) in users {
        list.push(Value::Object(user_json(id, user)));
        created(user);
    }
    Ok(json!({ "users": list, "nextToken": token }))
}

fn enable_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    set_status(world, request, "EnableUser", "ENABLED")
}

fn disable_user(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    set_status(world, request, "DisableUser", "DISABLED")
}

fn set_status(world: &mut World, request: &Request, operation: &str, status: &str) -> Result<Value, Refusal> {
    let environment = environment(world, request)?;
    let id = request.needed("userId");
    let token = request.text("clientToken").map(|t| format!("{operation}/{t}"));
    if token.as_ref().is_some_and(|t| environment.tokens.contains_key(t)) {
        return Ok(json!({ "userId": id }));
    }
    let user = user(environment, id)?;
    if user.status == status {
        return Err(conflict(format!("user {id} is {status} already")));
    }
    user.status = status.into();
    environment.tokens.extend(token.map(|t| (t, id.to_string())));
    Ok(json!({ "userId": id }))
}

fn create_group(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let number = world.next_number();
    let environment = environment(world, request)?;
    let token = request.text("clientToken").map(|t| format!("CreatePermissionGroup/{t}"));
    if let Some(id) = token.as_ref().and_then(|t| environment.tokens.get(t)) {
        return Ok(json!({ "permissionGroupId": id }));
    }
    let name = request.needed("name");
    if environment.groups.values().any(|g| g.name == name) {
        return Err(conflict(format!("permission group {name} already exists")));
    }
    let permissions = request.value("applicationPermissions").and_then(Value::as_array).into_iter().flatten();
    let group = PermissionGroup {
        name: name.into(),
        description: request.text("description").map(str::to_string),
        application_permissions: permissions.filter_map(Value::as_str).map(str::to_string).collect(),
        ..PermissionGroup::default()
    };
    let id = format!("g{number:025}");
    environment.groups.insert(id.clone(), group);
    environment.tokens.extend(token.map(|t| (t, id.clone())));
    Ok(json!({ "permissionGroupId": id }))
}

fn list_groups(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let environment = environment(world, request)?;
    let (from, size) = start(request)?;
    let all = environment.groups.range((from, std::ops::Bound::Unbounded)).map(|(id, g)| (id, (id, g)));
    let (groups, token) = page(all, size);
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(id, g)| {
            let mut json = json!({
                "permissionGroupId": id,
                "name": g.name,
                "applicationPermissions": g.application_permissions,
                "createTime": 0,
                "lastModifiedTime": 0,
            });
            if let Some(description) = &g.description {
                json["description"] = json!(description);
            }
            json
        })
        .collect();
    Ok(json!({ "permissionGroups": groups, "nextToken": token }))
}

fn group<'e>(environment: &'e mut Environment, id: &str) -> Result<&'e mut PermissionGroup, Refusal> {
    environment.groups.get_mut(id).ok_or_else(|| Refusal::missing(SERVICE, format!("permission group {id}")))
}

fn list_members(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    let environment = environment(world, request)?;
    let (from, size) = start(request)?;
    let id = request.needed("permissionGroupId");
    group(environment, id)?;
    let Environment { users, groups, .. } = environment;
    let Some(group) = groups.get_mut(id) else { return Err(Refusal::missing(SERVICE, id)) };
    let all =
        group.members.range((from, std::ops::Bound::Unbounded)).map(|(id, s)| (id, (id.clone(), s.clone())));
    let (members, token) = page(all, size);
    let mut list = Vec::new();
    for (user_id, status) in members {
        let Some(user) = users.get(&user_id) else { continue };
        let mut json = user_json(&user_id, user);
        json.retain(|name, _| !name.ends_with("Time"));
        json.insert("membershipStatus".into(), json!(status));
        list.push(Value::Object(json));
        // What is in progress has come to its end by the next look.
        match status.as_str() {
            "ADDITION_IN_PROGRESS" => _ = group.members.insert(user_id, "ADDITION_SUCCESS".into()),
            "REMOVAL_IN_PROGRESS" => _ = group.members.remove(&user_id),
            _ => {}
        }
    }
    Ok(json!({ "users": list, "nextToken": token }))
}

fn associate(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    membership(world, request, "Associate", |group, user_id| {
        if group.members.get(user_id).is_some_and(|s| s != "REMOVAL_IN_PROGRESS") {
            return Err(conflict(format!("user {user_id} is a member already")));
        }
        group.members.insert(user_id.into(), "ADDITION_IN_PROGRESS".into());
        Ok(())
    })
}

fn disassociate(world: &mut World, request: &Request) -> Result<Value, Refusal> {
    membership(world, request, "Disassociate", |group, user_id| {
        match group.members.get(user_id).map(String::as_str) {
            None => Err(Refusal::missing(SERVICE, format!("member {user_id}"))),
            Some("REMOVAL_IN_PROGRESS") => Err(conflict(format!("user {user_id} is being removed already"))),
            Some(_) => {
                group.members.insert(user_id.into(), "REMOVAL_IN_PROGRESS".into());
                Ok(())
            }
        }
    })
}

fn membership(
    world: &mut World,
    request: &Request,
    operation: &str,
    change: impl FnOnce(&mut PermissionGroup, &str) -> Result<(), Refusal>,
) -> Result<Value, Refusal> {
    let environment = environment(world, request)?;
    let user_id = request.needed("userId");
    let token = request.text("clientToken").map(|t| format!("{operation}/{t}"));
    if token.as_ref().is_some_and(|t| environment.tokens.contains_key(t)) {
        return Ok(json!({ "statusCode": 200 }));
    }
    user(environment, user_id)?;
    change(group(environment, request.needed("permissionGroupId"))?, user_id)?;
    environment.tokens.extend(token.map(|t| (t, user_id.to_string())));
    Ok(json!({ "statusCode": 200 }))
}
