//! `tickhouse sql`: asks the running process if there is one, else reads the tables on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field, Schema};
use clap::{Args, ValueEnum};
use control::Control;
use futures::StreamExt;
use tables::lent::{NamedView, SmallTable};
use tables::{QueryEngine, QueryError, QueryLimits};

use super::{Place, WrongUse};
use crate::Done;
use crate::folder::{Running, running};
use crate::output::{aside, line, write_out};

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Aligned columns
    Table,
    /// Comma-separated, with a heading
    Csv,
    /// One JSON object per row
    Json,
    /// Arrow IPC stream
    Arrow,
}

/// Ask in SQL. Reading only.
#[derive(Args)]
pub(crate) struct Sql {
    /// The query
    query: String,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    format: Form,
    /// Longest run, seconds
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    time_max: u64,
    /// Most rows
    #[arg(long, default_value_t = 10_000_000, value_name = "ROWS")]
    rows_max: usize,
    #[command(flatten)]
    place: Place,
}

impl Sql {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = self.place.load()?;
        let directory = self.place.directory()?;
        if let Some(process) = running(&directory) {
            return self.ask_process(&process).await;
        }
        let location = match config.text("lake.location") {
            "" => directory.join("lake").display().to_string(),
            location => location.to_owned(),
        };
        if !location.contains("://") && !PathBuf::from(&location).exists() {
            bail!(
                "no tables in {location}, and no tickhouse runs there: name the data folder with --data, or start `tickhouse demo`"
            );
        }
        let lent = lent(&directory);
        let engine = lake::open_read_only(&location, lent).await.context("open the tables")?;
        self.ask_tables(&*engine).await
    }

    async fn ask_process(&self, process: &Running) -> anyhow::Result<Done> {
        let form = match self.format {
            Form::Table => "table",
            Form::Csv => "csv",
            Form::Json => "json",
            Form::Arrow => "arrow",
        };
        let answer = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(self.time_max.saturating_add(5)))
            .build()?
            .post(format!("http://{}/api/v1/sql", process.address))
            .json(&serde_json::json!({ "query": self.query, "format": form }))
            .send()
            .await
            .with_context(|| format!("ask process {} at {}", process.pid, process.address))?;
        let is_good = answer.status().is_success();
        let body = answer.bytes().await?;
        if is_good && self.format == Form::Json {
            let answer: serde_json::Value = serde_json::from_slice(&body).context("read the answer")?;
            for row in answer["data"].as_array().into_iter().flatten() {
                line(row);
            }
            return Ok(Done::Clean);
        }
        if is_good {
            write_out(&body);
            if self.format == Form::Table && !body.ends_with(b"\n") {
                line("");
            }
            return Ok(Done::Clean);
        }
        Err(WrongUse(refusal(&body)).into())
    }

    async fn ask_tables(&self, engine: &dyn QueryEngine) -> anyhow::Result<Done> {
        let limits = QueryLimits {
            time_max: Duration::from_secs(self.time_max),
            memory_bytes_max: 1 << 30,
            rows_max: self.rows_max,
        };
        let failed = |error: QueryError| match error {
            QueryError::Refused(what) | QueryError::OverLimit(what) => anyhow::Error::from(WrongUse(what)),
            QueryError::Failed(what) => anyhow::anyhow!(what),
        };
        let mut answer = engine.query(&self.query, limits).await.map_err(failed)?;
        let mut batches = Vec::new();
        while let Some(batch) = answer.batches.next().await {
            batches.push(batch.map_err(failed)?);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(answer.schema));
        }
        self.print(&batches)?;
        Ok(Done::Clean)
    }

    fn print(&self, batches: &[RecordBatch]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        match self.format {
            Form::Table => {
                bytes = format!("{}\n", arrow_cast::pretty::pretty_format_batches(batches)?).into_bytes();
            }
            Form::Csv => {
                let mut writer = arrow_csv::WriterBuilder::new().with_header(true).build(&mut bytes);
                for batch in batches {
                    writer.write(&flat(batch)?)?;
                }
            }
            Form::Json => {
                // As a running process answers: what is not defined is said to be null.
                let mut writer = arrow_json::WriterBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, arrow_json::writer::LineDelimited>(&mut bytes);
                for batch in batches {
                    writer.write(batch)?;
                }
                writer.finish()?;
            }
            Form::Arrow => {
                let mut writer = arrow_ipc::writer::StreamWriter::try_new(&mut bytes, &batches[0].schema())?;
                for batch in batches {
                    writer.write(batch)?;
                }
                writer.finish()?;
            }
        }
        write_out(&bytes);
        Ok(())
    }
}

/// The words of a refusal: message and remedy of the process's JSON answer.
/// What SQL may ask for beside the tables, as far as the control state can be read.
fn lent(directory: &Path) -> (Vec<SmallTable>, Vec<NamedView>) {
    let file = directory.join("control.sqlite");
    if !file.exists() {
        return Default::default();
    }
    let read = Control::open_to_read(&file)
        .map_err(onchain::Error::from)
        .and_then(|control| onchain::lent(&control));
    read.unwrap_or_else(|error| {
        aside(format!("registries and the names of the chain are left out: {error}"));
        Default::default()
    })
}

/// The same rows with nested columns as text: CSV has no form for them.
fn flat(batch: &RecordBatch) -> anyhow::Result<RecordBatch> {
    let options = FormatOptions::default();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.data_type().is_nested() {
            let shown = ArrayFormatter::try_new(column, &options)?;
            let texts =
                (0..column.len()).map(|row| column.is_valid(row).then(|| shown.value(row).to_string()));
            columns.push(Arc::new(texts.collect::<StringArray>()) as ArrayRef);
            fields.push(Field::new(field.name(), DataType::Utf8, true));
        } else {
            columns.push(Arc::clone(column));
            fields.push(field.as_ref().clone());
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn refusal(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let word = |name: &str| value["error"][name].as_str().unwrap_or_default().to_owned();
    match (word("message"), word("remedy")) {
        (message, _) if message.is_empty() => String::from_utf8_lossy(body).into_owned(),
        (message, remedy) if remedy.is_empty() => message,
        (message, remedy) => format!("{message}; {remedy}"),
    }
}
