//! The files in force. A reload makes a new generation or, when the files are invalid, none: the last good one
//! stays in force.
//!
//! The roster is kept beside what it was resolved to, because `expires` has to hold from its day on even while
//! the files on disk are broken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::watch::Fingerprint;
use crate::config::{self, Settings};
use crate::input::{Problems, Sources};
use crate::roster::files::{self, Files, Invalid};
use crate::roster::{self, Roster};
use crate::service::Desired;
use crate::telemetry::people;

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
    pub roster: Arc<Roster>,
    /// Target -> the number of the generation in which what rosterd is to do there last changed.
    pub since: BTreeMap<String, u64>,
    /// Warnings, in a line each that names nobody.
    pub warnings: String,
}

/// The day of a time, in UTC, so that it is the same everywhere.
pub fn day_of(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// How often files are read that change meanwhile.
const READS_MAX: u32 = 5;
/// Between two of those.
const READ_AGAIN: Duration = Duration::from_millis(300);

/// The files as they were read, and what tells that state from another.
#[derive(Debug)]
pub struct Read {
    /// The files, or what is wrong with them.
    pub generation: Result<Generation, Invalid>,
    /// What they looked like before and after.
    pub fingerprint: Fingerprint,
    /// Where the roster is.
    pub roster: Option<PathBuf>,
}

/// Reads the files while they are still: half of one state and half of another is nobody's wish. `None` when
/// they keep changing.
pub fn read_still(
    config: &Path,
    now: Timestamp,
    loaded: Timestamp,
    before: Option<&Generation>,
) -> Option<Read> {
    for attempt in 0..READS_MAX {
        if attempt > 0 {
            std::thread::sleep(READ_AGAIN);
        }
        let settings = config::load(config, &mut Sources::default(), &mut Problems::default());
        let roster = settings.map(|s| s.daemon.roster);
        let fingerprint = Fingerprint::of(config, roster.as_deref());
        let generation = Generation::read(config, before.map_or(1, |b| b.number + 1), now, loaded);
        // The settings may have come to name another roster in between.
        let is_other = |g: &Generation| Some(&g.settings.daemon.roster) != roster.as_ref();
        let is_other = generation.as_ref().is_ok_and(is_other);
        if !is_other && Fingerprint::of(config, roster.as_deref()) == fingerprint {
            let generation = generation.map(|g| match before {
                Some(before) => g.after(before),
                None => g,
            });
            return Some(Read { generation, fingerprint, roster });
        }
    }
    None
}

impl Generation {
    /// Reads the files.
    fn read(config: &Path, number: u64, now: Timestamp, loaded: Timestamp) -> Result<Generation, Invalid> {
        let day = day_of(now);
        let (files, roster) = files::read(config, day, false)?;
        let Files { settings, desired, brief: warnings, digest, settings_digest, .. } = files;
        let roster = Arc::new(roster);
        let since = settings.targets.keys().map(|name| (name.clone(), number)).collect();
        Ok(Generation {
            number,
            settings,
            desired,
            day,
            digest,
            settings_digest,
            loaded,
            roster,
            since,
            warnings,
        })
    }

    /// Says for which targets nothing has changed since an earlier one.
    fn after(mut self, before: &Generation) -> Generation {
        if self.settings_digest == before.settings_digest {
            for (name, since) in &mut self.since {
                let same = self.desired.get(name) == before.desired.get(name);
                if let Some(earlier) = before.since.get(name).filter(|_| same) {
                    *since = *earlier;
                }
            }
        }
        self
    }

    /// The same files on another day; what is wrong then stands in the error.
    pub fn on(&self, day: Date) -> Result<Generation, String> {
        let mut problems = Problems::default();
        let desired = roster::resolve(&self.roster, &self.settings, day, &mut problems);
        if problems.has_errors() {
            // No file is at hand, and no place in one.
            return Err(problems.brief_messages(&people::hide_addresses).join("; "));
        }
        let number = self.number + 1;
        let next = Generation {
            number,
            settings: self.settings.clone(),
            desired,
            day,
            digest: self.digest.clone(),
            settings_digest: self.settings_digest.clone(),
            loaded: self.loaded,
            roster: Arc::clone(&self.roster),
            since: self.since.keys().map(|name| (name.clone(), number)).collect(),
            warnings: self.warnings.clone(),
        };
        Ok(next.after(self))
    }

    /// Where each target is.
    pub fn places(&self) -> BTreeMap<String, String> {
        self.settings.targets.values().map(|t| (t.name.clone(), t.place())).collect()
    }

    /// Keys that differ from those the process was started with and that only a restart changes.
    pub fn needs_restart(&self, first: &Settings) -> Vec<String> {
        let (now, then) = (&self.settings.daemon, &first.daemon);
        [
            ("daemon.listen", now.listen == then.listen),
            ("daemon.state_dir", now.state_dir == then.state_dir),
            ("daemon.audit", now.audit == then.audit),
            ("daemon.concurrency", now.concurrency == then.concurrency),
        ]
        .into_iter()
        .filter(|(_, is_same)| !is_same)
        .map(|(key, _)| key.to_string())
        .collect()
    }
}
