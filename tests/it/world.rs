//! The sandbox itself: what it refuses, how it pages, what it keeps.

use rosterd::sandbox::fault::FaultRule;
use rosterd::sandbox::knobs::{Quota, quota_flag};
use rosterd::sandbox::{Knobs, World, generate};

use crate::support::*;

#[test]
fn the_sample_world_and_the_sample_files_fit() {
    let world = World::sample();
    assert!(world.domains.contains_key("dzd_4kq2examp1e") && world.accounts.contains_key("123456789012"));
    let again = World::from_json(&world.to_json()).expect("it reads what it writes");
    assert_eq!(again.to_json(), world.to_json());
}

#[test]
fn knobs_are_read_from_flags_and_files() {
    assert_eq!(quota_flag("a:B=3").unwrap(), ("a:B".into(), Quota::bucket(3.0, 3.0)));
    assert_eq!(quota_flag("a:B=0.5,7").unwrap().1, Quota::bucket(0.5, 7.0));
    assert_eq!(quota_flag("a:B=3,window").unwrap().1, Quota::window(3.0));
    assert_eq!(quota_flag("a:B=1,").unwrap().1, Quota::bucket(1.0, 1.0));
    for wrong in ["a:B", "a:B=x", "a:B=1,0", "a:B=-1", "a:B=1,y"] {
        assert!(quota_flag(wrong).is_err(), "{wrong}");
    }
    for right in ["*=throttle", "quicksight:*=reset_after#3", "finspace:ListUsers=error:X@0.5#2"] {
        right.parse::<FaultRule>().unwrap_or_else(|e| panic!("{right}: {e}"));
    }
    for wrong in ["throttle", "*=nothing", "*=throttle@2", "*=error:", "*=throttle#x"] {
        assert!(wrong.parse::<FaultRule>().is_err(), "{wrong}");
    }
    assert!(Knobs::from_toml("latency = 3").is_err(), "an unknown knob is an error");
    assert_eq!(Knobs::from_toml("[quotas.x]\nrate = 2").unwrap().quotas["x"], Quota::bucket(2.0, 2.0));
    for wrong in [
        "rate = 0",
        "rate = 1\nburst = 0.5",
        "rate = 3\nburst = 9\nwindow = true",
        "rate = 1\ncompetitor = -1",
    ] {
        assert!(Knobs::from_toml(&format!("[quotas.x]\n{wrong}")).is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_faults() {
    let outcome = |seed: u64| async move {
        let knobs = format!(
            "seed = {seed}\n[[faults]]\non = \"quicksight:RegisterUser\"\nfault = {{ error = \"InvalidParameterValueException\" }}\nrate = 0.5\n"
        );
        let bench = Bench::with(empty_world(), Knobs::from_toml(&knobs).unwrap()).await;
        let users: String = (0..20)
            .map(|n| format!("[users.u{n:02}]\nemail = \"u{n}@example.com\"\nroles = [\"r\"]\n"))
            .collect();
        bench.settings("concurrency = 1", &bi(""));
        bench.write("roster.toml", &format!("[roles.r]\nquicksight = {{ role = \"READER\" }}\n{users}"));
        bench.run(&["apply", "--yes"]).await.exits(3);
        bench.sandbox.world().accounts[ACCOUNT].namespaces["default"]
            .users
            .values()
            .map(|u| u.email.clone())
            .collect::<Vec<_>>()
    };
    let first = outcome(1).await;
    assert_eq!(first, outcome(1).await);
    assert_ne!(first, outcome(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_world_is_in_step_with_its_roster() {
    let bench = Bench::new(generate::world(120)).await;
    bench.write("rosterd.toml", &generate::settings(&bench.sandbox.url()));
    bench.write("roster.toml", &generate::roster(120));
    bench.run(&["apply", "--yes"]).await.exits(0).says("Nothing to do. 360 in step.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_command_keeps_its_world() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "rosterd.toml",
        "[daemon]\nroster = \"roster.toml\"\n[targets.bi]\nservice = \"quicksight\"\nregion = \"us-east-1\"\naccount_id = \"111122223333\"\npolicy = \"upsert-only\"\n",
    );
    write(
        "roster.toml",
        "[roles.r]\nquicksight = { role = \"READER\", groups = [\"g\"] }\n[users.a]\nemail = \"a@example.com\"\nroles = [\"r\"]\n",
    );
    let run = |args: &[&str]| {
        let mut command = binary(dir.path());
        command.args(args).args(["--config", "rosterd.toml"]);
        finish(command)
    };
    run(&["plan", "--sandbox"]).await.exits(0).says("3 to create");
    run(&["apply", "--sandbox", "--yes"]).await.exits(0).says("Applied: 3 done.");
    run(&["apply", "--sandbox", "--yes"]).await.exits(0).says("Nothing to do.");
    run(&["plan", "--sandbox=fresh", "--out", "plan.json"]).await.exits(0).says("3 to create");
    run(&["apply", "plan.json", "--yes"])
        .await
        .exits(1)
        .says("the plan was made on a sandbox and would be applied to AWS");
    run(&["apply", "plan.json", "--yes", "--sandbox"]).await.exits(0).says("Applied: 3 done.");
    std::fs::write(dir.path().join("state/sandbox/sandbox.json"), "{").unwrap();
    run(&["plan", "--sandbox"]).await.exits(1).says("start over with --sandbox=fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_shows_everything_a_plan_can_show() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("config")).unwrap();
    for name in ["rosterd.toml", "roster.toml"] {
        let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name);
        std::fs::copy(sample, dir.path().join("config").join(name)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = binary(dir.path());
        command.args(args);
        finish(command)
    };
    let plan = run(&["plan", "--sandbox=fresh"]).await.exits(0);
    let plan =
        ["    + create", "    ~ update", "    - delete", "    - disable", "    ! update", "    = delete"]
            .into_iter()
            .fold(plan, |plan, line| plan.says(line));
    plan.says("held back by protected: it keeps what it has").says("leave the role as it is");
    run(&["apply", "--sandbox", "--yes"]).await.exits(0).says("Applied: 25 done.");
    run(&["apply", "--sandbox", "--yes"])
        .await
        .exits(0)
        .says("Nothing to do. 1 blocked. 1 held back by protected.");
}
