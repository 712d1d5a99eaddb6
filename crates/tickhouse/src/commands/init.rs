//! `tickhouse init`: writes a commented configuration file.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

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
            bail!("{shown} exists: edit it, name another file, or overwrite it with --force");
        }
        std::fs::write(&self.file, commented()).with_context(|| format!("write {shown}"))?;
        line(format!("wrote {shown}; enable a venue in it, then: tickhouse config check && tickhouse run"));
        Ok(Done::Clean)
    }
}
