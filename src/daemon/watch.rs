//! Noticing that the files have changed.
//!
//! The files are looked at every tick instead of being subscribed to: that is the same for an editor's rename,
//! for Kubernetes swapping the `..data` link of a ConfigMap, for NFS and for a folder that comes and goes, and
//! costs a handful of `stat` calls. A change counts once two looks in a row have shown the same, so that a file
//! is not read while it is being written.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells one state of the files from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    files: BTreeMap<PathBuf, Option<Stamp>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Of the settings and the roster, a file or a folder; links are followed.
    pub fn of(config: &Path, roster: Option<&Path>) -> Fingerprint {
        let mut files = BTreeMap::new();
        for path in std::iter::once(config).chain(roster) {
            files.insert(path.to_path_buf(), stamp(path));
            for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.path().extension().is_some_and(|e| e == "toml") {
                    files.insert(entry.path(), stamp(&entry.path()));
                }
            }
        }
        Fingerprint { files }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: meta.dev(),
        inode: meta.ino(),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

/// Compares one look with the next.
#[derive(Debug)]
pub struct Watch {
    /// What was read last.
    read: Fingerprint,
    /// What the last look showed.
    seen: Fingerprint,
}

impl Watch {
    /// The files were read in this state.
    pub fn new(read: Fingerprint) -> Self {
        Watch { seen: read.clone(), read }
    }

    /// True when the files have changed and have stopped changing.
    pub fn look(&mut self, now: Fingerprint) -> bool {
        let is_still = now == self.seen;
        self.seen = now;
        is_still && self.seen != self.read
    }
}
