//! A plan on paper: what `plan --out` and `--format json` write and `apply plan.json` reads.
//!
//! The file carries a hash over the plan, so that an edit made after the review is noticed, and the place
//! of each target, so that it cannot be applied to another account. It holds names and e-mail addresses:
//! the file is made readable for its owner only.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Plan, cost};

/// The version this rosterd writes and reads.
pub const FORMAT_VERSION: u64 = 1;

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// [`FORMAT_VERSION`].
    pub format_version: u64,
    /// Which rosterd wrote it.
    pub rosterd_version: String,
    /// When the targets were observed.
    pub created: Timestamp,
    /// It was made on a sandbox, and is for that sandbox only.
    pub sandbox: bool,
    /// SHA-256 over `created`, `sandbox` and `plan`.
    pub hash: String,
    /// Calls the ready changes make, by service and operation; for readers, not read back.
    pub calls: BTreeMap<String, BTreeMap<String, usize>>,
    /// The plan.
    pub plan: Plan,
}

/// Why a file is not applied.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SavedPlanError {
    /// No JSON, or not of this shape.
    #[error("this is no saved plan: {0}; make one with `rosterd plan --out FILE`")]
    Malformed(String),
    /// Another format.
    #[error("the plan has format_version {found}, this rosterd reads {FORMAT_VERSION}; make the plan again")]
    Version {
        /// The version in the file.
        found: String,
    },
    /// The hash does not fit the content.
    #[error("the plan was changed after it was made: its hash does not fit its content; make the plan again")]
    Tampered,
}

impl SavedPlan {
    /// Puts a plan on paper.
    pub fn new(plan: Plan, created: Timestamp, sandbox: bool) -> Self {
        let mut calls: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for ((service, operation), count) in cost::calls(&plan) {
            calls.entry(service.into()).or_default().insert(operation.into(), count);
        }
        SavedPlan {
            format_version: FORMAT_VERSION,
            rosterd_version: env!("CARGO_PKG_VERSION").into(),
            created,
            sandbox,
            hash: hash(&plan, created, sandbox),
            calls,
            plan,
        }
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a plan has string keys only");
        text.push('\n');
        text
    }

    /// Reads a file back, and refuses what is not exactly what was written.
    pub fn from_json(text: &str) -> Result<Self, SavedPlanError> {
        let malformed = |e: serde_json::Error| SavedPlanError::Malformed(e.to_string());
        let value: Value = serde_json::from_str(text).map_err(malformed)?;
        match value.get("format_version") {
            Some(Value::Number(n)) if n.as_u64() == Some(FORMAT_VERSION) => {}
            Some(other) => return Err(SavedPlanError::Version { found: other.to_string() }),
            None => return Err(SavedPlanError::Malformed("`format_version` is missing".into())),
        }
        let (plan, created) = (value.get("plan").cloned(), value.get("created").cloned());
        let saved: SavedPlan = serde_json::from_value(value).map_err(malformed)?;
        if digest(&plan.unwrap_or_default(), &created.unwrap_or_default(), saved.sandbox) != saved.hash {
            return Err(SavedPlanError::Tampered);
        }
        Ok(saved)
    }
}

/// The hash of a plan: in the file, and in every audit line of its application.
pub fn hash(plan: &Plan, created: Timestamp, sandbox: bool) -> String {
    let plan = serde_json::to_value(plan).expect("a plan has string keys only");
    digest(&plan, &Value::String(created.to_string()), sandbox)
}

/// Over values as read, so that a member this version does not know is noticed too.
fn digest(plan: &Value, created: &Value, sandbox: bool) -> String {
    let mut hasher = Sha256::new();
    hasher.update([u8::from(sandbox)]);
    hasher.update(created.to_string());
    hasher.update(plan.to_string());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
