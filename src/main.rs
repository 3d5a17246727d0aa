//! Parse, run, exit code.

use std::process::ExitCode;

/// A pass at size is a matter of many small strings; the system's allocator takes a quarter longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    rosterd::cli::main().await.into()
}
