//! `rosterd check`: both files, offline.

use std::path::Path;

use super::context;
use super::{Exit, shell};
use crate::word::count;

/// Reads and resolves, and says what there is.
pub fn run(config: &Path) -> anyhow::Result<Exit> {
    let (files, roster) = context::read(config)?;
    anstream::eprint!("{}", files.warnings);
    let mut text = format!(
        "{} and {} are fine: {}, {}, {}\n",
        config.display(),
        files.settings.daemon.roster.display(),
        count(roster.users.len(), "user"),
        count(roster.roles.len(), "role"),
        count(files.settings.targets.len(), "target"),
    );
    for target in files.settings.targets.values() {
        let users = files.desired.get(&target.name).map_or(0, |d| d.principals().len());
        text.push_str(&format!(
            "  {}  {}  policy {}, {}\n",
            target.name,
            target.place(),
            target.rules.policy,
            count(users, "user")
        ));
    }
    shell::write(text.as_bytes())
}
