//! Parse, run, exit code.

use std::process::ExitCode;
use std::time::Duration;

/// A pass at size is a matter of many small strings; the system's allocator takes a quarter longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What still waits for a disk when all is said is not waited for.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(rosterd::cli::main());
    runtime.shutdown_timeout(LEFT_BEHIND);
    exit.into()
}
