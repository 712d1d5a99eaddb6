//! `tickhouse init`: writes a commented configuration file.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::WrongUse;
use crate::Done;
use crate::config::{FILE_NAME, commented};
use crate::output::line;

/// Write a commented tickhouse.toml.
#[derive(Args)]
pub(crate) struct Init {
    /// Where to write it
    #[arg(default_value = FILE_NAME)]
    file: PathBuf,
    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,
}

impl Init {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let shown = self.file.display();
        if self.file.exists() && !self.force {
            let text = format!("{shown} exists: edit it, name another file, or overwrite it with --force");
            return Err(WrongUse(text).into());
        }
        std::fs::write(&self.file, commented()).with_context(|| {
            format!("{shown} cannot be written: name a file in a folder that exists and is writable")
        })?;
        // Another name than the usual must be said each time.
        let named = if self.file.as_os_str() == FILE_NAME { String::new() } else { format!(" -c {shown}") };
        line(format!(
            "wrote {shown}: set enabled = true in it for a venue, [btc] or [price], then `tickhouse doctor{named}` and `tickhouse run{named}`"
        ));
        Ok(Done::Clean)
    }
}
