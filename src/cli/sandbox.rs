//! `rosterd sandbox`: the three services' APIs on this machine, until interrupted.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::observe::interrupted;
use super::{Exit, shell};
use crate::sandbox::fault::FaultRule;
use crate::sandbox::knobs::{Quota, quota_flag};
use crate::sandbox::{Knobs, Sandbox, World, generate};
use crate::state::write_private;

#[derive(Debug, Args)]
pub struct Options {
    /// Where to listen; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The world to start with and to save at the end (JSON); without it the sample world, unsaved
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// A world of N users on each service, with a matching roster and settings written to --write
    #[arg(long, value_name = "N", conflicts_with = "state")]
    users: Option<usize>,
    /// A folder for the roster and settings that fit the world of --users
    #[arg(long, value_name = "FOLDER", requires = "users")]
    write: Option<PathBuf>,
    /// Quotas, latency and faults from a TOML file
    #[arg(long, value_name = "FILE")]
    knobs: Option<PathBuf>,
    /// A token bucket, such as quicksight:UpdateUser=10,20 (rate per second, burst)
    #[arg(long = "quota", value_name = "OPERATION=RATE[,BURST|,window]", value_parser = quota_flag)]
    quotas: Vec<(String, Quota)>,
    /// A fault, such as quicksight:UpdateUser=throttle@0.05 or *=reset_after#3
    #[arg(long = "fault", value_name = "OPERATION=FAULT")]
    faults: Vec<FaultRule>,
    /// How long every answer takes, in milliseconds
    #[arg(long, value_name = "MS")]
    latency: Option<u64>,
    /// For how many reads a new object stays unseen
    #[arg(long, value_name = "READS")]
    lag: Option<u32>,
    /// The seed of what is left to chance
    #[arg(long)]
    seed: Option<u64>,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(options: Options) -> anyhow::Result<Exit> {
    let mut knobs = match &options.knobs {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Knobs::from_toml(&text).map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?
        }
        None => Knobs::default(),
    };
    knobs.quotas.extend(options.quotas);
    knobs.faults.extend(options.faults);
    knobs.latency_ms = options.latency.unwrap_or(knobs.latency_ms);
    knobs.lag = options.lag.unwrap_or(knobs.lag);
    knobs.seed = options.seed.unwrap_or(knobs.seed);
    let world = match (&options.state, options.users) {
        (Some(path), _) if path.exists() => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            World::from_json(&text)
                .map_err(|e| anyhow::anyhow!("{} is no saved sandbox: {e}", path.display()))?
        }
        (_, Some(users)) => generate::world(users),
        _ => World::sample(),
    };
    let listening = Sandbox::start(options.listen, world, knobs).await;
    let sandbox = listening.with_context(|| format!("cannot listen on {}", options.listen))?;
    if let (Some(folder), Some(users)) = (&options.write, options.users) {
        let write =
            |name: &str, text: &str| write_private(&folder.join(name), text).map_err(anyhow::Error::msg);
        write("roster.toml", &generate::roster(users))?;
        write("rosterd.toml", &generate::settings(&sandbox.url()))?;
    }
    shell::write(format!("listening on {}\n", sandbox.url()).as_bytes())?;
    interrupted().await;
    if let Some(path) = &options.state {
        write_private(path, &sandbox.world().to_json()).map_err(anyhow::Error::msg)?;
    }
    Ok(Exit::Done)
}
