//! Logs on standard error: text, or JSON lines; filtered by `--log` or `ROSTERD_LOG`.

use tracing_subscriber::EnvFilter;

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
        Format::Text => builder.try_init(),
        Format::Json => builder.json().try_init(),
    };
    started.map_err(|e| e.to_string())
}
