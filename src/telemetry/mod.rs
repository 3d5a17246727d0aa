//! What rosterd tells of itself: logs, metrics, the audit trail, HTTP and the status page.

pub mod audit;
pub mod http;
pub mod log;
pub mod metrics;
pub mod page;
pub mod people;
