//! One writer for one `state_dir`: a lock that ends with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// The file's name in `state_dir`.
const FILE: &str = "lock";

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock, or says who has it.
pub fn take(state_dir: &Path) -> Result<Lock, String> {
    let path = state_dir.join(FILE);
    let advice = |e: std::io::Error| {
        format!(
            "cannot lock {}: {e}; make the folder writable for this user, or set `daemon.state_dir` to one that is",
            path.display()
        )
    };
    std::fs::create_dir_all(state_dir).map_err(advice)?;
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = opened.map_err(advice)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let pid = pid.trim();
            let who = if pid.is_empty() {
                "another rosterd".into()
            } else {
                format!("rosterd with process id {pid}")
            };
            return Err(format!(
                "{who} is at work with {}, and only one may write at a time; stop it first (`rosterd plan` works meanwhile)",
                state_dir.display()
            ));
        }
        Err(TryLockError::Error(e)) => return Err(advice(e)),
    }
    // For whoever comes second; the lock holds without it.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(Lock { _file: file })
}
