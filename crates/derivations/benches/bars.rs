//! How fast trades become minute bars, and minute bars longer ones.

use derivations::{MinuteBars, Rollup};
use model::time::MINUTE;
use model::{Bar, Condition, Decimal, Side, Source, Time, Timeframe, Trade};

fn main() {
    divan::main();
}

fn trades(count: i64) -> Vec<Trade> {
    let instrument: model::InstrumentId = "binance:BTC-USDT".parse().expect("the id is well formed");
    (0..count)
        .map(|id| Trade {
            instrument: instrument.clone(),
            venue_time: Time(id * 3_000),
            trade_id: Some(id),
            venue_trade_id: None,
            price: Decimal::new(i128::from(8_314_300 + id % 977), 2),
            quantity: Decimal::new(i128::from(1 + id % 4_099), 5),
            taker_side: if id % 2 == 0 { Side::Buy } else { Side::Sell },
            first_trade_id: None,
            last_trade_id: None,
            condition: Condition::Market,
            received_time: Time(id * 3_000),
            source: Source::Stream,
        })
        .collect()
}

fn minutes(trades: &[Trade]) -> Vec<Bar> {
    let mut bars = MinuteBars::new(trades[0].instrument.clone(), 60);
    let mut closed = Vec::new();
    let mut edge = Time(MINUTE);
    for trade in trades {
        if trade.venue_time >= edge {
            bars.close_through(edge, edge, &mut |bar| closed.push(bar));
            bars.let_go(&[]);
            edge = edge.plus_micros(MINUTE);
        }
        bars.take_trade(trade);
    }
    closed
}

#[divan::bench]
fn minute_bars_from_trades(bencher: divan::Bencher<'_, '_>) {
    let trades = trades(100_000);
    bencher.counter(divan::counter::ItemsCount::new(trades.len())).bench(|| minutes(&trades));
}

#[divan::bench]
fn a_month_of_173m_from_minutes(bencher: divan::Bencher<'_, '_>) {
    let day = minutes(&trades(1_000_000));
    let month: Vec<Bar> = (0..43_200_usize)
        .map(|index| Bar { open_time: Time(index as i64 * MINUTE), ..day[index % day.len()].clone() })
        .collect();
    bencher
        .counter(divan::counter::ItemsCount::new(month.len()))
        .bench(|| Rollup::fold(Timeframe::Minutes(173), &month));
}
