//! Exit codes. Where several fit, the one further up in [`Exit::worst`] is given.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it should.
    Done,
    /// It could not.
    Failed,
    /// There are changes, and `--detailed-exitcode` asked to be told.
    Pending,
    /// Part of it failed.
    Partly,
    /// A guard holds removals back.
    Held,
}

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  failed: nothing or not enough could be read or written
  2  changes are pending (plan --detailed-exitcode)
  3  part of the changes or targets failed
  4  a guard holds removals back (max_removals, empty roster)

Start without an AWS account:
  rosterd apply --sandbox --yes";

impl Exit {
    /// The more urgent of the two.
    pub fn worst(self, other: Exit) -> Exit {
        const ORDER: [Exit; 5] = [Exit::Failed, Exit::Partly, Exit::Held, Exit::Pending, Exit::Done];
        ORDER.into_iter().find(|e| *e == self || *e == other).unwrap_or(Exit::Done)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Pending => 2,
            Exit::Partly => 3,
            Exit::Held => 4,
        })
    }
}
