//! Which venues deviate from the others. What is remembered of a venue, and what is composed of the rest, is left to the composer.

use crate::price::rows::Row;

/// A venue is out when its close lies further than this from the median of the others. Far beyond what sound venues differ by (two of
/// them, one in USDT and one in BUSD, on the lively 2022-12-13: 2.5 basis points in the median of 144 buckets, 11 at most), and small
/// enough that a venue that passes cannot move a median by much.
pub const DEVIATION_OUT: f64 = 0.01;

/// A venue that is out is calm when it lies within this: half of the way, so that one at the border does not flutter.
pub const DEVIATION_BACK: f64 = 0.005;

/// Calm ten minutes in a row after which a venue is back: longer than one good print after a fault, short beside an hour.
pub const CALM_BUCKETS: u8 = 3;

/// How far the price of USDT is believed to move within ten minutes, which is some seventy times the most it did on that day. A lone USD
/// venue that moves further against all others is held to be wrong.
pub const BASIS_STEP_MAX: f64 = 0.05;

/// How the closes of ten minutes are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// Close in USDT over close in USD, taken out before comparing.
    pub(super) basis: f64,
    /// Places of the rows that deviate, with how far.
    pub(super) off: Vec<(usize, f64)>,
}

/// Reads closes with the known basis if nobody deviates then, else with the likeliest one that two venues show: the one under which
/// the closes lie closest together, the known basis having half a vote. So a USDT that lost its peg accuses nobody, and of two USD
/// venues that disagree the one is out that the USDT venues do not bear out.
pub(super) fn read(rows: &[Row], known: Option<f64>, anchor: Option<f64>) -> Reading {
    let par = known.unwrap_or(1.0);
    let off = deviating(rows, par, anchor);
    if off.is_empty() {
        return Reading { basis: par, off };
    }
    let distance = |basis: f64| (basis / par).ln().abs();
    let usdt = rows.iter().filter(|row| !row.is_usd());
    let shown = usdt
        .flat_map(|usdt| rows.iter().filter(|row| row.is_usd()).map(|usd| usdt.close / usd.close))
        .filter(|basis| known.is_none() || distance(*basis) <= BASIS_STEP_MAX);
    let cost = |basis: f64| scatter(rows, basis) + distance(basis) / 2.0;
    let basis = shown.fold(par, |best, basis| if cost(basis) < cost(best) { basis } else { best });
    Reading { basis, off: deviating(rows, basis, anchor) }
}

/// How far closes lie from their median in all, the basis taken out.
fn scatter(rows: &[Row], basis: f64) -> f64 {
    let closes: Vec<f64> = rows.iter().map(|row| in_usd(row, basis)).collect();
    let middle = median(closes.clone()).unwrap_or(1.0);
    closes.iter().map(|close| (close / middle).ln().abs()).sum()
}

/// Takes out the worst, and judges the rest again, until nobody is further off than allowed.
fn deviating(rows: &[Row], basis: f64, anchor: Option<f64>) -> Vec<(usize, f64)> {
    let mut left: Vec<usize> = (0..rows.len()).collect();
    let mut off = Vec::new();
    while left.len() > 1 {
        let from_anchor =
            |place: usize| anchor.map_or(0.0, |anchor| (in_usd(&rows[place], basis) / anchor).ln().abs());
        // Two halves of a split market are equally far from each other: then the one further from the last price is worse.
        let badness = |place: usize, deviation: f64| {
            ((deviation.ln_1p().abs() * 1_000.0).round(), from_anchor(place), !rows[place].is_usd())
        };
        let worst = left
            .iter()
            .filter_map(|place| {
                Some((*place, deviation(&rows[*place], &others(rows, &left, *place), basis)?))
            })
            .filter(|(_, deviation)| deviation.abs() > DEVIATION_OUT)
            .max_by(|a, b| {
                let (a, b) = (badness(a.0, a.1), badness(b.0, b.1));
                a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2))
            });
        // Of two, nobody can say who is right but the price before.
        match worst {
            Some(worst) if left.len() > 2 || anchor.is_some() => {
                left.retain(|place| *place != worst.0);
                off.push(worst);
            }
            _ => break,
        }
    }
    off
}

fn others<'a>(rows: &'a [Row], left: &[usize], place: usize) -> Vec<&'a Row> {
    left.iter().filter(|other| **other != place).map(|other| &rows[*other]).collect()
}

/// How far a close lies from the median of others, the basis taken out: from that of all, or from that of two or more others in its
/// own currency if that is nearer. `None` without others.
pub(super) fn deviation(row: &Row, others: &[&Row], basis: f64) -> Option<f64> {
    let from = |others: Vec<f64>| Some(in_usd(row, basis) / median(others)? - 1.0);
    let all = from(others.iter().map(|other| in_usd(other, basis)).collect())?;
    let own: Vec<f64> = others
        .iter()
        .filter(|other| other.is_usd() == row.is_usd())
        .map(|other| in_usd(other, basis))
        .collect();
    let own = (own.len() > 1).then(|| from(own)).flatten();
    Some(own.filter(|own| own.abs() < all.abs()).unwrap_or(all))
}

fn in_usd(row: &Row, basis: f64) -> f64 {
    if row.is_usd() { row.close } else { row.close / basis }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}
