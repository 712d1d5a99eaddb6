import { describe, expect, test } from 'vitest';
import {
  CANDLES_MAX,
  TRADES_MAX,
  addRecorded,
  emptiness,
  emptyMarket,
  sameTimeframe,
  subscription,
  take,
} from '../src/market';

const instrument = 'binance-futures:BTC-USDT-PERP';
const market = (timeframe = '15') => emptyMarket({ instrument, timeframe });
const status = { historical_loading: false, gap_recovery: false, data_quality: 'complete' };
const candle = (minute: number, close = 1) => ({
  candle_time: minute * 60_000,
  open: 1,
  high: 2,
  low: 0,
  close,
  volume: 3,
  status: 'forming',
  is_complete: true,
});
const update = (minute: number, close = 1) => ({
  type: 'ohlcv_update',
  instrument,
  timeframe: '15m',
  data: candle(minute, close),
  data_status: status,
});
const trade = (id: number, position?: string) => ({
  type: 'trade',
  instrument,
  position,
  data: { aggregate_id: id, price: 1, quantity: 1, timestamp: id, is_buyer_maker: false },
});

describe('candles', () => {
  test('start with the initial ones and keep their order', () => {
    const one = market();
    const initial = { ...update(0), type: 'initial_candles', data: [candle(0), candle(15)] };
    expect(take(one, initial)).toBe('candles');
    expect(take(one, update(30))).toBe('candle');
    expect(take(one, update(15, 9))).toBe('candle');
    expect(one.candles.map((each) => [each.candle_time / 60_000, each.close])).toEqual([
      [0, 1],
      [15, 9],
      [30, 1],
    ]);
    take(one, update(20));
    expect(one.candles.map((each) => each.candle_time / 60_000)).toEqual([0, 15, 20, 30]);
  });

  test('of other markets and timeframes change nothing', () => {
    const one = market();
    expect(take(one, { ...update(0), instrument: 'binance:BTC-USDT' })).toBe('nothing');
    expect(take(one, { ...update(0), timeframe: '1m' })).toBe('nothing');
    expect(one.candles).toEqual([]);
  });

  test('do not grow without bound', () => {
    const one = market();
    for (let minute = 0; minute < CANDLES_MAX + 50; minute += 1) {
      take(one, update(minute));
    }
    expect(one.candles.length).toBeLessThanOrEqual(CANDLES_MAX + 1);
    expect(one.candles.at(-1)?.candle_time).toBe((CANDLES_MAX + 49) * 60_000);
  });

  test('15 and 15m are one timeframe', () => {
    expect(sameTimeframe('15', '15m')).toBe(true);
    expect(sameTimeframe('1w', '1w')).toBe(true);
    expect(sameTimeframe('1', '1M')).toBe(false);
  });
});

describe('trades', () => {
  test('come newest first, without repeats, and are bounded', () => {
    const one = market();
    for (let id = 1; id <= TRADES_MAX + 10; id += 1) {
      take(one, trade(id, `${id}.0`));
    }
    expect(take(one, trade(TRADES_MAX + 10))).toBe('nothing');
    expect(one.trades).toHaveLength(TRADES_MAX);
    expect(one.trades[0]?.aggregate_id).toBe(TRADES_MAX + 10);
  });

  test('tell where to go on', () => {
    const one = market();
    expect(JSON.parse(subscription(one)).subscriptions[0]).not.toHaveProperty('resume_from');
    take(one, trade(7, '41.2'));
    take(one, trade(6));
    expect(JSON.parse(subscription(one)).subscriptions[0]).toMatchObject({
      symbol: instrument,
      timeframes: [{ timeframe: '15' }],
      channels: ['trades'],
      resume_from: '41.2',
      last_trade_id: '7',
    });
  });
});

describe('trades whose ids JavaScript rounds', () => {
  // Bybit's spot ids: as numbers, neighbours are the same.
  const far = (id: string) => ({ ...trade(Number(id), '9.0'), data: { ...trade(Number(id)).data, trade_id: id } });

  test('are kept apart, and the exact id is where to go on', () => {
    const one = market();
    expect(take(one, far('2290000024969983361'))).toBe('trades');
    expect(take(one, far('2290000024969983360'))).toBe('trades');
    expect(take(one, far('2290000024969983360'))).toBe('nothing');
    expect(one.trades).toHaveLength(2);
    expect(JSON.parse(subscription(one)).subscriptions[0].last_trade_id).toBe('2290000024969983361');
  });

  test('ids that are no numbers are no place to go on from', () => {
    const one = market();
    const data = { ...trade(1).data, aggregate_id: null, trade_id: '6ff43d32-3e8e-5a0a' };
    expect(take(one, { ...trade(1, '9.0'), data })).toBe('trades');
    expect(take(one, { ...trade(1, '9.1'), data })).toBe('nothing');
    expect(JSON.parse(subscription(one)).subscriptions[0]).not.toHaveProperty('last_trade_id');
  });
});

describe('notices', () => {
  test('skipped news are counted and told', () => {
    const one = market();
    expect(take(one, { type: 'skipped', instrument, count: 12, reason: 'slow' })).toBe('notice');
    expect([one.skipped, one.notice]).toEqual([12, '12 trades were skipped: slow']);
    take(one, { type: 'skipped', instrument, count: null, reason: 'too old' });
    expect([one.skipped, one.notice]).toEqual([12, 'too old']);
  });

  test('errors are shown until the next subscription stands', () => {
    const one = market();
    take(one, { type: 'error', message: 'no', remedy: 'yes' });
    expect(one.notice).toBe('no (yes)');
    take(one, { type: 'subscribed' });
    expect(one.notice).toBe('');
  });

  test.each([null, 5, 'x', {}, { type: 'pong' }])('%s changes nothing', (message) => {
    expect(take(market(), message)).toBe('nothing');
  });
});

describe('before anything comes live', () => {
  test('recorded trades stand below live ones, each once', () => {
    const shown = market();
    take(shown, trade(7));
    addRecorded(shown, [trade(5).data, trade(6).data, trade(7).data]);
    expect(shown.trades.map((known) => known.aggregate_id)).toEqual([7, 6, 5]);
    addRecorded(
      shown,
      Array.from({ length: 2 * TRADES_MAX }, (_, id) => trade(-id).data),
    );
    expect(shown.trades.length).toBe(TRADES_MAX);
  });

  test('trades of one millisecond keep their order', () => {
    const shown = market();
    addRecorded(
      shown,
      [1, 2, 3].map((id) => ({ ...trade(id).data, timestamp: 9 })),
    );
    expect(shown.trades.map((known) => known.aggregate_id)).toEqual([3, 2, 1]);
  });

  test('an empty chart says what it waits for', () => {
    expect(emptiness(emptyMarket({ instrument: '', timeframe: '1' }))).toContain('instruments');
    const shown = market();
    expect(emptiness(shown)).toBe('No candles yet');
    take(shown, { type: 'initial_candles', instrument, timeframe: '15m', data: [], data_status: { ...status, historical_loading: true } });
    expect(emptiness(shown)).toContain('history is loading');
    take(shown, update(15));
    expect(emptiness(shown)).toBe('');
  });
});
