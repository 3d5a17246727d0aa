//! `cargo bench --bench scale`: reading a roster, resolving it, comparing, guarding, rendering, at 1,000 to
//! 1,000,000 users on each of three targets that are in step with it; nothing leaves the process.
//!
//! `cargo bench --bench scale -- 100000` runs one size, `-- 100000 resolve` one stage of it.

use std::collections::{BTreeMap, HashSet};
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::civil::date;
use rosterd::config::{self, Settings};
use rosterd::input::{Problems, Sources};
use rosterd::plan::render;
use rosterd::reconcile::{self, Observations};
use rosterd::roster::{self, Roster};
use rosterd::sandbox::{World, generate};
use rosterd::service::{Desired, Observed, Word, datazone, finspace, quicksight};
use rosterd::state::Memory;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Users in one file of the roster folder: within the size a file may have.
const FILE_USERS: usize = 250_000;
const DAY: jiff::civil::Date = date(2026, 1, 1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (sizes, stages_asked): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|a| a.parse::<usize>().is_ok());
    let sizes: Vec<usize> = sizes.iter().filter_map(|a| a.parse().ok()).collect();
    let mut criterion = Criterion::default().sample_size(10);
    if let Some(stage) = stages_asked.first() {
        criterion = criterion.with_filter(format!("/{stage}"));
    }
    for size in if sizes.is_empty() { SIZES.to_vec() } else { sizes } {
        stages(&mut criterion, size);
    }
    criterion.final_summary();
}

fn stages(criterion: &mut Criterion, size: usize) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), size);
    let settings = settings(dir.path());
    let roster = load(&settings);
    let desired = resolve(&roster, &settings);
    let in_step = observations(generate::world(size), &desired);
    let memory = Memory::default();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let plan = || reconcile::plan(&settings, &desired, &in_step, &memory, now, false);

    let mut group = criterion.benchmark_group("users");
    group.throughput(Throughput::Elements(size as u64));
    let id = |stage: &str| BenchmarkId::new(stage, size);
    group.bench_function(id("load"), |b| b.iter(|| black_box(load(&settings))));
    group.bench_function(id("resolve"), |b| b.iter(|| black_box(resolve(&roster, &settings))));
    for target in settings.targets.keys() {
        let service = settings.targets[target].kind().word();
        let (Some(desired), Some(Ok(observed))) = (desired.get(target), in_step.get(target)) else {
            continue;
        };
        let known = BTreeMap::new();
        group.bench_function(id(&format!("diff {service}")), |b| {
            b.iter(|| black_box(rosterd::service::diff(target, desired, observed, &known)));
        });
    }
    group.bench_function(id("diff and guard"), |b| b.iter(|| black_box(plan())));

    // Everything is to be made: the largest plan there is.
    let nothing = observations(World::default(), &desired);
    let all = reconcile::plan(&settings, &desired, &nothing, &memory, now, false);
    group.bench_function(id("plan of everything"), |b| {
        b.iter(|| black_box(reconcile::plan(&settings, &desired, &nothing, &memory, now, false)));
    });
    group.bench_function(id("render everything"), |b| b.iter(|| black_box(render::text(&all, None))));
    group.finish();
}

fn write(dir: &Path, size: usize) {
    let settings = generate::settings("http://127.0.0.1:1");
    std::fs::write(dir.join("rosterd.toml"), settings.replace("roster.toml", "roster")).expect("room");
    let folder = dir.join("roster");
    std::fs::create_dir(&folder).expect("room");
    let text = generate::roster(size);
    let (roles, users) = text.split_once("\n\n").expect("roles come first");
    std::fs::write(folder.join("roles.toml"), roles).expect("room");
    let users: Vec<&str> = users.split("\n\n").collect();
    for (number, part) in users.chunks(FILE_USERS).enumerate() {
        std::fs::write(folder.join(format!("users{number}.toml")), part.join("\n\n")).expect("room");
    }
}

fn settings(dir: &Path) -> Settings {
    let (mut sources, mut problems) = (Sources::default(), Problems::default());
    config::load(&dir.join("rosterd.toml"), &mut sources, &mut problems).expect("the settings are right")
}

fn load(settings: &Settings) -> Roster {
    let (mut sources, mut problems) = (Sources::default(), Problems::default());
    let roster = roster::load(settings, &mut sources, &mut problems);
    assert!(!problems.has_errors());
    roster
}

fn resolve(roster: &Roster, settings: &Settings) -> BTreeMap<String, Desired> {
    let mut problems = Problems::default();
    let desired = roster::resolve(roster, settings, DAY, &mut problems);
    assert!(!problems.has_errors());
    desired
}

/// What reading the world would give.
fn observations(mut world: World, desired: &BTreeMap<String, Desired>) -> Observations {
    let mut observe = |desired: &Desired| match desired {
        Desired::DataZone(_) => {
            let domain = world.domains.remove(generate::DOMAIN).unwrap_or_default();
            let profile = |(id, profile): (String, rosterd::sandbox::world::Profile)| datazone::Profile {
                id,
                identity: datazone::Identity::Sso { user_name: profile.user_name.unwrap_or_default() },
                status: datazone::Status::parse(&profile.status).expect("a status"),
            };
            let kind = datazone::DesignationKind::parse("PROJECT_CONTRIBUTOR").expect("a designation");
            let members = |(id, members): (String, BTreeMap<String, _>)| {
                let members = members.into_keys().map(|id| (id, datazone::Designation { kind, id: None }));
                (id, members.collect())
            };
            let memberships = domain.projects.into_iter().map(members).collect();
            let profiles = domain.profiles.into_iter().map(profile).collect();
            Observed::DataZone(datazone::Observed::new(profiles, memberships, Default::default()))
        }
        Desired::QuickSight(_) => {
            let mut account = world.accounts.remove(generate::ACCOUNT).unwrap_or_default();
            let namespace = account.namespaces.remove("default").unwrap_or_default();
            let user = |(id, user): (String, rosterd::sandbox::world::QuickSightUser)| quicksight::User {
                name: user.user_name,
                email: user.email,
                role: quicksight::Role::Reader,
                identity_type: quicksight::IdentityType::QuickSight,
                principal_id: id,
                custom_permissions: None,
                external_login: None,
            };
            let members =
                |members: std::collections::BTreeSet<String>| members.into_iter().collect::<HashSet<_>>();
            let groups = namespace.groups.into_iter().map(|(name, g)| (name, members(g.members)));
            let users = namespace.users.into_iter().map(user).collect();
            Observed::QuickSight(quicksight::Observed::new(users, groups.collect(), BTreeMap::new()))
        }
        Desired::FinSpace(_) => {
            let environment = world.environments.remove(generate::REGION).unwrap_or_default();
            let user = |(id, user): (String, rosterd::sandbox::world::FinSpaceUser)| finspace::User {
                id,
                email: user.email,
                status: finspace::Status::parse(&user.status).expect("a status"),
                user_type: finspace::UserType::parse(&user.user_type).expect("a type"),
                first_name: user.first_name,
                last_name: user.last_name,
                api_access: user.api_access.as_deref().and_then(finspace::ApiAccess::parse),
                api_access_principal_arn: None,
            };
            let group = |(id, group): (String, rosterd::sandbox::world::PermissionGroup)| {
                (group.name, finspace::Group { id, members: group.members.into_keys().collect() })
            };
            let groups = environment.groups.into_iter().map(group).collect();
            let users = environment.users.into_iter().map(user).collect();
            Observed::FinSpace(finspace::Observed::new(users, groups))
        }
    };
    desired.iter().map(|(target, desired)| (target.clone(), Ok(observe(desired)))).collect()
}
