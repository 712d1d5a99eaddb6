//! The rows of a file, from the same trades that streams and answers tell of.

use std::io::{self, Write};

use model::Date;

use crate::market::{Interval, MINUTE_MS, Market, Protocol, Tick};
use crate::wire::binance::FUNDING_MS;

use super::names::{Data, FileKey, intervals};
use super::spoil::Spoiled;

pub(super) const DAY_MINUTES: i64 = 1_440;
/// Since this day Binance's spot files count microseconds.
const MICROS_SINCE: Date = Date(20_089);
const BUFFER_BYTES: usize = 64 * 1_024;

/// Writes all rows of a file, until a moment.
pub(super) fn write_rows(
    key: &FileKey,
    market: &Market,
    spoiled: &Spoiled,
    until_ms: i64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut rows = Rows { market, data: key.data, out, buffer: Vec::new(), narrow: spoiled.is_narrow };
    rows.header();
    let (first, end) = key.span.days();
    let until_ms = until_ms.min(market.ended_ms());
    for day in (first.0..end.0).map(Date) {
        if spoiled.skips(day) {
            continue;
        }
        match key.data {
            Data::Trades | Data::RawTrades => day_of_trades(&mut rows, day, spoiled, until_ms)?,
            Data::Klines(place) => {
                if let Some((_, interval)) = intervals(key.protocol).get(place) {
                    rows.bars(*interval, day, until_ms)?;
                }
            }
            Data::Funding => rows.funding(day, until_ms)?,
        }
    }
    rows.flush()
}

fn day_of_trades(rows: &mut Rows<'_>, day: Date, spoiled: &Spoiled, until_ms: i64) -> io::Result<()> {
    let first = i64::from(day.0) * DAY_MINUTES;
    let minutes = spoiled.order(first..first + DAY_MINUTES);
    // Rows that are said once more, a little later.
    let mut again: Vec<(u32, Tick)> = Vec::new();
    for minute in minutes {
        if minute * MINUTE_MS > until_ms {
            continue;
        }
        for tick in rows.market.minute(minute) {
            if tick.at_ms > until_ms || spoiled.is_hole(tick.index) {
                continue;
            }
            rows.trade(&tick)?;
            again.retain_mut(|(wait, tick)| {
                *wait -= 1;
                *wait > 0 || rows.trade(tick).is_err()
            });
            if let Some(wait) = spoiled.repeats_after(tick.index) {
                again.push((wait + 1, tick));
            }
        }
    }
    for (_, tick) in again {
        rows.trade(&tick)?;
    }
    Ok(())
}

/// Rows on their way out.
struct Rows<'a> {
    market: &'a Market,
    data: Data,
    out: &'a mut dyn Write,
    buffer: Vec<u8>,
    /// Whether a column is left out.
    narrow: bool,
}

