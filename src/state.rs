//! What is remembered between passes in `state_dir`: which principal each user had (to tell a rename from
//! a new person), since when a removal is due (`removal_grace`), and what a listing took (to choose the
//! fewest calls). Losing it is harmless: a rename is then planned as it looks, grace starts again, and
//! everything is listed. A file that cannot be read is ignored with a warning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
}

impl Memory {
    /// What was saved; nothing when there is none or it cannot be read.
    pub fn load(state_dir: &Path) -> Memory {
        load(&state_dir.join(FILE), "going on without it")
    }

    /// What still holds when a target's name stands for another place now.
    pub fn of_places(mut self, places: BTreeMap<String, String>) -> Memory {
        let was = std::mem::take(&mut self.places);
        let moved = |target: &str| {
            was.get(target).is_some_and(|place| places.get(target).is_some_and(|now| now != place))
        };
        self.principals.retain(|target, _| !moved(target));
        self.listings.retain(|target, _| !moved(target));
        self.clocks.retain(|change, _| !moved(change.split('/').next().unwrap_or_default()));
        // A target that this run does not look at is remembered as it was.
        self.places = was.into_iter().chain(places).collect();
        self
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
