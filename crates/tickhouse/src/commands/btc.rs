//! `tickhouse btc`: takes a node's chain into the tables, says how it stands, compares both.

mod block;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use collect::bitcoin_node::{NodeClient, NodeInfo};
use control::{Checkpoint, Control};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use onchain::{Chain, ChainStanding, FollowSettings};
use runtime::clock::Stopwatch;
use runtime::{SystemClock, Tasks};

use super::alone::Alone;
use super::{Place, WrongUse, asked_to_end};
use crate::Done;
use crate::config::btc;
use crate::folder::running;
use crate::output::line;

/// How often it is shown how far it is.
const SHOW_EVERY: Duration = Duration::from_millis(250);
/// How often without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// What keeps it for so long will not go away while one waits.
const TROUBLE_MAX: Duration = Duration::from_mins(1);
/// So often in a row prices or metrics may fail once all blocks are there. Then it is for the operator to see to it.
const DERIVE_FAILURES_MAX: u32 = 3;

/// Follow a Bitcoin node's chain.
#[derive(Args)]
pub(crate) struct Btc {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Take in blocks up to the node's last one, then end
    Sync(Sync),
    /// How far each part is, and what keeps it
    Status(Place),
    /// Give a block's bytes back, from where they are kept
    ///
    /// From the files of this folder, or from the node's own where only its place was noted (btc.keep_blocks = false).
    Block(block::Block),
    /// Compare the tables with each other and with the node
    ///
    /// Ends with 3 if they differ and were not repaired.
    Reconcile(Reconcile),
}

/// Which blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// From where it stopped
    Resume,
    /// From the first block on, everything anew
    Full,
    /// From one height to another
    Range,
}

#[derive(Args)]
struct Sync {
    /// Which blocks
    #[arg(long, value_enum, default_value = "resume")]
    mode: Mode,
    /// First block of a range
    #[arg(long, value_name = "HEIGHT")]
    start_height: Option<u32>,
    /// Last block; the node's last one if absent
    #[arg(long, value_name = "HEIGHT")]
    end_height: Option<u32>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Reconcile {
    /// Take out what is not on the node's chain, and take in what is
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: Place,
}

impl Btc {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        match self.what {
            What::Sync(sync) => sync.run().await,
            What::Status(place) => status(&place).await,
            What::Block(block) => block.run().await,
            What::Reconcile(reconcile) => reconcile.run().await,
        }
    }
}

fn client(alone: &Alone) -> anyhow::Result<Arc<NodeClient>> {
    let node = NodeClient::new(btc::node(&alone.config), SystemClock::shared());
    Ok(Arc::new(node.context("prepare the Bitcoin node")?))
}

impl Sync {
    async fn run(self) -> anyhow::Result<Done> {
        if self.mode != Mode::Range && self.start_height.is_some() {
            return Err(WrongUse("--start-height belongs to --mode range".to_owned()).into());
        }
        let is_backward = self.end_height.is_some_and(|end| Some(end) < self.start_height);
        if self.mode == Mode::Range && (self.start_height.is_none() || is_backward) {
            let text = "--mode range needs --start-height, and an --end-height that is not below it";
            return Err(WrongUse(text.to_owned()).into());
        }
        let alone = Alone::open(
            &self.place,
            "it follows the chain itself if btc.enabled is set; see tickhouse btc status",
        )
        .await?;
        let node = client(&alone)?;
        let info = node.info().await.context("ask the node")?;
        let until = self.end_height.unwrap_or(info.blocks);
        if until > info.blocks {
            bail!(
                "the node's last block is {}, wanted is {until}; wait for it or name a lower --end-height",
                info.blocks
            );
        }
        if let Some(start) = self.start_height {
            self.check_range(&alone, start).await?;
        }
        let from = self.start_height.unwrap_or_else(|| btc::from_height(&alone.config));
        if self.mode == Mode::Full {
            // Nothing is let go of before it is known that it can be had again.
            check_whole(&info, from, until)?;
            onchain::forget(&alone.doors).await.context("let go of the chain")?;
        }
        let done = take_in(&alone, node, from, until).await?;
        alone.tidy().await?;
        Ok(done)
    }

    /// A range must follow what is stored, or begin in empty tables: a chain with a hole is none.
    async fn check_range(&self, alone: &Alone, start: u32) -> anyhow::Result<()> {
        let network = btc::network(&alone.config);
        let ledger = onchain::Ledger::open(alone.doors.clone(), network).await?;
        let first = ledger.active().read().map_or(None, |index| index.first_height());
        match (ledger.tip(), first) {
            (Some(_), Some(first)) if start < first => bail!(
                "blocks are stored from {first} on, and none can be put before them; take another data folder, or --mode full"
            ),
            (Some(tip), _) if tip.height + 1 < start => bail!(
                "blocks up to {} are stored, and a range from {start} on would leave a hole; begin at {} or take another data folder",
                tip.height,
                tip.height + 1
            ),
            _ => Ok(()),
        }
    }
}

