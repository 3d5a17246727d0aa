//! The command line: one file a command. This page parses and dispatches; [`context`] loads what most
//! commands need; [`exit`] is the table of exit codes.

mod apply;
mod check;
pub mod context;
pub mod exit;
mod explain;
mod observe;
mod plan;
mod run;
mod sandbox;
mod shell;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::telemetry::log::{self, Format};
pub use exit::Exit;

/// Keeps the people on a TOML roster in step with Amazon DataZone, QuickSight and FinSpace Data
#[derive(Debug, Parser)]
#[command(name = "rosterd", version, after_help = exit::HELP, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The settings
    #[arg(
        long,
        short,
        global = true,
        env = "ROSTERD_CONFIG",
        default_value = "config/rosterd.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Which log lines go to standard error, in the form of RUST_LOG; `run` says more than the others
    #[arg(long, global = true, env = "ROSTERD_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look: text or json
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT", value_parser = shell::word::<Format>)]
    log_format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the settings and the roster, offline
    Check,
    /// Show what would change, and touch nothing
    Plan(plan::Options),
    /// Make the changes: of a fresh plan, or of exactly a saved one
    Apply(apply::Options),
    /// Keep the targets in step: the daemon
    Run(run::Options),
    /// Say which role gives a user which access on each target, and what differs
    Explain(explain::Options),
    /// Serve the three services' APIs on this machine
    Sandbox(sandbox::Options),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What a command says while it works: what is printed at its end says the rest.
const LOG: &str = "error,rosterd::state=warn";
/// A line for each pass and for each change that failed.
const LOG_OF_RUN: &str = "warn,rosterd=info";

/// Whether a sandbox stands in for AWS.
#[derive(Debug, Args)]
struct SandboxOption {
    /// Use a sandbox in this process instead of AWS; its world is kept in state_dir, `fresh` starts it over
    #[arg(long, value_name = "fresh", num_args = 0..=1, require_equals = true, default_missing_value = "kept", value_parser = ["fresh", "kept"], hide_possible_values = true)]
    sandbox: Option<String>,
}

/// What commands that look at targets share.
#[derive(Debug, Args)]
struct TargetOptions {
    #[command(flatten)]
    stand_in: SandboxOption,
    /// Look at this target only; may be given several times
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
}

/// Parses the arguments, runs the command and says how it ended.
pub async fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no failures; a wrong flag is, and must not look like "changes pending".
            let _ = error.print();
            return if error.use_stderr() { Exit::Failed } else { Exit::Done };
        }
    };
    let styled = shell::is_styled(&anstream::stderr());
    let filter = cli.log.as_deref().unwrap_or(match cli.command {
        Command::Run(_) => LOG_OF_RUN,
        _ => LOG,
    });
    if let Err(error) = log::start(filter, cli.log_format, styled) {
        return shell::fail(&anyhow::anyhow!(error));
    }
    let config = &cli.config;
    let result = match cli.command {
        Command::Check => check::run(config),
        Command::Plan(options) => plan::run(config, options).await,
        Command::Apply(options) => apply::run(config, options).await,
        Command::Run(options) => run::run(config, options).await,
        Command::Explain(options) => explain::run(config, options).await,
        Command::Sandbox(options) => sandbox::run(options).await,
        Command::Completions { shell } => shell::completions(shell),
        Command::Man => shell::man(),
    };
    result.unwrap_or_else(|error| shell::fail(&error))
}
