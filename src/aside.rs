//! Waiting for a disk without holding up what else the process does.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs what may wait for a disk, or for somebody who does. A thread of the runtime that simply waited could
/// take the timers and sockets of all others with it.
pub fn aside<T>(work: impl FnOnce() -> T) -> T {
    let is_threaded = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_threaded { tokio::task::block_in_place(work) } else { work() }
}