/// Whether the node has all blocks that a whole synchronisation wants.
fn check_whole(info: &NodeInfo, from: u32, until: u32) -> anyhow::Result<()> {
    if from > until {
        bail!(
            "blocks are wanted from {from} (btc.from_height) to {until}: that is none; nothing was let go of"
        );
    }
    if let Some(pruned) = info.prune_height.filter(|pruned| *pruned > from) {
        bail!(
            "the node is pruned: it has blocks from {pruned} on, a whole synchronisation wants block {from}; nothing was let go of. \
             Ask a node that is not pruned, or begin at {pruned} with btc.from_height"
        );
    }
    Ok(())
}

/// Takes blocks in until a height is reached, and shows how far it is.
async fn take_in(alone: &Alone, node: Arc<NodeClient>, from: u32, until: u32) -> anyhow::Result<Done> {
    let settings = FollowSettings {
        network: btc::network(&alone.config),
        step_blocks_max: alone.config.number("btc.step_blocks") as usize,
        from_height: from,
        until_height: Some(until),
    };
    let tasks = Tasks::new();
    // Hundreds of commits: their files are merged and their logs shortened on the way.
    alone.lake.start_upkeep(&tasks);
    let chain = onchain::start(settings, alone.doors.clone(), node, &tasks).map_err(anyhow::Error::msg)?;
    let bar = ProgressBar::new(u64::from(until) + 1);
    bar.set_style(
        ProgressStyle::with_template("{bar:30} block {pos} of {len}  {rate}  {eta} left  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, line: &mut dyn Write| {
                let _shown = write!(line, "{:.0}/s", state.per_sec());
            }),
    );
    let started = Stopwatch::start();
    let work = watch(&chain, &bar, until);
    let standing = tokio::select! {
        standing = work => Some(standing),
        () = asked_to_end() => None,
    };
    bar.finish_and_clear();
    let _late = tasks.close_together(Duration::from_secs(5)).await;
    let Some(standing) = standing else {
        line("stopped; run it again to go on");
        return Ok(Done::Findings);
    };
    conclude(&standing, started.elapsed(), chain.node.state().spent_by)
}

/// Shows how far it is until all of it is done, or something keeps it that will not go away.
async fn watch(chain: &Chain, bar: &ProgressBar, until: u32) -> ChainStanding {
    let mut told = Stopwatch::start();
    let mut trouble: Option<(String, Stopwatch)> = None;
    let mut is_first = true;
    loop {
        runtime::clock::sleep(SHOW_EVERY).await;
        let standing = chain.board.standing();
        let height = standing.raw.map_or(0, |(height, _)| u64::from(height) + 1);
        if std::mem::take(&mut is_first) {
            bar.set_position(height);
            bar.reset_eta();
        }
        bar.set_position(height);
        bar.set_message(told_of(&standing));
        match &standing.trouble {
            None => trouble = None,
            Some(now) if trouble.as_ref().is_some_and(|(before, _)| before == now) => {}
            Some(now) => {
                if bar.is_hidden() {
                    line(format!("look  {now}"));
                }
                trouble = Some((now.clone(), Stopwatch::start()));
            }
        }
        if bar.is_hidden() && told.elapsed() > LINE_EVERY {
            told = Stopwatch::start();
            line(format!("block {} of {until}", height.saturating_sub(1)));
        }
        let is_there = standing.raw.is_some_and(|(height, _)| height >= until);
        let is_done = is_there && standing.is_caught_up && !standing.is_gathering;
        let is_underived =
            standing.underived.as_ref().is_some_and(|(failures, _)| *failures >= DERIVE_FAILURES_MAX);
        let is_stuck = trouble.as_ref().is_some_and(|(_, since)| since.elapsed() > TROUBLE_MAX);
        if standing.is_finished || is_stuck || (is_done && is_underived) {
            return standing;
        }
    }
}

