//! What a running server tells: one line for each event, on standard error.

mod writer;

use clap::ValueEnum;
use jiff::tz::TimeZone;
use std::fmt;
use std::io;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use writer::Lines;
pub(crate) use writer::Writing;

/// `--log-format` and `--log-level`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct LogArgs {
    /// How log lines are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: this and what is more important
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    log_level: LogLevel,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// To be read by people
    Text,
    /// A JSON object each
    Json,
}

/// How important a line must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogLevel {
    /// What somebody must do something about
    Error,
    /// What may need attention
    Warn,
    /// What happens in each session
    Info,
    /// Why
    Debug,
}

/// The log, written line by line until [`Log::in_background`].
pub(crate) struct Log(Lines);

impl Log {
    /// Lets nobody wait any more for whoever reads the log, as long as what it returns is held. It starts a thread, so it comes after the
    /// process has confined itself.
    pub(crate) fn in_background(self) -> io::Result<Writing> {
        self.0.in_background(|lines| {
            tracing::error!(lines, "log lines are lost: whoever reads the log is too slow");
        })
    }
}

impl LogArgs {
    /// Starts logging; once in a process.
    pub(crate) fn start(self) -> Log {
        let level = match self.log_level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        };
        // When nobody reads the log any more, the server goes on: by default a failed write would panic.
        let lines = Lines::to(io::stderr());
        let logs = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(lines.clone())
            .log_internal_errors(false);
        match self.log_format {
            LogFormat::Json => {
                logs.json().flatten_event(true).with_target(false).with_timer(Stamp::Utc).init()
            }
            LogFormat::Text => {
                let choice = anstream::AutoStream::choice(&io::stderr());
                let colours = choice != anstream::ColorChoice::Never;
                let timer = Stamp::Local(TimeZone::system());
                logs.with_target(false).with_ansi(colours).with_timer(timer).init();
            }
        }
        Log(lines)
    }
}

/// How the time is written at the start of a line.
enum Stamp {
    /// `2026-11-21T08:51:12.345Z`
    Utc,
    /// `2026-11-21 09:51:12.345`
    Local(TimeZone),
}

impl FormatTime for Stamp {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let now = jiff::Timestamp::now();
        match self {
            Stamp::Utc => write!(w, "{}", now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")),
            Stamp::Local(zone) => {
                write!(w, "{}", now.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f"))
            }
        }
    }
}
