//! The audit trail (invariant 11): one JSON line for every write, appended and flushed before the next
//! action of its target is reported. The file is readable for its owner only: it holds names.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::plan::{Change, Field, Kind};

/// One line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When the action ended.
    pub time: Timestamp,
    /// The target.
    pub target: &'a str,
    /// The change's id.
    pub change: &'a str,
    /// What it does.
    pub kind: Kind,
    /// The principal or group.
    pub principal: &'a str,
    /// The roster user, if there is one.
    pub user: Option<&'a str>,
    /// Old and new.
    pub fields: &'a [Field],
    /// The roles that cause it.
    pub roles: &'a [String],
    /// The plan it belongs to.
    pub plan: &'a str,
    /// AWS's ids of the requests.
    pub request_ids: Vec<String>,
    /// `done`, or `failed`.
    pub outcome: &'a str,
    /// What went wrong, or what to know of it.
    pub note: Option<String>,
}

impl<'a> Line<'a> {
    /// The line of a change.
    pub fn of(target: &'a str, change: &'a Change, plan: &'a str, time: Timestamp) -> Self {
        Line {
            time,
            target,
            change: &change.id,
            kind: change.kind,
            principal: change.subject.key(),
            user: change.user.as_deref(),
            fields: &change.fields,
            roles: &change.roles,
            plan,
            request_ids: Vec::new(),
            outcome: "done",
            note: None,
        }
    }
}

/// The open trail.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: Mutex<File>,
}

impl Audit {
    /// Opens the trail for appending. Without one nothing may be written to AWS.
    pub fn open(path: &Path) -> Result<Self, String> {
        let advice = |e: std::io::Error| {
            format!(
                "cannot write the audit trail {}: {e}; make its folder writable, or set `daemon.audit`",
                path.display()
            )
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(advice)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(advice)?;
        Ok(Audit { path: path.to_path_buf(), file: Mutex::new(file) })
    }

    /// Appends a line.
    pub fn write(&self, line: &Line<'_>) -> Result<(), String> {
        let mut text = serde_json::to_string(line).map_err(|e| e.to_string())?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes())
            .map_err(|e| format!("cannot write the audit trail {}: {e}", self.path.display()))
    }
}
