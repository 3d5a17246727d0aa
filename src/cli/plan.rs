//! `rosterd plan`: observe, compare, show; nothing is written but the file of `--out`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::context::Intent;
use super::observe::{Pass, Purpose, outlook};
use super::{Exit, TargetOptions, shell};
use crate::plan::cost::Work;
use crate::plan::render;
use crate::plan::saved::SavedPlan;
use crate::state::write_private;
use crate::words;

words! {
    /// How a plan is shown.
    Format {
        /// For a terminal.
        Text = "text",
        /// With `format_version`, the same as `--out` writes.
        Json = "json",
        /// For a pull request.
        Markdown = "markdown",
    }
}

#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    targets: TargetOptions,
    /// Save the plan, for `rosterd apply FILE`; it holds names and e-mail addresses
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the plan is shown: text, json or markdown
    #[arg(long, default_value = "text", value_parser = shell::word::<Format>)]
    format: Format,
    /// Exit with 2 when changes are pending
    #[arg(long)]
    detailed_exitcode: bool,
    /// Plan removals beyond max_removals too
    #[arg(long)]
    force_removals: bool,
}

/// Plans, and saves the plan where asked to.
pub async fn run(config: &Path, options: Options) -> anyhow::Result<Exit> {
    let pass = Pass::begin(config, &options.targets, Purpose::Roster, Intent::Read).await?;
    let plan = pass.plan(options.force_removals);
    let pending = options.detailed_exitcode && plan.ready() > 0;
    let exit = outlook(&plan).worst(if pending { Exit::Pending } else { Exit::Done });
    let expected = pass.connection.expected(&Work::of(&plan));
    let saved = SavedPlan::new(plan, pass.now, options.targets.stand_in.sandbox.is_some());
    let text = match options.format {
        Format::Text => render::text(&saved.plan, expected),
        Format::Json => saved.to_json(),
        Format::Markdown => render::markdown(&saved.plan, expected),
    };
    shell::write(text.as_bytes())?;
    if let Some(path) = &options.out {
        write_private(path, &saved.to_json()).map_err(anyhow::Error::msg)?;
        anstream::eprintln!("saved; make exactly these changes with: rosterd apply {}", path.display());
    }
    Ok(exit)
}
