//! Logs on standard error: text, or JSON lines; filtered by `--log` or `ROSTERD_LOG`.
//!
//! Where standard error is systemd's journal, the journal writes the time; lines carry their level as a
//! priority instead (`journalctl -p warning`).

use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use crate::words;

words! {
    /// How log lines look.
    Format {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// Starts logging. The filter has the form of `RUST_LOG`, such as `info` or `rosterd::aws=debug`.
pub fn start(filter: &str, format: Format, styled: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|e| format!("`{filter}` is no log filter: {e}; for example `info`"))?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(styled);
    let started = match format {
        Format::Text if is_journal() => {
            let lines = tracing_subscriber::fmt::format().without_time();
            builder.with_ansi(false).event_format(WithPriority(lines.with_ansi(false))).try_init()
        }
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|e| e.to_string())
}

/// True when standard error is the stream that systemd connected to the journal.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

/// Puts syslog's number of the level before each line.
struct WithPriority<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithPriority<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(ctx, writer, event)
    }
}
