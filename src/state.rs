//! What is remembered between passes in `state_dir`: which principal each user had (to tell a rename from
//! a new person), since when a removal is due (`removal_grace`), and what a listing took (to choose the
//! fewest calls). Losing it is harmless: a rename is then planned as it looks, grace starts again, and
//! everything is listed. A file that cannot be read is ignored with a warning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::plan::guard::Clocks;
use crate::service::Known;
use crate::service::reading::Listing;

/// The file's name in `state_dir`.
const FILE: &str = "memory.json";

/// What passes remember.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Target -> the place it was: what is remembered of another place under the same name is forgotten.
    #[serde(default)]
    pub places: BTreeMap<String, String>,
    /// Target -> roster user -> principal.
    #[serde(default)]
    pub principals: BTreeMap<String, Known>,
    /// Since when removals are due.
    #[serde(default)]
    pub clocks: Clocks,
    /// Target -> what its last listing took.
    #[serde(default)]
    pub listings: BTreeMap<String, Listing>,
    /// Target -> when it was last observed: clocks of removals do not run while nobody looks.
    #[serde(default)]
    pub observed: BTreeMap<String, Timestamp>,
}

impl Memory {
    /// What was saved; nothing when there is none or it cannot be read.
    pub fn load(state_dir: &Path) -> Memory {
        load(&state_dir.join(FILE), "going on without it")
    }

    /// What still holds when a target's name stands for another place now.
    pub fn of_places(mut self, places: BTreeMap<String, String>) -> Memory {
        let mut was = std::mem::take(&mut self.places);
        let is_moved = |(target, now): &(&String, &String)| was.get(*target).is_some_and(|was| was != *now);
        let moved: BTreeSet<String> =
            places.iter().filter(is_moved).map(|(target, _)| target.clone()).collect();
        self.principals.retain(|target, _| !moved.contains(target));
        self.listings.retain(|target, _| !moved.contains(target));
        self.observed.retain(|target, _| !moved.contains(target));
        self.clocks.retain(|change, _| !moved.contains(change.split('/').next().unwrap_or_default()));
        for (target, place) in &places {
            let old = was.iter().find(|(name, at)| *at == place && !places.contains_key(*name));
            if let Some(old) = old.map(|(name, _)| name.clone()).filter(|_| !was.contains_key(target)) {
                self.rename(&old, target);
                was.remove(&old);
            }
        }
        // A target that this run does not look at is remembered as it was.
        self.places = was.into_iter().chain(places).collect();
        self
    }

    /// A target has another name now.
    fn rename(&mut self, old: &str, new: &str) {
        fn one<T>(all: &mut BTreeMap<String, T>, old: &str, new: &str) {
            let value = all.remove(old);
            all.extend(value.map(|value| (new.to_string(), value)));
        }
        one(&mut self.principals, old, new);
        one(&mut self.listings, old, new);
        one(&mut self.observed, old, new);
        let clocks = std::mem::take(&mut self.clocks).into_iter();
        self.clocks = clocks
            .map(|(id, at)| match id.strip_prefix(old).filter(|rest| rest.starts_with('/')) {
                Some(rest) => (format!("{new}{rest}"), at),
                None => (id, at),
            })
            .collect();
    }

    /// Starts the clocks of a target's removals anew when nobody has looked for much longer than usual: what was
    /// due then may have been wanted in between.
    pub fn forget_stale(&mut self, target: &str, usual: Duration, now: Timestamp) {
        let looked = self.observed.get(target).copied().unwrap_or(now);
        let away = Duration::try_from(now.duration_since(looked)).unwrap_or_default();
        if away > usual {
            let prefix = format!("{target}/");
            self.clocks.retain(|change, _| !change.starts_with(&prefix));
        }
    }

    /// The clock was wrong by so much: what it has timed goes on from where it was.
    pub fn shift(&mut self, by: SignedDuration) {
        for at in self.clocks.values_mut().chain(self.observed.values_mut()) {
            *at = at.checked_add(by).unwrap_or(*at);
        }
    }

    /// The latest time in it.
    pub fn newest(&self) -> Option<Timestamp> {
        self.observed.values().chain(self.clocks.values()).max().copied()
    }

    /// What is remembered of one target.
    pub fn of_target(&self, target: &str) -> Memory {
        fn one<T: Clone>(all: &BTreeMap<String, T>, target: &str) -> BTreeMap<String, T> {
            all.get(target).map(|value| (target.to_string(), value.clone())).into_iter().collect()
        }
        let prefix = format!("{target}/");
        let clocks = self.clocks.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(&prefix));
        Memory {
            places: one(&self.places, target),
            principals: one(&self.principals, target),
            clocks: clocks.map(|(id, at)| (id.clone(), *at)).collect(),
            listings: one(&self.listings, target),
            observed: one(&self.observed, target),
        }
    }

    /// Saves, whole or not at all.
    pub fn save(&self, state_dir: &Path) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|e| e.to_string())?;
        write_private(&state_dir.join(FILE), &text)
    }
}

/// What was saved; nothing, with a warning of what follows, where it cannot be read.
pub fn load<T: Default + DeserializeOwned>(path: &Path, follows: &str) -> T {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return T::default(),
        Err(e) => {
            warn!("cannot read {}: {e}; {follows}", path.display());
            return T::default();
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|e| {
        warn!("{} is not what rosterd wrote ({e}); {follows}", path.display());
        T::default()
    })
}

/// Writes a file that only its owner may read, whole or not at all: to a neighbour first, then renamed.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut neighbour = path.as_os_str().to_owned();
    neighbour.push(format!(".{}.tmp", std::process::id()));
    let neighbour = PathBuf::from(neighbour);
    let mut options = std::fs::OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options
        .open(&neighbour)
        .and_then(|mut file| {
            std::io::Write::write_all(&mut file, text.as_bytes()).and_then(|()| file.sync_all())
        })
        .and_then(|()| std::fs::rename(&neighbour, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&neighbour);
        failed(e)
    })
}
