//! What `benches/pacing` runs in: the sandbox as the SDK's HTTP client, and tokio's clock as its time.

use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;

#[path = "../../tests/it/within.rs"]
mod within;

pub use within::Within;

/// The clock of tokio, which may stand still.
#[derive(Debug, Clone, Copy)]
pub struct TokioTime(tokio::time::Instant);

impl TokioTime {
    pub fn new() -> Self {
        TokioTime(tokio::time::Instant::now())
    }
}

impl TimeSource for TokioTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000) + self.0.elapsed()
    }
}