/// Says what came of it.
fn conclude(standing: &ChainStanding, took: Duration, spent_by: Option<&str>) -> anyhow::Result<Done> {
    if let Some(trouble) = standing.trouble.as_ref().filter(|_| !standing.is_finished) {
        bail!("{trouble}; {} blocks were taken in, run it again to go on", standing.blocks_taken);
    }
    let (height, hash) = standing.raw.unwrap_or_default();
    let way = match spent_by {
        Some("files") => " from the node's files",
        Some("spenttxouts") => " over REST",
        Some(_) => " over JSON-RPC",
        None => "",
    };
    line(format!(
        "{} blocks taken in {:.1} s{way}, {} reorganisations; the last is {height} {hash}",
        standing.blocks_taken,
        took.as_secs_f64(),
        standing.reorganisations
    ));
    if let Some(trouble) = &standing.coins_trouble {
        line(format!("look  coins are not kept up with the blocks: {trouble}"));
        return Ok(Done::Findings);
    }
    if let Some((failures, reason)) = &standing.underived {
        bail!(
            "all blocks are taken in, but prices or metrics failed {failures} times in a row: {reason}; mend that and run it again"
        );
    }
    Ok(Done::Clean)
}

/// What stands beside the bar.
fn told_of(standing: &ChainStanding) -> String {
    let gathered =
        || standing.is_gathering.then(|| format!("coins at block {}", standing.coins_height.unwrap_or(0)));
    standing.trouble.clone().or_else(gathered).unwrap_or_default()
}

/// Prints every checkpoint.
async fn status(place: &Place) -> anyhow::Result<Done> {
    let directory = place.directory()?;
    // What a process knows of its node is in no file.
    let mut is_well = true;
    if let Some(process) = running(&directory)
        && let Some(health) = super::status::ask(&process, "btc/health").await?
    {
        line(super::status::chain_line(&health));
        for finding in super::status::chain_findings(&health) {
            line(format!("! {finding}"));
            is_well = false;
        }
    }
    let file = directory.join("control.sqlite");
    if !file.exists() {
        bail!(
            "nothing was ever followed in {}: set btc.enabled, or run tickhouse btc sync",
            directory.display()
        );
    }
    let checkpoints = Control::open(&file).context("open the control state")?.checkpoints()?;
    if checkpoints.is_empty() {
        line("no part has come anywhere yet");
        return Ok(Done::Clean);
    }
    let is_error = |one: &Checkpoint| one.status == "error";
    // Sixty lines that say the same are none that anybody reads.
    let is_metric = |one: &Checkpoint| one.key.component.starts_with("btc_metric_") && !is_error(one);
    let metrics: Vec<&Checkpoint> = checkpoints.iter().filter(|one| is_metric(one)).collect();
    if let Some(least) = metrics.iter().filter_map(|one| one.reached.bucket).min() {
        line(format!("ok    {} metrics, through bucket {least}", metrics.len()));
    }
    for one in checkpoints.iter().filter(|one| !is_metric(one)) {
        let place = match (one.reached.height, one.reached.bucket) {
            (Some(height), Some(bucket)) => format!("block {height}, bucket {bucket}"),
            (Some(height), None) => {
                format!("block {height} {}", one.reached.hash.as_deref().unwrap_or_default())
            }
            (None, Some(bucket)) => format!("bucket {bucket}"),
            (None, None) => String::new(),
        };
        let since = one.failing_since.map_or(String::new(), |since| format!("since {since}: "));
        let error = one.error_message.as_deref().unwrap_or_default();
        line(format!(
            "{:5} {:40} {:9} {place}  {}  {since}{error}",
            one.status, one.key.component, one.key.interval, one.updated_time
        ));
    }
    Ok(if is_well && !checkpoints.iter().any(is_error) { Done::Clean } else { Done::Findings })
}

impl Reconcile {
    async fn run(self) -> anyhow::Result<Done> {
        let alone = Alone::open(&self.place, "it reconciles by itself; see tickhouse btc status").await?;
        let node = client(&alone)?;
        let found = onchain::drift(&alone.doors, btc::network(&alone.config), &node).await?;
        match found.own_height {
            None => line(format!("no block is stored; the node's last is {}", found.node_height)),
            Some(own) => line(format!("stored up to block {own}, the node's last is {}", found.node_height)),
        }
        for table in &found.tables_behind {
            line(format!("look  {table} lacks steps of the table before it"));
        }
        for checkpoint in &found.checkpoints_ahead {
            line(format!("look  the checkpoint {checkpoint}, which the tables have not"));
        }
        if found.blocks_astray > 0 {
            let shared = found.shared_height.map_or("none".to_owned(), |height| height.to_string());
            line(format!(
                "look  {} stored blocks are not on the node's chain; the highest that both have: {shared}",
                found.blocks_astray
            ));
        }
        if found.is_none() {
            line("ok    tables and node agree");
            return Ok(Done::Clean);
        }
        if !self.repair {
            line("run it with --repair to take the node's chain");
            return Ok(Done::Findings);
        }
        let done = take_in(&alone, node, btc::from_height(&alone.config), found.node_height).await?;
        alone.tidy().await?;
        Ok(done)
    }
}
