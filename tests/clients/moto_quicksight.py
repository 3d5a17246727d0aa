"""Runs rosterd against moto's QuickSight: a server that shares no code with rosterd.

    python3 tests/clients/moto_quicksight.py PATH/TO/rosterd

moto serves users, groups and memberships; rosterd has to bring an account it filled by hand in step,
and find nothing to do the second time. IAM identities are left out: moto assigns them no user name, as the
service does, and its routes do not take the encoded slash of a role session.
"""

import os
import re
import subprocess
import sys
import tempfile

os.environ.update(AWS_ACCESS_KEY_ID="AKIATEST", AWS_SECRET_ACCESS_KEY="secret", AWS_EC2_METADATA_DISABLED="true")

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

ACCOUNT, REGION = "123456789012", "us-east-1"
SETTINGS = """
[daemon]
roster = "roster.toml"

[targets.bi]
service = "quicksight"
region = "{region}"
account_id = "{account}"
endpoint_url = "{url}"
policy = "sync"
on_unlisted = "delete"
scope = {{ include = ["*"] }}
pace = {{ default = 200 }}
"""
ROSTER = """
[roles.analyst]
quicksight = { role = "AUTHOR", groups = ["analysts", "everybody"] }

[roles.viewer]
quicksight = { role = "READER", groups = ["everybody"] }

[users.alice]
email = "alice@example.com"
roles = ["analyst"]

[users.bob]
email = "bob@example.com"
roles = ["viewer"]

[users.etl]
email = "etl@example.com"
on.bi = { identity_type = "IAM_IDENTITY_CENTER", user_name = "etl" }
roles = ["viewer"]
"""

passed = 0


def check(condition, what):
    global passed
    assert condition, what
    passed += 1


def main(binary):
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    host, port = moto.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("quicksight", region_name=REGION, endpoint_url=url)
    place = dict(AwsAccountId=ACCOUNT, Namespace="default")
    for name, role in (("alice@example.com", "READER"), ("gone@example.com", "READER")):
        client.register_user(**place, IdentityType="QUICKSIGHT", Email=name, UserRole=role, UserName=name)
    client.create_group(**place, GroupName="analysts")
    client.create_group_membership(**place, GroupName="analysts", MemberName="gone@example.com")
    with tempfile.TemporaryDirectory() as folder:
        path = lambda name: os.path.join(folder, name)
        with open(path("rosterd.toml"), "w") as file:
            file.write(SETTINGS.format(url=url, region=REGION, account=ACCOUNT))
        with open(path("roster.toml"), "w") as file:
            file.write(ROSTER)

        def run(*args):
            done = subprocess.run([binary, *args, "--config", path("rosterd.toml")], capture_output=True, text=True)
            print(f"$ rosterd {' '.join(args)}  -> {done.returncode}")
            return done

        first = run("apply", "--yes")
        check(first.returncode == 0, first.stdout + first.stderr)
        users = {u["UserName"]: u for u in client.list_users(**place)["UserList"]}
        print(first.stdout)
        check("gone@example.com" not in users, users)
        check(users["alice@example.com"]["Role"] == "AUTHOR", users)
        check(users["bob@example.com"]["Role"] == "READER", users)
        check(users["etl"]["IdentityType"] == "IAM_IDENTITY_CENTER", users)
        members = lambda group: {m["MemberName"] for m in client.list_group_memberships(**place, GroupName=group)["GroupMemberList"]}
        check(members("analysts") == {"alice@example.com"}, members("analysts"))
        check({"alice@example.com", "bob@example.com"} <= members("everybody"), members("everybody"))
        second = run("apply", "--yes")
        check(second.returncode == 0 and "Nothing to do." in second.stdout, second.stdout + second.stderr)
        check(re.search(r"\b3 in step", second.stdout), second.stdout)
    moto.stop()
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
