//! Logs and metrics of the process: set up once, read by whoever serves them.

use std::path::PathBuf;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogForm {
    /// One readable line each.
    #[default]
    Text,
    /// One JSON object each.
    Json,
}

/// Where log lines go.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// Filter such as `info` or `info,collect=debug`.
    pub filter: String,
    /// Form on the terminal and in files.
    pub form: LogForm,
    /// Folder of daily rotating files, if any.
    pub directory: Option<PathBuf>,
    /// Most files kept.
    pub files_max: usize,
}

/// Keeps the log files' writer alive; drop it last.
#[derive(Debug)]
pub struct LogGuard(
    #[expect(dead_code, reason = "held for its drop")] Option<tracing_appender::non_blocking::WorkerGuard>,
);

/// Guests that tell every step at `info`; a directive of their own in the filter still wins.
const QUIET_GUESTS: &str = "buoyant_kernel=warn,buoyant_kernel_engine=warn,deltalake=warn,deltalake_core=warn,datafusion=warn,hyper=warn,\
    fjall=warn,lsm_tree=warn";

fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    // A lone word that is no level would be taken for the name of a room, and nothing be logged.
    let is_level = |word: &str| {
        ["error", "warn", "info", "debug", "trace", "off"]
            .iter()
            .any(|level| word.eq_ignore_ascii_case(level))
    };
    if let Some(word) =
        filter.split(',').map(str::trim).find(|part| !part.contains(['=', '[']) && !is_level(part))
    {
        return Err(format!("{word:?} is no level"));
    }
    EnvFilter::try_new(format!("{QUIET_GUESTS},{filter}")).map_err(|error| error.to_string())
}

/// Why a filter such as `info,collect=debug` cannot be understood, if so.
pub fn check_filter(filter: &str) -> Result<(), String> {
    parse_filter(filter).map(drop)
}

/// Sends log lines to standard error and, if asked, to rotating files. To be called once.
pub fn start_logs(settings: &LogSettings) -> Result<LogGuard, String> {
    let filter = parse_filter(&settings.filter)
        .map_err(|error| format!("log filter {:?}: {error}; try info", settings.filter))?;
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
    let terminal = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false);
    layers.push(match settings.form {
        LogForm::Text => terminal.boxed(),
        LogForm::Json => terminal.json().boxed(),
    });
    let mut guard = None;
    if let Some(directory) = &settings.directory {
        let file = tracing_appender::rolling::Builder::new()
            .rotation(tracing_appender::rolling::Rotation::DAILY)
            .filename_prefix("tickhouse")
            .filename_suffix("log")
            .max_log_files(settings.files_max.max(1))
            .build(directory)
            .map_err(|error| {
                format!(
                    "open folder {} for log files: {error}; make it writable or name another as telemetry.directory",
                    directory.display()
                )
            })?;
        let (writer, worker) = tracing_appender::non_blocking(file);
        guard = Some(worker);
        let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false).with_target(false);
        layers.push(match settings.form {
            LogForm::Text => layer.boxed(),
            LogForm::Json => layer.json().boxed(),
        });
    }
    tracing_subscriber::registry()
        .with(layers.with_filter(filter))
        .try_init()
        .map_err(|error| format!("start logs: {error}"))?;
    Ok(LogGuard(guard))
}

#[cfg(test)]
mod tests {
    //! Cases for filters.
    use super::*;

    #[test]
    fn a_filter_that_would_log_nothing_is_refused() {
        for filter in ["info", "warn,collect=debug", "INFO", "collect=trace,info", "off"] {
            assert_eq!(check_filter(filter), Ok(()), "{filter}");
        }
        for filter in ["loud", "", "info,collect", "info,collect=loud"] {
            assert!(check_filter(filter).is_err(), "{filter}");
        }
    }
}

/// The process's metrics, ready to be rendered for Prometheus.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder behind the `metrics` macros. To be called once per process.
    pub fn install() -> Result<Self, String> {
        PrometheusBuilder::new()
            .set_buckets(&[0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0])
            .map_err(|error| format!("metric buckets: {error}"))?
            .install_recorder()
            .map(Self)
            .map_err(|error| format!("install metrics: {error}"))
    }

    /// The text that Prometheus scrapes.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}