impl Rows<'_> {
    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn text(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    fn is_spot(&self) -> bool {
        self.market.protocol == Protocol::Binance
    }

    /// Spot has none.
    fn header(&mut self) {
        let names = match (self.market.protocol, self.data) {
            (Protocol::Binance, _) => return,
            (Protocol::Bybit, _) => "id,timestamp,price,volume,side,rpi",
            (Protocol::BybitLinear, _) => {
                "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional,RPI"
            }
            (_, Data::Trades) => {
                "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
            }
            (_, Data::RawTrades) => "id,price,qty,quote_qty,time,is_buyer_maker",
            (_, Data::Klines(_)) => {
                "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
            }
            (_, Data::Funding) => "calc_time,funding_interval_hours,last_funding_rate",
        };
        let names = if self.narrow { names.split_once(',').map_or(names, |(_, rest)| rest) } else { names };
        self.text(names);
        self.buffer.push(b'\n');
    }

    /// A time in the unit of the file.
    fn time(&mut self, at_ms: i64) {
        number(&mut self.buffer, at_ms);
        if self.is_micros(at_ms) {
            self.text("000");
        }
    }

    fn is_micros(&self, at_ms: i64) -> bool {
        self.is_spot() && at_ms >= MICROS_SINCE.start().millis()
    }

    fn trade(&mut self, tick: &Tick) -> io::Result<()> {
        match (self.market.protocol, self.data) {
            (Protocol::Bybit, _) => self.bybit_spot(tick),
            (Protocol::BybitLinear, _) => self.bybit_linear(tick),
            (_, Data::RawTrades) => {
                for (id, lots) in self.market.raw_trades(tick) {
                    self.raw(tick, id, lots);
                }
            }
            _ => self.aggregate(tick),
        }
        if self.buffer.len() > BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Whether the buyer rested, and whether the price was the best, which spot says too.
    fn maker(&mut self, tick: &Tick) {
        self.text(match (self.is_spot(), tick.is_buy) {
            (true, true) => ",False,True\n",
            (true, false) => ",True,True\n",
            (false, true) => ",false\n",
            (false, false) => ",true\n",
        });
    }

    fn aggregate(&mut self, tick: &Tick) {
        let market = self.market;
        if !self.narrow {
            number(&mut self.buffer, market.trade_id(tick.index));
            self.buffer.push(b',');
        }
        market.spec.tick.write(tick.price, &mut self.buffer);
        self.buffer.push(b',');
        market.spec.lot.write(tick.lots, &mut self.buffer);
        for id in [market.first_raw(tick.index), market.last_raw(tick.index)] {
            self.buffer.push(b',');
            number(&mut self.buffer, id);
        }
        self.buffer.push(b',');
        self.time(tick.at_ms);
        self.maker(tick);
    }

    fn raw(&mut self, tick: &Tick, id: i64, lots: i64) {
        let market = self.market;
        number(&mut self.buffer, id);
        self.buffer.push(b',');
        market.spec.tick.write(tick.price, &mut self.buffer);
        self.buffer.push(b',');
        market.spec.lot.write(lots, &mut self.buffer);
        self.text(&format!(",{},", market.value_text(i128::from(lots) * i128::from(tick.price))));
        self.time(tick.at_ms);
        self.maker(tick);
    }

    fn bybit_spot(&mut self, tick: &Tick) {
        let market = self.market;
        if !self.narrow {
            number(&mut self.buffer, market.trade_id(tick.index));
            self.buffer.push(b',');
        }
        number(&mut self.buffer, tick.at_ms);
        self.buffer.push(b',');
        market.spec.tick.write(tick.price, &mut self.buffer);
        self.buffer.push(b',');
        market.spec.lot.write(tick.lots, &mut self.buffer);
        self.text(if tick.is_buy { ",buy,0\n" } else { ",sell,0\n" });
    }

    fn bybit_linear(&mut self, tick: &Tick) {
        let market = self.market;
        let (seconds, millis) = (tick.at_ms / 1_000, tick.at_ms % 1_000);
        if !self.narrow {
            // As Python prints a float: without zeros at the end, but with one digit at least.
            let fraction = format!("{millis:03}");
            let fraction = fraction.trim_end_matches('0');
            self.text(&format!("{seconds}.{},", if fraction.is_empty() { "0" } else { fraction }));
        }
        let side = if tick.is_buy { "Buy" } else { "Sell" };
        let size = market.spec.lot.text(tick.lots);
        let value = market.value(i128::from(tick.lots) * i128::from(tick.price)).normalized();
        let line = format!(
            "{},{side},{size},{},ZeroPlusTick,{},{:e},{size},{value},0\n",
            market.spec.symbol,
            market.spec.tick.text(tick.price),
            market.trade_uuid(tick.index),
            value.to_f64() * 1e8,
        );
        self.text(&line);
    }

    fn bars(&mut self, interval: Interval, day: Date, until_ms: i64) -> io::Result<()> {
        let (start, end) = (day.start().millis(), Date(day.0 + 1).start().millis());
        let oldest = self.market.first_minute * MINUTE_MS;
        let mut open = interval.open_of(start);
        while open < end {
            // Longer bars begin on some days only. A market that opens within a bar has it.
            let next = interval.after(open);
            if open >= start && next > oldest && open <= until_ms {
                self.bar(interval, open, until_ms);
            }
            open = next;
            if self.buffer.len() > BUFFER_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn bar(&mut self, interval: Interval, open: i64, until_ms: i64) {
        let market = self.market;
        let bar = market.bar(interval, open, until_ms);
        self.time(open);
        for price in [bar.open, bar.high, bar.low, bar.close] {
            self.buffer.push(b',');
            market.spec.tick.write(price, &mut self.buffer);
        }
        self.text(&format!(",{},{}", market.volume_text(bar.lots), interval.after(open) - 1));
        self.text(if self.is_micros(open) { "999" } else { "" });
        self.text(&format!(
            ",{},{},{},{},0\n",
            market.value_text(bar.value),
            bar.count(),
            market.volume_text(bar.taker_lots),
            market.value_text(bar.taker_value)
        ));
    }

    fn funding(&mut self, day: Date, until_ms: i64) -> io::Result<()> {
        let oldest = self.market.first_minute * MINUTE_MS;
        let start = day.start().millis();
        for at in (start..Date(day.0 + 1).start().millis()).step_by(FUNDING_MS as usize) {
            if (oldest..=until_ms).contains(&at) {
                let rate = self.market.funding_rate(at - 1, FUNDING_MS);
                self.text(&format!("{at},{},{rate:.8}\n", FUNDING_MS / 3_600_000));
            }
        }
        self.flush()
    }
}

/// Writes a whole number.
pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}
