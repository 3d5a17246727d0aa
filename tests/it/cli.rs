//! The command line: help, plans in every format, questions, exit codes.

use rosterd::sandbox::World;

use crate::support::*;

fn world() -> World {
    let mut world = empty_world();
    qs_user(&mut world, "p1", "alice@example.com", "READER");
    qs_user(&mut world, "p2", "bob@example.com", "AUTHOR");
    qs_user(&mut world, "p3", "gone@example.com", "READER");
    qs_user(&mut world, "p4", "breakglass@example.com", "ADMIN");
    world
}

const ROSTER: &str = r#"
[roles.analyst]
quicksight = { role = "AUTHOR", groups = ["analysts"], custom_permissions = "no-export" }
[roles.viewer]
quicksight = { role = "READER" }
[users.alice]
email = "alice@example.com"
roles = ["analyst"]
[users.bob]
email = "bob@example.com"
roles = ["viewer"]
[users.carol]
email = "carol@example.com"
roles = ["analyst", "viewer"]
"#;

async fn bench() -> Bench {
    let bench = Bench::new(world()).await;
    bench.files(&bi(&format!("{}\nprotected = [\"breakglass@*\"]", sync("delete"))), ROSTER);
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_people() {
    insta::assert_snapshot!(bench().await.run(&["plan"]).await.exits(0).out, @r#"
    bi  quicksight 111122223333/default us-east-1  policy sync, 3 on the roster, 4 on the target
      analysts
        + create group  ← named by the roster
      alice@example.com  users.alice
        ~ update: role READER → AUTHOR, custom_permissions no-export  ← analyst
        + join analysts  ← analyst
      bob@example.com  users.bob
        ! update: role AUTHOR → READER  ← viewer
            blocked: QuickSight refuses to lower AUTHOR to READER in place
            · lower the role in the QuickSight console, where the user's assets can be transferred
            · transfer the assets, set state = "absent" for one pass, then list the user again
            · leave the role as it is and restrict it with custom_permissions
      carol@example.com  users.carol
        + create: role AUTHOR, email carol@example.com, custom_permissions no-export  ← analyst, viewer
        + join analysts  ← analyst
      gone@example.com
        - delete: role READER  ← not on the roster
      breakglass@example.com
        = delete: role ADMIN  ← not on the roster
            held back by protected: it keeps what it has

    Plan: 4 to create, 1 to change, 1 to remove. 1 blocked. 1 held back by protected. 0 in step.
    6 calls to write, about 1 second: 1 quicksight:CreateGroup, 2 quicksight:CreateGroupMembership, 1 quicksight:DeleteUser, 1 quicksight:RegisterUser, 1 quicksight:UpdateUser
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_a_pull_request() {
    insta::assert_snapshot!(bench().await.run(&["plan", "--format", "markdown"]).await.exits(0).out, @r#"
    ### rosterd plan

    Plan: 4 to create, 1 to change, 1 to remove. 1 blocked. 1 held back by protected. 0 in step.

    #### `bi` (quicksight 111122223333/default us-east-1, policy sync)

    | | principal | change | asked for by | |
    |---|---|---|---|---|
    | + | `analysts` | create group | named by the roster |  |
    | ~ | `alice@example.com` | update: role READER → AUTHOR, custom_permissions no-export | analyst |  |
    | + | `alice@example.com` | join analysts | analyst |  |
    | ! | `bob@example.com` | update: role AUTHOR → READER | viewer | **blocked**: QuickSight refuses to lower AUTHOR to READER in place. Ways out: lower the role in the QuickSight console, where the user's assets can be transferred; transfer the assets, set state = "absent" for one pass, then list the user again; leave the role as it is and restrict it with custom_permissions |
    | + | `carol@example.com` | create: role AUTHOR, email carol@example.com, custom_permissions no-export | analyst, viewer |  |
    | + | `carol@example.com` | join analysts | analyst |  |
    | - | `gone@example.com` | delete: role READER | not on the roster |  |
    | = | `breakglass@example.com` | delete: role ADMIN | not on the roster | **held back by protected**: it keeps what it has |

    6 calls to write, about 1 second: 1 quicksight:CreateGroup, 2 quicksight:CreateGroupMembership, 1 quicksight:DeleteUser, 1 quicksight:RegisterUser, 1 quicksight:UpdateUser
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_programs_is_what_out_saves() {
    let bench = bench().await;
    let json = bench.run(&["plan", "--format", "json", "--out", "plan.json"]).await.exits(0);
    assert_eq!(json.out, bench.read("plan.json"));
    let plan: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(plan["format_version"], 1);
    assert_eq!(plan["calls"]["quicksight"]["RegisterUser"], 1);
    let change = &plan["plan"]["targets"][0]["changes"][1];
    insta::assert_snapshot!(serde_json::to_string_pretty(change).unwrap(), @r#"
    {
      "action": {
        "action": "update_user",
        "custom_permissions": {
          "set": "no-export"
        },
        "email": "alice@example.com",
        "external_login": null,
        "role": "AUTHOR",
        "service": "quicksight",
        "user_name": "alice@example.com"
      },
      "fields": [
        {
          "name": "role",
          "new": "AUTHOR",
          "old": "READER"
        },
        {
          "name": "custom_permissions",
          "new": "no-export",
          "old": null
        }
      ],
      "id": "bi/user/alice@example.com/p1:update_user",
      "kind": "update_user",
      "names": [
        "alice@example.com"
      ],
      "removal": "none",
      "roles": [
        "analyst"
      ],
      "subject": {
        "user": {
          "id": "p1",
          "key": "alice@example.com"
        }
      },
      "user": "alice",
      "verdict": {
        "state": "ready"
      }
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_inputs_give_the_same_bytes() {
    let bench = bench().await;
    let first = bench.run(&["plan"]).await.out;
    for _ in 0..3 {
        assert_eq!(bench.run(&["plan"]).await.out, first);
    }
    assert!(!first.contains('\u{1b}'), "no escape codes off a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_which_role_gives_what_and_what_differs() {
    let bench = bench().await;
    insta::assert_snapshot!(bench.run(&["explain", "bob"]).await.exits(0).out, @r#"
    bob  bob@example.com  active
      roles: viewer

    bi  quicksight 111122223333/default us-east-1
      as bob@example.com
      viewer: role READER
      differs: update: role AUTHOR → READER
        blocked: QuickSight refuses to lower AUTHOR to READER in place
        · lower the role in the QuickSight console, where the user's assets can be transferred
        · transfer the assets, set state = "absent" for one pass, then list the user again
        · leave the role as it is and restrict it with custom_permissions
    "#);
    bench
        .run(&["explain", "CAROL@example.com"])
        .await
        .exits(0)
        .says("analyst: groups analysts")
        .says("viewer: role READER");
    bench.run(&["explain", "alcie"]).await.exits(1).says("did you mean `alice`?");
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_commands_and_exit_codes() {
    let bench = bench().await;
    insta::assert_snapshot!(bench.run(&["--help"]).await.exits(0).out, @"
    Keeps the people on a TOML roster in step with Amazon DataZone, QuickSight and FinSpace Data

    Usage: rosterd [OPTIONS] <COMMAND>

    Commands:
      check        Check the settings and the roster, offline
      plan         Show what would change, and touch nothing
      apply        Make the changes: of a fresh plan, or of exactly a saved one
      run          Keep the targets in step: the daemon
      explain      Say which role gives a user which access on each target, and what differs
      sandbox      Serve the three services' APIs on this machine
      completions  Print completions for a shell
      man          Print the manual page
      help         Print this message or the help of the given subcommand(s)

    Options:
      -c, --config <FILE>        The settings [env: ROSTERD_CONFIG=] [default: config/rosterd.toml]
          --log <FILTER>         Which log lines go to standard error, in the form of RUST_LOG; `run`
                                 says more than the others [env: ROSTERD_LOG=]
          --log-format <FORMAT>  How log lines look: text or json [default: text]
      -h, --help                 Print help
      -V, --version              Print version

    Exit codes:
      0  done
      1  failed: nothing or not enough could be read or written
      2  changes are pending (plan --detailed-exitcode)
      3  part of the changes or targets failed
      4  a guard holds removals back (max_removals, empty roster)

    Start without an AWS account:
      rosterd apply --sandbox --yes
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_flags_are_failures_and_not_pending_changes() {
    let bench = bench().await;
    bench.run(&["plan", "--detailed-exit-code"]).await.exits(1).says("--detailed-exitcode");
    bench.run(&["paln"]).await.exits(1).says("plan");
    bench.run(&["plan", "--format", "yaml"]).await.exits(1).says("use one of: text, json, markdown");
    bench.run(&["plan", "--sandbox=old"]).await.exits(1);
    bench.run(&["plan", "--target", "bii"]).await.exits(1).says("did you mean `bi`?");
    bench.run(&["plan", "--log", "a=b=c"]).await.exits(1).says("no log filter");
    bench.run(&["sandbox", "--fault", "x"]).await.exits(1).says("write it like");
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_without_a_terminal_wants_yes() {
    let bench = bench().await;
    bench.run(&["apply"]).await.exits(1).says("pass --yes to apply without asking");
    assert!(bench.writes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_target_at_a_time() {
    let bench = Bench::new(world()).await;
    bench.files(&format!("{}{}", bi(""), research("endpoint_url = \"http://127.0.0.1:9\"")), ROSTER);
    bench.run(&["plan", "--target", "bi"]).await.exits(0).never_says("research");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_the_manual_page_are_there() {
    let bench = bench().await;
    for shell in ["bash", "zsh", "fish"] {
        bench.run(&["completions", shell]).await.exits(0).says("rosterd");
    }
    bench.run(&["man"]).await.exits(0).says(".TH rosterd 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_is_offline() {
    let bench = bench().await;
    let mut command = bench.command(&["check"]);
    command.env_remove("AWS_ACCESS_KEY_ID");
    finish(command).await.exits(0).says("3 users, 2 roles, 1 target");
    assert!(bench.sandbox.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_text_or_json_and_carry_ids() {
    let bench = bench().await;
    let ran = bench.run(&["apply", "--yes", "--log", "rosterd=debug", "--log-format", "json"]).await.exits(0);
    let lines: Vec<serde_json::Value> =
        ran.err.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    assert!(lines.iter().any(|l| l["change"] == "create_user"), "{}", ran.err);
    assert!(!ran.err.contains("@example.com"), "no personal data in logs:\n{}", ran.err);
}
