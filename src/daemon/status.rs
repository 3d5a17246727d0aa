//! What the daemon says of itself: the document behind `/api/v1/status`, `/readyz` and the status page.
//! Plain data; `docs/http.md` describes every member.
//!
//! Nothing here names a person unless `status_page.show_people` is set: texts have been through
//! [`crate::telemetry::people`] before they come here.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::plan::guard::Policy;
use crate::plan::{HeldBy, Kind, Removal};
use crate::service::ServiceKind;
use crate::words;

/// The version of both documents.
pub const FORMAT_VERSION: u32 = 1;

words! {
    /// How a pass ended.
    PassOutcome {
        /// Everything that could be made was made.
        Ok = "ok",
        /// Some changes failed.
        Partial = "partial",
        /// The target could not be read, or no change could be made.
        Failed = "failed",
        /// `pass_timeout` was over; the next pass goes on.
        Timeout = "timeout",
        /// rosterd was told to stop, or the roster changed; nothing is wrong.
        Interrupted = "interrupted",
    }
}

words! {
    /// How a target stands.
    TargetState {
        /// No pass has ended yet.
        Starting = "starting",
        /// Nothing differs.
        InStep = "in_step",
        /// Something differs, and the next pass makes it or somebody has to.
        Drifted = "drifted",
        /// A guard holds removals back.
        Held = "held",
        /// The last pass failed.
        Failing = "failing",
    }
}

/// The whole document.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Which rosterd.
    pub version: &'static str,
    /// When this was written.
    pub now: Timestamp,
    /// When the process started.
    pub started: Timestamp,
    /// The loop makes progress.
    pub live: bool,
    /// The roster is in force: see [`Status::not_ready`].
    pub ready: bool,
    /// What stands against it, a line each.
    pub not_ready: Vec<String>,
    /// It runs against a sandbox of its own.
    pub sandbox: bool,
    /// Names and addresses are shown.
    pub show_people: bool,
    /// Audit lines that could not be written yet; while there are any, nothing is written to AWS.
    pub audit_lines_pending: usize,
    /// What is remembered between passes could not be saved.
    pub state_save_failed: bool,
    /// The files.
    pub configuration: Configuration,
    /// By name.
    pub targets: Vec<TargetStatus>,
    /// What went wrong last, newest first.
    pub errors: Vec<ErrorNote>,
    /// The last day in quarters of an hour, oldest first.
    pub history: Vec<Quarter>,
}

/// Which settings and roster are in force.
#[derive(Debug, Clone, Serialize)]
pub struct Configuration {
    /// The settings file.
    pub path: String,
    /// SHA-256 over the files in force.
    pub hash: String,
    /// When they were read.
    pub loaded: Timestamp,
    /// Users on the roster.
    pub users: usize,
    /// False when the files on disk are invalid and earlier ones are in force.
    pub last_reload_ok: bool,
    /// What is wrong with the files on disk.
    pub problem: Option<String>,
    /// Keys that were changed and need a restart.
    pub needs_restart: Vec<String>,
}

/// One target.
#[derive(Debug, Clone, Serialize)]
pub struct TargetStatus {
    /// Its name.
    pub name: String,
    /// Which service.
    pub service: ServiceKind,
    /// Which domain, namespace or environment.
    pub place: String,
    /// The policy in force.
    pub policy: Policy,
    /// How it stands.
    pub state: TargetState,
    /// A pass is under way.
    pub passing: bool,
    /// The last pass that ended.
    pub last_pass: Option<LastPass>,
    /// When the last pass began that succeeded.
    pub last_success: Option<Timestamp>,
    /// When the next one begins.
    pub next_pass: Option<Timestamp>,
    /// Failed passes in a row.
    pub consecutive_failures: u32,
    /// When the credentials last used expire, where they do.
    pub credentials_expire: Option<Timestamp>,
    /// It was read since the start; until then the numbers below say nothing.
    pub was_observed: bool,
    /// Roster users on the target.
    pub users_desired: usize,
    /// Principals the target holds.
    pub users_observed: usize,
    /// Of those, the ones that neither roster nor scope make rosterd's.
    pub users_unmanaged: usize,
    /// Roster users with nothing to do.
    pub in_step: usize,
    /// Everything that differed when last planned and is not made yet.
    pub drift: usize,
    /// The same, by what would close it; every kind is there.
    pub drift_by_kind: BTreeMap<Kind, usize>,
    /// Of that, what the next pass makes.
    pub pending: usize,
    /// What a rule holds back.
    pub held: usize,
    /// The same, by rule; every rule is there.
    pub held_by: BTreeMap<HeldBy, usize>,
    /// Of that, removals behind `max_removals` or an empty roster.
    pub removals_held: usize,
    /// What cannot be made.
    pub blocked: usize,
    /// What was made again and again and still differs, or fails again and again.
    pub not_converging: usize,
    /// Why the last pass failed.
    pub error: Option<String>,
    /// The pace of each operation called so far.
    pub pace: Vec<PaceLine>,
}

