//! What systemd is told: readiness, reloads, status, and that the loop is alive. Without `NOTIFY_SOCKET` all of
//! it is nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// How often systemd wants to hear from the loop, where it does: half of `WATCHDOG_USEC`.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 2)
}

/// The first configuration is valid and the loop runs.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Files are being read again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!("no monotonic clock: {error}"),
    }
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// The loop makes progress; said only where systemd listens for it.
pub fn alive() {
    if watchdog().is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

/// No new call starts.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing the calls under way")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!("systemd was not told: {error}");
    }
}
