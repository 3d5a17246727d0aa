"""Drives every operation of the sandbox with boto3: a client that shares no code with rosterd.

    python3 tests/clients/boto3_sandbox.py PATH/TO/rosterd

Each operation is called at least once with success and once with a refusal. At the end the operations
called are compared with those the sandbox serves; one that was never driven fails the run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

os.environ.update(
    AWS_ACCESS_KEY_ID="AKIATEST",
    AWS_SECRET_ACCESS_KEY="secret",
    AWS_EC2_METADATA_DISABLED="true",
)

import boto3  # noqa: E402
from botocore.auth import SigV4Auth  # noqa: E402
from botocore.awsrequest import AWSRequest  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

DOMAIN, ACCOUNT, REGION = "dzd_boto3", "111122223333", "us-east-1"
WORLD = {
    "domains": {DOMAIN: {"region": REGION, "projects": {"prj1": {}}, "directory": ["alice", "bob"]}},
    "accounts": {ACCOUNT: {"identity_region": REGION, "namespaces": {"default": {}}}},
    "environments": {REGION: {}},
}
OPERATIONS = {
    "datazone": "CreateUserProfile GetUserProfile UpdateUserProfile SearchUserProfiles "
    "CreateProjectMembership DeleteProjectMembership ListProjectMemberships",
    "quicksight": "RegisterUser UpdateUser DescribeUser ListUsers DeleteUser DeleteUserByPrincipalId "
    "CreateGroup ListGroups CreateGroupMembership DeleteGroupMembership ListGroupMemberships",
    "finspace": "CreateUser GetUser UpdateUser ListUsers EnableUser DisableUser CreatePermissionGroup "
    "ListPermissionGroups ListUsersByPermissionGroup AssociateUserToPermissionGroup "
    "DisassociateUserFromPermissionGroup",
}

passed = 0


def check(condition, what):
    global passed
    assert condition, what
    passed += 1


def refused(code, status, call, /, **arguments):
    """The call is refused with this code and HTTP status, by the sandbox and not by boto3."""
    try:
        call(**arguments)
    except ClientError as error:
        got = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        check(got == (code, status), f"{call}: wanted {(code, status)}, got {got}: {error}")
        check(error.response["Error"]["Message"], f"{call}: the refusal says why")
        return
    raise AssertionError(f"{call} was not refused")


def signed(client, method, path, body=None):
    """A request that botocore signs and nothing else shapes."""
    data = json.dumps(body).encode() if body else None
    request = AWSRequest(method=method, url=client.meta.endpoint_url + path, data=data)
    name = client.meta.service_model.signing_name
    SigV4Auth(client._request_signer._credentials, name, REGION).add_auth(request)
    plain = urllib.request.Request(request.url, data=data, headers=dict(request.headers.items()), method=method)
    with urllib.request.urlopen(plain) as answer:
        return answer.read()


def datazone(client):
    profile = lambda name, **more: client.create_user_profile(
        domainIdentifier=DOMAIN, userIdentifier=name, **more
    )
    alice = profile("alice", userType="SSO_USER", clientToken="t1")
    check(alice["status"] == "ASSIGNED" and alice["type"] == "SSO", alice)
    check(alice["details"]["sso"]["username"] == "alice", alice)
    check(profile("alice", userType="SSO_USER", clientToken="t1")["id"] == alice["id"], "token replayed")
    refused("ValidationException", 400, profile, name="alice", userType="SSO_USER", clientToken="t2")
    refused("ResourceNotFoundException", 404, profile, name="stranger", userType="SSO_USER")
    arn = f"arn:aws:iam::{ACCOUNT}:role/Etl"
    role = profile(arn, userType="IAM_ROLE")
    check(role["status"] == "ACTIVATED" and role["details"]["iam"]["arn"] == arn, role)
    session = profile(arn, userType="IAM_ROLE_SESSION", sessionName="nightly")
    check(session["details"]["iam"]["sessionName"] == "nightly", session)
    profile(f"arn:aws:iam::{ACCOUNT}:user/bob", userType="IAM_USER")
    refused("ValidationException", 400, profile, name=arn, userType="IAM_ROLE_SESSION")
    refused("ResourceNotFoundException", 404, client.get_user_profile, domainIdentifier="dzd_none", userIdentifier="alice")

    get = lambda name, **more: client.get_user_profile(domainIdentifier=DOMAIN, userIdentifier=name, **more)
    check(get("alice", type="SSO")["id"] == alice["id"], "get by name")
    check(get(alice["id"])["id"] == alice["id"], "get by id")
    check(get(arn, type="IAM", sessionName="nightly")["id"] == session["id"], "get by ARN and session")
    refused("ResourceNotFoundException", 404, get, name="bob")

    update = lambda name, **more: client.update_user_profile(domainIdentifier=DOMAIN, userIdentifier=name, **more)
    for status in ("NOT_ASSIGNED", "ASSIGNED", "DEACTIVATED", "ACTIVATED"):
        check(update(alice["id"], type="SSO", status=status)["status"] == status, status)
    refused("ValidationException", 400, update, name=role["id"], type="IAM", status="ASSIGNED")
    refused("ValidationException", 400, update, name="alice", type="SSO", status="GONE")

    search = lambda kind, **more: client.search_user_profiles(domainIdentifier=DOMAIN, userType=kind, **more)
    check(len(search("DATAZONE_SSO_USER")["items"]) == 1, "single sign-on profiles")
    check(len(search("DATAZONE_IAM_USER")["items"]) == 3, "IAM profiles")
    check(len(search("SSO_USER")["items"]) == 2, "the directory")
    check(len(search("DATAZONE_USER", searchText="Etl")["items"]) == 2, "search text")
    pages, token = [], {}
    while True:
        page = search("DATAZONE_USER", maxResults=1, **token)
        pages += page["items"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    check(len({p["id"] for p in pages}) == 4, "pages of one")
    refused("ValidationException", 400, search, kind="DATAZONE_USER", nextToken="made up")
    refused("ValidationException", 400, search, kind="DATAZONE_USER", maxResults=51)

    member = dict(domainIdentifier=DOMAIN, projectIdentifier="prj1", member={"userIdentifier": alice["id"]})
    client.create_project_membership(designation="PROJECT_OWNER", **member)
    refused("ValidationException", 400, client.create_project_membership, designation="PROJECT_OWNER", **member)
    refused("ValidationException", 400, client.create_project_membership, designation="USER_CREATED_DESIGNATION", **member)
    nowhere = {**member, "projectIdentifier": "nowhere"}
    refused("ResourceNotFoundException", 404, client.create_project_membership, designation="PROJECT_OWNER", **nowhere)
    listing = lambda: client.list_project_memberships(domainIdentifier=DOMAIN, projectIdentifier="prj1")["members"]
    check(listing()[0]["memberDetails"]["user"]["userId"] == alice["id"], "listed")
    client.delete_project_membership(**member)
    check(listing() == [], "left")
    refused("ResourceNotFoundException", 404, client.delete_project_membership, **member)
    refused("ResourceNotFoundException", 404, client.list_project_memberships, domainIdentifier=DOMAIN, projectIdentifier="nowhere")
    # boto3's model may be older than this member, so the request is put together by hand.
    body = {"member": member["member"], "designation": "USER_CREATED_DESIGNATION", "userCreatedDesignationId": "des1"}
    signed(client, "POST", f"/v2/domains/{DOMAIN}/projects/prj1/createMembership", body)
    found = json.loads(signed(client, "GET", f"/v2/domains/{DOMAIN}/projects/prj1/memberships"))["members"]
    check(found[0]["userCreatedDesignationId"] == "des1", found)


def quicksight(client):
    place = dict(AwsAccountId=ACCOUNT, Namespace="default")
    register = lambda **more: client.register_user(**place, **{"Email": "a@example.com", "UserRole": "READER", **more})
    user = register(
        IdentityType="QUICKSIGHT",
        UserName="a@example.com",
        CustomPermissionsName="cp",
        ExternalLoginFederationProviderType="CUSTOM_OIDC",
        CustomFederationProviderUrl="https://idp.example.com",
        ExternalLoginId="a",
        Tags=[{"Key": "team", "Value": "x"}],
    )
    check(user["UserInvitationUrl"].startswith("https://"), user)
    check(user["Status"] == 200 and user["User"]["Active"] is False, user)
    check(user["User"]["ExternalLoginFederationProviderUrl"] == "https://idp.example.com", user)
    arn = f"arn:aws:iam::{ACCOUNT}:role/path/Etl"
    session = register(IdentityType="IAM", IamArn=arn, SessionName="nightly")
    check(session["User"]["UserName"] == "Etl/nightly", session)
    check(register(IdentityType="IAM_IDENTITY_CENTER", UserName="c")["User"]["IdentityType"] == "IAM_IDENTITY_CENTER", "IDC")
    refused("ResourceExistsException", 409, register, IdentityType="QUICKSIGHT", UserName="A@example.com")
    refused("InvalidParameterValueException", 400, register, IdentityType="IAM", IamArn=arn, SessionName="x2", UserName="x")
    refused("InvalidParameterValueException", 400, register, IdentityType="IAM", IamArn=arn)
    refused("InvalidParameterValueException", 400, register, IdentityType="QUICKSIGHT", UserName="y", UserRole="KING")
    refused("ResourceNotFoundException", 404, client.list_users, AwsAccountId="999999999999", Namespace="default")

    update = lambda name, **more: client.update_user(**place, **{"UserName": name, "Email": "b@example.com", "Role": "AUTHOR", **more})
    changed = update("a@example.com", UnapplyCustomPermissions=True, ExternalLoginFederationProviderType="NONE")["User"]
    check(changed["Role"] == "AUTHOR" and "CustomPermissionsName" not in changed, changed)
    check("ExternalLoginId" not in changed, changed)
    check(update("a@example.com", ExternalLoginFederationProviderType="COGNITO", ExternalLoginId="z")["User"]["ExternalLoginId"] == "z", "Cognito")
    check(update("Etl/nightly", CustomPermissionsName="cp2")["User"]["CustomPermissionsName"] == "cp2", "a name with a slash")
    refused("InvalidParameterValueException", 400, update, name="a@example.com", Role="READER")
    refused("InvalidParameterValueException", 400, update, name="c", ExternalLoginFederationProviderType="COGNITO", CustomFederationProviderUrl="https://x.example", ExternalLoginId="x")
    refused("ResourceNotFoundException", 404, update, name="nobody")

    check(client.describe_user(UserName="Etl/nightly", **place)["User"]["Email"] == "b@example.com", "describe")
    refused("ResourceNotFoundException", 404, client.describe_user, UserName="nobody", **place)
    first = client.list_users(MaxResults=2, **place)
    rest = client.list_users(MaxResults=2, NextToken=first["NextToken"], **place)
    names = {u["UserName"] for u in first["UserList"] + rest["UserList"]}
    check(names == {"a@example.com", "Etl/nightly", "c"} and "NextToken" not in rest, names)
    refused("InvalidNextTokenException", 400, client.list_users, NextToken="made up", **place)
    refused("InvalidParameterValueException", 400, client.list_users, MaxResults=101, **place)

    check(client.create_group(GroupName="g 1", Description="G", **place)["Group"]["Description"] == "G", "group")
    refused("ResourceExistsException", 409, client.create_group, GroupName="g 1", **place)
    check([g["GroupName"] for g in client.list_groups(**place)["GroupList"]] == ["g 1"], "groups")
    refused("InvalidNextTokenException", 400, client.list_groups, NextToken="made up", **place)
    member = dict(GroupName="g 1", MemberName="Etl/nightly", **place)
    for _ in range(2):  # a second time changes nothing
        check(client.create_group_membership(**member)["GroupMember"]["MemberName"] == "Etl/nightly", "member")
    check(len(client.list_group_memberships(GroupName="g 1", **place)["GroupMemberList"]) == 1, "members")
    refused("ResourceNotFoundException", 404, client.create_group_membership, **{**member, "MemberName": "nobody"})
    refused("ResourceNotFoundException", 404, client.list_group_memberships, GroupName="none", **place)
    client.delete_group_membership(**member)
    refused("ResourceNotFoundException", 404, client.delete_group_membership, **member)

    client.delete_user(UserName="a@example.com", **place)
    refused("ResourceNotFoundException", 404, client.delete_user, UserName="a@example.com", **place)
    principal = session["User"]["PrincipalId"]
    client.delete_user_by_principal_id(PrincipalId=principal, **place)
    refused("ResourceNotFoundException", 404, client.delete_user_by_principal_id, PrincipalId=principal, **place)


def finspace(client):
    user = client.create_user(
        emailAddress="a@example.com",
        type="APP_USER",
        firstName="A",
        lastName="B",
        apiAccess="ENABLED",
        apiAccessPrincipalArn=f"arn:aws:iam::{ACCOUNT}:role/api",
        clientToken="t1",
    )["userId"]
    again = dict(emailAddress="A@example.com", type="APP_USER")
    check(client.create_user(**again, clientToken="t1")["userId"] == user, "token replayed")
    refused("ConflictException", 409, client.create_user, **again)
    refused("ValidationException", 400, client.create_user, emailAddress="a@example.technology", type="APP_USER")
    check(client.get_user(userId=user)["status"] == "CREATING", "being created")
    check(client.get_user(userId=user)["status"] == "ENABLED", "created")
    refused("ResourceNotFoundException", 404, client.get_user, userId="nobody")
    client.update_user(userId=user, type="SUPER_USER", firstName="C", lastName="D", apiAccess="DISABLED")
    now = client.get_user(userId=user)
    check((now["type"], now["firstName"], now["apiAccess"]) == ("SUPER_USER", "C", "DISABLED"), now)
    refused("ResourceNotFoundException", 404, client.update_user, userId="nobody", firstName="X")
    client.create_user(emailAddress="b@example.com", type="APP_USER")
    first = client.list_users(maxResults=1)
    rest = client.list_users(maxResults=1, nextToken=first["nextToken"])
    check({u["emailAddress"] for u in first["users"] + rest["users"]} == {"a@example.com", "b@example.com"}, "pages")
    refused("ValidationException", 400, client.list_users, maxResults=101)
    refused("ConflictException", 409, client.enable_user, userId=user)
    client.disable_user(userId=user)
    refused("ConflictException", 409, client.disable_user, userId=user)
    check(client.get_user(userId=user)["status"] == "DISABLED", "disabled")
    client.enable_user(userId=user)

    group = client.create_permission_group(name="g", description="G", applicationPermissions=["AccessNotebooks"])
    group = group["permissionGroupId"]
    refused("ConflictException", 409, client.create_permission_group, name="g", applicationPermissions=[])
    refused("ValidationException", 400, client.create_permission_group, name="h", applicationPermissions=["Fly"])
    listed = client.list_permission_groups(maxResults=100)["permissionGroups"]
    check(listed[0]["applicationPermissions"] == ["AccessNotebooks"], listed)
    refused("ValidationException", 400, client.list_permission_groups, maxResults=101)
    pair = dict(permissionGroupId=group, userId=user)
    client.associate_user_to_permission_group(**pair)
    refused("ConflictException", 409, client.associate_user_to_permission_group, **pair)
    members = lambda: client.list_users_by_permission_group(permissionGroupId=group, maxResults=100)["users"]
    check(members()[0]["membershipStatus"] == "ADDITION_IN_PROGRESS", "joining")
    check(members()[0]["membershipStatus"] == "ADDITION_SUCCESS", "joined")
    refused("ResourceNotFoundException", 404, client.list_users_by_permission_group, permissionGroupId="none", maxResults=1)
    client.disassociate_user_from_permission_group(**pair)
    refused("ConflictException", 409, client.disassociate_user_from_permission_group, **pair)
    check(members()[0]["membershipStatus"] == "REMOVAL_IN_PROGRESS", "leaving")
    check(members() == [], "left")
    refused("ResourceNotFoundException", 404, client.disassociate_user_from_permission_group, **pair)


def main(binary):
    with tempfile.TemporaryDirectory() as folder:
        state = os.path.join(folder, "world.json")
        with open(state, "w") as file:
            json.dump(WORLD, file)
        server = subprocess.Popen([binary, "sandbox", "--state", state], stdout=subprocess.PIPE, text=True)
        try:
            url = re.search(r"http://\S+", server.stdout.readline()).group()
            # Refusals have to come from the sandbox, so boto3 leaves values to it and does not retry.
            config = Config(parameter_validation=True, retries={"total_max_attempts": 1})
            client = lambda name, **more: boto3.client(name, region_name=REGION, endpoint_url=url, config=config, **more)
            datazone(client("datazone"))
            quicksight(client("quicksight"))
            finspace(client("finspace-data"))
            elsewhere = boto3.client("quicksight", region_name="eu-west-1", endpoint_url=url, config=config)
            refused("AccessDeniedException", 401, elsewhere.list_users, AwsAccountId=ACCOUNT, Namespace="default")
            unsigned = urllib.request.Request(f"{url}/user?maxResults=1")
            try:
                urllib.request.urlopen(unsigned)
                raise AssertionError("an unsigned request was answered")
            except urllib.error.HTTPError as error:
                check(error.code == 403, error)
            with urllib.request.urlopen(f"{url}/_sandbox/calls") as answer:
                calls = json.load(answer)
        finally:
            server.terminate()
            server.wait(10)
        check(server.returncode == 0, "the sandbox ends well")
        for service, names in OPERATIONS.items():
            for name in names.split():
                seen = [c["took_effect"] for c in calls if c["operation"] == f"{service}:{name}"]
                check(True in seen, f"{service}:{name} was never driven with success")
                check(False in seen, f"{service}:{name} was never refused")
        driven = {c["operation"] for c in calls}
        check(len(driven) == sum(len(n.split()) for n in OPERATIONS.values()), driven)
        with open(state) as file:
            check("directory" in json.load(file)["domains"][DOMAIN], "the world was saved")
    print(f"boto3 against the sandbox: {len(driven)} operations")
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
