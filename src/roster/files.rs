//! Both files as one: settings and roster read, checked and resolved, or every mistake of both.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use thiserror::Error;

use super::schema::Roster;
use crate::config::{self, Settings};
use crate::input::{Problems, Sources};
use crate::service::Desired;
use crate::telemetry::people;

/// The settings, and what the roster wants of each target.
#[derive(Debug)]
pub struct Files {
    /// The settings.
    pub settings: Settings,
    /// Folded, by target.
    pub desired: BTreeMap<String, Desired>,
    /// Warnings as text, with the lines of the files.
    pub warnings: String,
    /// Warnings in a line each that names nobody.
    pub brief: String,
    /// SHA-256 over both files.
    pub digest: String,
    /// SHA-256 over the settings alone.
    pub settings_digest: String,
}

/// Why the files are not taken.
#[derive(Debug, Error)]
#[error("{errors} in the settings and the roster{unread}; nothing was read from or written to AWS",
    errors = crate::word::count(*errors, "error"),
    unread = if *warnings > 0 { "; warnings above do not stop rosterd" } else { "" })]
pub struct Invalid {
    /// Each mistake with its place and the line there.
    pub text: String,
    /// Each mistake in a line that names nobody.
    pub brief: String,
    /// How many errors.
    pub errors: usize,
    /// How many warnings.
    pub warnings: usize,
}

/// Reads both files as they are to be taken on a day.
pub fn read(config: &Path, today: Date, styled: bool) -> Result<(Files, Roster), Invalid> {
    let mut sources = Sources::default();
    let mut problems = Problems::default();
    let settings = config::load(config, &mut sources, &mut problems);
    let settings_digest = sources.digest();
    let roster = settings.as_ref().map(|s| super::load(s, &mut sources, &mut problems));
    let desired = match (&settings, &roster) {
        (Some(settings), Some(roster)) => super::resolve(roster, settings, today, &mut problems),
        _ => BTreeMap::new(),
    };
    let text = problems.render(&sources, styled);
    match (settings, roster) {
        (Some(settings), Some(roster)) if !problems.has_errors() => {
            let digest = sources.digest();
            let brief = problems.brief(&sources, &people::hide_addresses);
            Ok((Files { settings, desired, warnings: text, brief, digest, settings_digest }, roster))
        }
        _ => {
            let (errors, warnings) = problems.counts();
            let brief = problems.brief(&sources, &people::hide_addresses);
            Err(Invalid { text, brief, errors, warnings })
        }
    }
}
