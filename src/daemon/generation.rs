//! The files in force. A reload makes a new generation or, when the files are invalid, none: the last good one
//! stays in force.
//!
//! The roster is kept beside what it was resolved to, because `expires` has to hold from its day on even while
//! the files on disk are broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::Settings;
use crate::input::Problems;
use crate::roster::files::{self, Files, Invalid};
use crate::roster::{self, Roster};
use crate::service::Desired;

/// One state of the files.
#[derive(Debug)]
pub struct Generation {
    /// Counts up.
    pub number: u64,
    /// The settings.
    pub settings: Settings,
    /// What the roster wants of each target on `day`.
    pub desired: BTreeMap<String, Desired>,
    /// The day `expires` was compared with.
    pub day: Date,
    /// SHA-256 over both files.
    pub digest: String,
    /// SHA-256 over the settings alone.
    pub settings_digest: String,
    /// When they were read.
    pub loaded: Timestamp,
    /// The roster as written.
    pub roster: std::sync::Arc<Roster>,
    /// Warnings, in a line each that names nobody.
    pub warnings: String,
}

/// The day of a time, in UTC, so that it is the same everywhere.
pub fn day_of(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

impl Generation {
    /// Reads the files.
    pub fn read(
        config: &Path,
        number: u64,
        now: Timestamp,
        loaded: Timestamp,
    ) -> Result<Generation, Invalid> {
        let day = day_of(now);
        let (files, roster) = files::read(config, day, false)?;
        let Files { settings, desired, brief: warnings, digest, settings_digest, .. } = files;
        let roster = std::sync::Arc::new(roster);
        Ok(Generation { number, settings, desired, day, digest, settings_digest, loaded, roster, warnings })
    }

    /// The same files on another day; what is wrong then stands in the error.
    pub fn on(&self, day: Date) -> Result<Generation, String> {
        let mut problems = Problems::default();
        let desired = roster::resolve(&self.roster, &self.settings, day, &mut problems);
        if problems.has_errors() {
            return Err(problems.messages().collect::<Vec<_>>().join("; "));
        }
        Ok(Generation {
            number: self.number + 1,
            settings: self.settings.clone(),
            desired,
            day,
            digest: self.digest.clone(),
            settings_digest: self.settings_digest.clone(),
            loaded: self.loaded,
            roster: std::sync::Arc::clone(&self.roster),
            warnings: self.warnings.clone(),
        })
    }

    /// Where each target is.
    pub fn places(&self) -> BTreeMap<String, String> {
        self.settings.targets.values().map(|t| (t.name.clone(), t.place())).collect()
    }

    /// Keys that differ from those the process was started with and that only a restart changes.
    pub fn needs_restart(&self, first: &Settings) -> Vec<String> {
        let (now, then) = (&self.settings.daemon, &first.daemon);
        let same = |a: &PathBuf, b: &PathBuf| a == b;
        [
            ("daemon.listen", now.listen == then.listen),
            ("daemon.state_dir", same(&now.state_dir, &then.state_dir)),
            ("daemon.audit", same(&now.audit, &then.audit)),
            ("daemon.concurrency", now.concurrency == then.concurrency),
        ]
        .into_iter()
        .filter(|(_, is_same)| !is_same)
        .map(|(key, _)| key.to_string())
        .collect()
    }
}
