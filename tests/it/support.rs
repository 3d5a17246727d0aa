//! A bench: a sandbox on a port of its own, a temporary folder with settings and roster, and the built
//! binary run against them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rosterd::sandbox::{Knobs, Sandbox, World};
use tempfile::TempDir;

/// The domain, account and Region of every bench.
pub const DOMAIN: &str = "dzd_test";
pub const ACCOUNT: &str = "111122223333";
pub const REGION: &str = "us-east-1";

pub struct Bench {
    pub dir: TempDir,
    pub sandbox: Sandbox,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Everything a person would see.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.text());
        self
    }

    #[track_caller]
    pub fn says(self, what: &str) -> Self {
        assert!(self.text().contains(what), "no `{what}` in:\n{}", self.text());
        self
    }

    #[track_caller]
    pub fn never_says(self, what: &str) -> Self {
        assert!(!self.text().contains(what), "`{what}` in:\n{}", self.text());
        self
    }
}

/// A world with one of everything and nobody in it.
pub fn empty_world() -> World {
    let mut world = World::default();
    world.ensure_domain(DOMAIN, REGION, ["prj1", "prj2"]);
    world.ensure_namespace(ACCOUNT, "default", REGION);
    world.ensure_environment(REGION);
    world
}

const PACE: &str = "pace = { default = 5000 }\n";
const PACE_DATAZONE: &str = "pace = { default = 5000, CreateProjectMembership = 5000, DeleteProjectMembership = 5000, ListProjectMemberships = 5000 }\n";

pub fn portal(rest: &str) -> String {
    format!(
        "\n[targets.portal]\nservice = \"datazone\"\ndomain_id = \"{DOMAIN}\"\n{PACE_DATAZONE}{}",
        common(rest)
    )
}

pub fn bi(rest: &str) -> String {
    format!("\n[targets.bi]\nservice = \"quicksight\"\naccount_id = \"{ACCOUNT}\"\n{PACE}{}", common(rest))
}

pub fn research(rest: &str) -> String {
    format!("\n[targets.research]\nservice = \"finspace\"\n{PACE}{}", common(rest))
}

fn common(rest: &str) -> String {
    let policy = if rest.contains("policy") { "" } else { "policy = \"upsert-only\"\n" };
    let region = if rest.contains("region =") { String::new() } else { format!("region = \"{REGION}\"\n") };
    let endpoint = if rest.contains("endpoint_url") { "" } else { "endpoint_url = \"ENDPOINT\"\n" };
    format!("{region}{policy}{endpoint}{rest}\n")
}

/// `policy = "sync"` with the removal each service knows.
pub fn sync(removal: &str) -> String {
    format!("policy = \"sync\"\non_unlisted = \"{removal}\"\nscope = {{ include = [\"*\"] }}")
}

impl Bench {
    pub async fn new(world: World) -> Bench {
        Bench::with(world, Knobs::default()).await
    }

    pub async fn with(mut world: World, knobs: Knobs) -> Bench {
        world.index();
        let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let sandbox = Sandbox::start(listen, world, knobs).await.expect("a port is free");
        Bench { dir: tempfile::tempdir().expect("a temporary folder"), sandbox }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Settings with these targets and a roster.
    pub fn files(&self, targets: &str, roster: &str) -> &Self {
        self.settings("", targets);
        self.write("roster.toml", roster);
        self
    }

    pub fn settings(&self, daemon: &str, targets: &str) -> &Self {
        let text = format!("[daemon]\nroster = \"roster.toml\"\n{daemon}\n{targets}");
        self.write("rosterd.toml", &text.replace("ENDPOINT", &self.sandbox.url()));
        self
    }

    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path(name), text).expect("the temporary folder is writable");
        self
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = binary(self.dir.path());
        command.args(args).arg("--config").arg(self.path("rosterd.toml"));
        command
    }

    /// Runs the binary to its end.
    pub async fn run(&self, args: &[&str]) -> Ran {
        finish(self.command(args)).await
    }

    /// Applies, and expects it to go well.
    pub async fn apply(&self) -> Ran {
        self.run(&["apply", "--yes"]).await.exits(0)
    }

    /// Invariant 4 and lesson 8: a second pass plans nothing and writes nothing.
    pub async fn settles(&self) -> &Self {
        self.sandbox.forget_calls();
        self.run(&["apply", "--yes"]).await.says("Nothing to do.");
        let writes: Vec<_> = self.sandbox.counts().into_keys().filter(|o| !is_read(o)).collect();
        assert_eq!(writes, Vec::<String>::new());
        self
    }

    /// Writes of the sandbox so far, by operation.
    pub fn writes(&self) -> BTreeMap<String, usize> {
        let mut counts = self.sandbox.counts();
        counts.retain(|operation, _| !is_read(operation));
        counts
    }
}

