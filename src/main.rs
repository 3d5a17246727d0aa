//! Parse, run, exit code.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    rosterd::cli::main().await.into()
}
