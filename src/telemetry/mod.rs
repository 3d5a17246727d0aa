//! What rosterd tells of itself: logs, metrics, the audit trail.

pub mod audit;
pub mod log;
pub mod metrics;