pub fn is_read(operation: &str) -> bool {
    let name = operation.split(':').next_back().unwrap_or_default();
    ["Get", "List", "Search", "Describe"].iter().any(|verb| name.starts_with(verb))
}

/// The built binary with a clean environment.
pub fn binary(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command
        .env_clear()
        .env("HOME", home)
        .env("AWS_ACCESS_KEY_ID", "AKIATEST")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

pub async fn finish(mut command: Command) -> Ran {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = output.expect("the binary starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A profile of a single sign-on user.
pub fn sso_profile(world: &mut World, id: u64, name: &str, status: &str) -> String {
    let id = format!("00000000-0000-4000-8000-{id:012x}");
    let profile = rosterd::sandbox::world::Profile {
        status: status.into(),
        user_name: Some(name.into()),
        ..Default::default()
    };
    world.domains.get_mut(DOMAIN).expect("the test domain").profiles.insert(id.clone(), profile);
    id
}

/// A QuickSight user named by its address.
pub fn qs_user(world: &mut World, id: &str, name: &str, role: &str) {
    let user = rosterd::sandbox::world::QuickSightUser {
        user_name: name.into(),
        email: if name.contains('@') { name.into() } else { format!("{id}@example.com") },
        role: role.into(),
        identity_type: "QUICKSIGHT".into(),
        active: true,
        ..Default::default()
    };
    namespace(world).users.insert(id.into(), user);
}

pub fn namespace(world: &mut World) -> &mut rosterd::sandbox::world::Namespace {
    let account = world.accounts.get_mut(ACCOUNT).expect("the test account");
    account.namespaces.get_mut("default").expect("its namespace")
}

/// An enabled FinSpace user.
pub fn fs_user(world: &mut World, id: &str, email: &str) {
    let user = rosterd::sandbox::world::FinSpaceUser {
        email: email.into(),
        status: "ENABLED".into(),
        user_type: "APP_USER".into(),
        api_access: Some("DISABLED".into()),
        ..Default::default()
    };
    environment(world).users.insert(id.into(), user);
}

pub fn environment(world: &mut World) -> &mut rosterd::sandbox::world::Environment {
    world.environments.get_mut(REGION).expect("the test environment")
}

/// The user of a name.
pub fn qs<'w>(world: &'w World, name: &str) -> Option<&'w rosterd::sandbox::world::QuickSightUser> {
    world.accounts[ACCOUNT].namespaces["default"].users.values().find(|u| u.user_name == name)
}

/// The FinSpace user of an address.
pub fn fs<'w>(world: &'w World, email: &str) -> Option<&'w rosterd::sandbox::world::FinSpaceUser> {
    world.environments[REGION].users.values().find(|u| u.email.eq_ignore_ascii_case(email))
}

/// The profile of a single sign-on user or of an ARN.
pub fn dz<'w>(world: &'w World, name: &str) -> Option<&'w rosterd::sandbox::world::Profile> {
    let is_it = |p: &&rosterd::sandbox::world::Profile| {
        p.user_name.as_deref() == Some(name) || p.arn.as_deref() == Some(name)
    };
    world.domains[DOMAIN].profiles.values().find(is_it)
}

/// Makes a profile a member of `prj1`.
pub fn join(world: &mut World, profile_id: &str, designation: &str) {
    let membership = rosterd::sandbox::world::Membership {
        designation: designation.into(),
        designation_id: None,
        group: false,
    };
    let domain = world.domains.get_mut(DOMAIN).expect("the test domain");
    domain.projects.entry("prj1".into()).or_default().insert(profile_id.into(), membership);
}