/// A pass that ended.
#[derive(Debug, Clone, Serialize)]
pub struct LastPass {
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: PassOutcome,
    /// Changes made.
    pub made: usize,
    /// Changes that failed.
    pub failed: usize,
}

/// The pace of one operation.
#[derive(Debug, Clone, Serialize)]
pub struct PaceLine {
    /// Its name.
    pub operation: &'static str,
    /// Calls per second it is taken to admit; nothing where it is not paced.
    pub calls_per_second: Option<f64>,
    /// Attempts since the start, over all targets of the service.
    pub attempts: u64,
    /// Of those, throttled.
    pub throttled: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorNote {
    /// When it was last seen.
    pub at: Timestamp,
    /// How often in a row.
    pub count: u32,
    /// Which target; nothing where it is about the daemon.
    pub target: Option<String>,
    /// What went wrong.
    pub message: String,
    /// What to do.
    pub advice: String,
}

/// A quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quarter {
    /// Its beginning.
    pub start: Timestamp,
    /// Changes made.
    pub made: u64,
    /// Changes that failed.
    pub failed: u64,
    /// The most that differed at the end of a pass, over all targets.
    pub drift: u64,
    /// Attempts at AWS calls.
    pub attempts: u64,
    /// Of those, throttled.
    pub throttled: u64,
}

/// What the last passes planned: the document behind `/api/v1/plan`.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Names and addresses are shown.
    pub show_people: bool,
    /// By name; a target without a plan yet is not here.
    pub targets: Vec<TargetPlanView>,
}

/// What the last pass of one target planned and has not made.
#[derive(Debug, Clone, Serialize)]
pub struct TargetPlanView {
    /// Its name.
    pub target: String,
    /// Which service.
    pub service: ServiceKind,
    /// When it was planned.
    pub planned: Timestamp,
    /// Changes in all; more than are shown where there are very many.
    pub total: usize,
    /// In the order of the plan.
    pub changes: Vec<ChangeView>,
}

words! {
    /// Whether a change goes ahead.
    ChangeState {
        /// The next pass makes it.
        Pending = "pending",
        /// It was made, and the next pass looks.
        Made = "made",
        /// It was tried and failed; the next pass tries again.
        Failed = "failed",
        /// A rule holds it back.
        Held = "held",
        /// It cannot be made.
        Blocked = "blocked",
    }
}

/// One change as people see it.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeView {
    /// What it does: `create_user` and so on.
    pub kind: Kind,
    /// The principal or group; a stand-in such as `unlisted 3f2a91c0` where people are not shown.
    pub who: String,
    /// The roster user, if there is one.
    pub user: Option<String>,
    /// In one line, such as `update: role READER → AUTHOR`.
    pub what: String,
    /// The roles that cause it, or in words who does.
    pub cause: String,
    /// The roles alone.
    pub roles: Vec<String>,
    /// Why something is taken away, if anything is.
    pub removal: Removal,
    /// Whether it goes ahead.
    pub state: ChangeState,
    /// Which rule holds it back.
    pub held_by: Option<HeldBy>,
    /// Why it does not go ahead.
    pub reason: Option<String>,
    /// What a person can do instead.
    pub ways_out: Vec<String>,
}
