//! The audit trail (invariant 11): one JSON line for every write, appended before the action is reported.
//!
//! The trail is opened for appending, so a rotation by copy and truncate goes on at the new end; a file that
//! was renamed away is noticed at the next line, and a new one begun. A line that cannot be written (a full
//! disk) is kept and written before any other; while one is kept nothing more may be written to AWS. The file
//! is readable for its owner only: it holds names.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use tracing::warn;

use crate::aside::aside;
use crate::plan::{Change, Field};
use crate::word::Word as _;

/// In a line that begins a plan.
const BEGUN: &str = "\"outcome\":\"begun\"";
/// The path that stands for standard output.
pub const STDOUT: &str = "-";

/// One line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When the action ended.
    pub time: Timestamp,
    /// The target.
    pub target: &'a str,
    /// The change's id.
    pub change: &'a str,
    /// What it does; `apply` for the line that begins a plan.
    pub kind: &'a str,
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
    /// `done`, `failed`, `begun` for the line that begins a plan, or `unknown` where rosterd ended before the answer came.
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
            kind: change.kind.word(),
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

    /// The line before the first change of a plan: if it cannot be written, nothing is.
    /// `removals` is what the plan takes away.
    pub fn begin(
        target: &'a str,
        plan: &'a str,
        changes: usize,
        removals: &'a [Field],
        time: Timestamp,
    ) -> Self {
        Line {
            time,
            target,
            change: "",
            kind: "apply",
            principal: "",
            user: None,
            fields: removals,
            roles: &[],
            plan,
            request_ids: Vec::new(),
            outcome: "begun",
            note: Some(crate::word::count(changes, "change")),
        }
    }
}

/// The open trail.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    trail: Mutex<Trail>,
    /// How many lines are kept; read without waiting for a disk.
    pending: AtomicUsize,
}

#[derive(Debug)]
struct Trail {
    /// Nothing where the trail goes to standard output.
    file: Option<File>,
    /// Lines that could not be written, oldest first.
    kept: Vec<String>,
    /// The last thing written is half a line.
    torn: bool,
}

impl Audit {
    /// Opens the trail for appending. Without one nothing may be written to AWS.
    pub fn open(path: &Path) -> Result<Self, String> {
        let (file, torn) = if path == Path::new(STDOUT) {
            (None, false)
        } else {
            let (file, torn) = open(path).map_err(|e| advice(path, &e))?;
            (Some(file), torn)
        };
        let trail = Mutex::new(Trail { file, kept: Vec::new(), torn });
        Ok(Audit { path: path.to_path_buf(), trail, pending: AtomicUsize::new(0) })
    }

    /// Appends a line, after those that are kept.
    pub fn write(&self, line: &Line<'_>) -> Result<(), String> {
        let mut text = serde_json::to_string(line).map_err(|e| e.to_string())?;
        text.push('\n');
        aside(|| {
            let mut trail = self.trail();
            trail.kept.push(text);
            self.flush(&mut trail)
        })
    }

    /// Writes the lines that are kept. An error means: nothing may be written to AWS now.
    pub fn ready(&self) -> Result<(), String> {
        match self.pending() {
            0 => Ok(()),
            _ => aside(|| self.flush(&mut self.trail())),
        }
    }

    /// How many lines are kept.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::SeqCst)
    }

    fn trail(&self) -> MutexGuard<'_, Trail> {
        self.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, trail: &mut Trail) -> Result<(), String> {
        let mut written = Ok(());
        while !trail.kept.is_empty() && written.is_ok() {
            written = trail.append(&self.path).map_err(|e| advice(&self.path, &e));
            if written.is_ok() {
                trail.kept.remove(0);
            }
        }
        self.pending.store(trail.kept.len(), Ordering::SeqCst);
        written
    }
}

impl Trail {
    /// Appends the first line that is kept.
    fn append(&mut self, path: &Path) -> io::Result<()> {
        let Some(line) = self.kept.first() else { return Ok(()) };
        let Some(file) = &mut self.file else {
            let mut out = io::stdout().lock();
            return out.write_all(line.as_bytes()).and_then(|()| out.flush());
        };
        if was_moved(file, path) {
            (*file, self.torn) = open(path)?;
        }
        let begin = if self.torn { "\n" } else { "" };
        self.torn = true;
        file.write_all(format!("{begin}{line}").as_bytes())?;
        self.torn = false;
        // What is about to happen is on the disk before it does, where there is a disk.
        if line.contains(BEGUN)
            && file.metadata().is_ok_and(|meta| meta.is_file())
            && let Err(error) = file.sync_data()
        {
            warn!("the audit trail {} may not survive a loss of power: {error}", path.display());
        }
        Ok(())
    }
}

/// The file, and whether it ends in the middle of a line.
fn open(path: &Path) -> io::Result<(File, bool)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).read(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    Ok((file, last != [b'\n']))
}

/// True when another file, or none, stands at the path now.
fn was_moved(file: &File, path: &Path) -> bool {
    let same = |there: std::fs::Metadata| {
        file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (there.dev(), there.ino()))
    };
    !std::fs::metadata(path).is_ok_and(same)
}

fn advice(path: &Path, error: &io::Error) -> String {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let what = if full { "make room on its disk" } else { "make its folder writable, or set `daemon.audit`" };
    format!("cannot write the audit trail {}: {error}; {what}", path.display())
}
