//! Progress of work on the past: bars where a person sees them, plain lines everywhere.

use std::io::IsTerminal;

use control::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::digits::group;

use crate::output::line;

/// Files that have a bar of their own.
const FILES_SHOWN: usize = 8;

/// Bars on standard error, if that is a terminal; lines go to standard output.
pub(super) struct Bars(Option<Drawn>);

struct Drawn {
    all: MultiProgress,
    whole: ProgressBar,
    files: Vec<(String, ProgressBar)>,
    /// Whether it is known how much there is to fetch.
    has_bytes: bool,
}

impl Bars {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let all = MultiProgress::new();
        let whole = all.add(ProgressBar::new(0).with_style(style("{elapsed} {msg}")));
        Self(Some(Drawn { all, whole, files: Vec::new(), has_bytes: false }))
    }

    /// Shows how far the work is, and what there is to say.
    pub(super) fn show(&mut self, progress: &Progress, lines: &[String]) {
        let Some(drawn) = &mut self.0 else { return lines.iter().for_each(line) };
        if !lines.is_empty() {
            drawn.all.suspend(|| lines.iter().for_each(line));
        }
        // Without files there are no bytes to count: how much of REST is left says what goes on.
        if progress.bytes > 0 && !std::mem::replace(&mut drawn.has_bytes, true) {
            drawn.whole.set_style(style("{wide_bar} {msg} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}"));
            drawn.whole.reset();
        }
        drawn.whole.set_length(progress.bytes.max(progress.bytes_done));
        drawn.whole.set_position(progress.bytes_done);
        drawn.whole.set_message(words(progress));
        let is_running = |name: &String| progress.running.iter().any(|(running, ..)| running == name);
        drawn.files.retain(|(name, bar)| {
            let stays = is_running(name);
            if !stays {
                bar.finish_and_clear();
                drawn.all.remove(bar);
            }
            stays
        });
        for (name, done, bytes) in progress.running.iter().take(FILES_SHOWN) {
            let known = drawn.files.iter().position(|(known, _)| known == name);
            let at = known.unwrap_or_else(|| {
                let bar = ProgressBar::new(*bytes).with_style(style("  {msg} {bytes}/{total_bytes}"));
                drawn.files.push((name.clone(), drawn.all.add(bar.with_message(name.clone()))));
                drawn.files.len() - 1
            });
            let (_, bar) = &drawn.files[at];
            bar.set_length((*bytes).max(*done));
            bar.set_position(*done);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Some(drawn) = &self.0 {
            // What cannot be wiped from a terminal that went away stays there.
            let _gone = drawn.all.clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are written here, and are right")
}

/// `archive_recovery of binance:BTC-USDT · 3 of 12 files · 1,234 rows · binance 5,980 weight left`.
pub(super) fn words(progress: &Progress) -> String {
    let mut words = Vec::new();
    if !progress.phase.is_empty() {
        words.push(progress.phase.clone());
    }
    if progress.files > 0 {
        words.push(format!("{} of {} files", group(progress.files_done), group(progress.files)));
    }
    words.push(format!("{} rows", group(progress.rows)));
    for (venue, used, allowed) in &progress.budgets {
        if *used > 0 {
            words.push(format!("{venue} {} weight left", group(allowed.saturating_sub(*used))));
        }
    }
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    //! Cases for what a person reads.
    use super::*;

    #[test]
    fn progress_is_told_in_words() {
        let mut progress = Progress::default();
        assert_eq!(words(&progress), "0 rows");
        progress.phase = "archive_recovery of binance:BTC-USDT".into();
        (progress.files_done, progress.files, progress.rows) = (3, 12, 1_234);
        progress.budgets = vec![("binance".into(), 20, 6_000), ("bybit".into(), 0, 600)];
        assert_eq!(
            words(&progress),
            "archive_recovery of binance:BTC-USDT · 3 of 12 files · 1,234 rows · binance 5,980 weight left"
        );
    }
}
