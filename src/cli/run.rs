//! `rosterd run`: the daemon, or with `--once` one pass of every target.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::context::KeptSandbox;
use super::{Exit, SandboxOption, context};
use crate::aws::client;
use crate::daemon::status::{PassOutcome, Status};
use crate::daemon::{self, Ended, Order, StandIn, StartError};
use crate::telemetry::http;

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    stand_in: SandboxOption,
    /// Make one pass of every target and end, as a job of a scheduler would
    #[arg(long)]
    once: bool,
}

/// Runs until told to stop.
pub async fn run(config: &Path, options: Options) -> anyhow::Result<Exit> {
    // Before anything else: a signal that nobody listens for ends the process.
    let signals = listen_for_signals()?;
    let stand_in = match options.stand_in.sandbox.as_deref() {
        None => None,
        Some(how) => {
            let (files, _) = context::read(config)?;
            let dir = daemon::sandbox_dir(&files.settings.daemon.state_dir);
            let kept = KeptSandbox::start(&files.settings, &files.desired, how == "fresh", &dir).await?;
            Some((Box::new(kept) as Box<dyn StandIn>, dir))
        }
    };
    let start = daemon::Options {
        config: config.to_path_buf(),
        once: options.once,
        stand_in,
        http: client::http_client(),
        wall: Box::new(Timestamp::now),
        slack: daemon::SLACK,
    };
    let daemon = match daemon::prepare(start) {
        Ok(daemon) => daemon,
        Err(StartError::Files(invalid)) => {
            // Where nobody looks on it is a log, which names nobody.
            if std::io::stderr().is_terminal() {
                anstream::eprint!("{}", invalid.text);
            } else {
                invalid.brief.lines().for_each(|line| error!("{line}"));
            }
            return Err(invalid.into());
        }
        Err(error) => return Err(error.into()),
    };
    let shared = Arc::clone(&daemon.shared);
    let generation = shared.generation();
    if !generation.warnings.is_empty() {
        generation.warnings.lines().for_each(|line| warn!("{line}"));
    }
    let server = if options.once {
        None
    } else {
        let address = generation.settings.daemon.listen;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; another process may have the port: set `daemon.listen`")
        })?;
        let address = listener.local_addr()?;
        info!("serving http://{address}/");
        if generation.settings.show_people && !address.ip().is_loopback() {
            warn!("`status_page.show_people` shows names and addresses to whoever reaches {address}");
        }
        Some(tokio::spawn(http::serve(listener, Arc::clone(&shared))))
    };
    drop(generation);
    pass_on(signals, shared.orders.clone());
    // On a thread of the runtime: from this one, each tick would wake two.
    let ended = tokio::spawn(daemon::supervise(daemon)).await.context("the supervisor broke")?;
    if let Some(server) = server {
        server.abort();
    }
    Ok(if options.once { exit_of(&ended, &shared.status()) } else { Exit::Done })
}

type Signals = Vec<(&'static str, tokio::signal::unix::Signal)>;

fn listen_for_signals() -> anyhow::Result<Signals> {
    let kinds = [
        ("SIGINT", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
    ];
    kinds
        .into_iter()
        .map(|(name, kind)| Ok((name, signal(kind).context("cannot listen for signals")?)))
        .collect()
}

fn pass_on(signals: Signals, orders: mpsc::Sender<Order>) {
    for (name, mut signal) in signals {
        let orders = orders.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                let order = match name {
                    "SIGHUP" => Order::Reload(None),
                    "SIGUSR1" => Order::Reconcile { target: None, force_removals: false },
                    _ => Order::Stop(name),
                };
                if orders.send(order).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The exit code of one pass of every target.
fn exit_of(ended: &Ended, status: &Status) -> Exit {
    let outcomes: Vec<_> = ended.outcomes.values().map(|o| o.unwrap_or(PassOutcome::Interrupted)).collect();
    let is_ok = |o: &PassOutcome| *o == PassOutcome::Ok;
    if ended.cut_off || !outcomes.iter().all(is_ok) {
        let made = status.targets.iter().any(|t| t.last_pass.as_ref().is_some_and(|p| p.made > 0));
        let any = made || outcomes.iter().any(|o| matches!(o, PassOutcome::Ok | PassOutcome::Partial));
        return if any { Exit::Partly } else { Exit::Failed };
    }
    if status.targets.iter().any(|t| t.removals_held > 0) { Exit::Held } else { Exit::Done }
}
