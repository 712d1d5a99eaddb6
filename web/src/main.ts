// The live page: picks a market, draws its candles and last trades, and says what is recorded.

import {
  CandlestickSeries,
  ColorType,
  HistogramSeries,
  type IChartApi,
  type ISeriesApi,
  type UTCTimestamp,
  createChart,
} from 'lightweight-charts';
import { Connection, type Link } from './connection';
import { clock, count, digitsOf, price, quantity, span } from './format';
import {
  type Candle,
  type Change,
  type Market,
  type Trade,
  addRecorded,
  emptiness,
  emptyMarket,
  leaving,
  subscription,
  take,
} from './market';
import { Panel } from './panel';
import './style.css';

interface Instrument {
  instrument: string;
  venue: string;
  symbol: string;
  status: string;
  tick_size: number | null;
}

interface Health {
  status: string;
  uptime_seconds: number;
  active_tickers: number;
  trades_processed_total: number;
  disk_free_percent: number;
  is_simulated: boolean;
  reasons: string[];
}

const TIMEFRAMES: [string, string][] = [
  ['1', '1m'],
  ['5', '5m'],
  ['15', '15m'],
  ['60', '1h'],
  ['173', '173m'],
  ['2850', '2850m'],
  ['1w', '1w'],
];
const UP = '#26a69a';
const DOWN = '#ef5350';
/** Candles whose range was not watched throughout. */
const PARTIAL = '#8a6d3b';

function part<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

const picker = part<HTMLSelectElement>('instrument');
const buttons = part<HTMLDivElement>('timeframes');
let instruments: Instrument[] = [];
let market: Market = emptyMarket(wantedByAddress());
let digits = 2;
let isTradesDue = false;

function wantedByAddress(): { instrument: string; timeframe: string } {
  const words = new URLSearchParams(location.hash.slice(1));
  return { instrument: words.get('instrument') ?? '', timeframe: words.get('timeframe') ?? '1' };
}

const chart: IChartApi = createChart(part('chart'), {
  autoSize: true,
  layout: { background: { type: ColorType.Solid, color: '#0f1419' }, textColor: '#8494a3' },
  grid: { vertLines: { color: '#1b232b' }, horzLines: { color: '#1b232b' } },
  timeScale: { timeVisible: true, secondsVisible: false, borderColor: '#263039' },
  rightPriceScale: { borderColor: '#263039' },
});
const candles: ISeriesApi<'Candlestick'> = chart.addSeries(CandlestickSeries, {
  upColor: UP,
  downColor: DOWN,
  wickUpColor: UP,
  wickDownColor: DOWN,
  borderVisible: false,
});
const volumes: ISeriesApi<'Histogram'> = chart.addSeries(HistogramSeries, {
  priceFormat: { type: 'volume' },
  priceScaleId: '',
  lastValueVisible: false,
  priceLineVisible: false,
});
volumes.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });

function seconds(candle: Candle): UTCTimestamp {
  return (candle.candle_time / 1_000) as UTCTimestamp;
}

function bar(candle: Candle) {
  const { open, high, low, close } = candle;
  const isPartial = !candle.is_complete && candle.status !== 'forming';
  const colors = isPartial ? { color: PARTIAL, wickColor: PARTIAL } : {};
  return { time: seconds(candle), open, high, low, close, ...colors };
}

function volume(candle: Candle) {
  const color = candle.close >= candle.open ? '#26a69a66' : '#ef535066';
  return { time: seconds(candle), value: candle.volume, color };
}

function drawAll(): void {
  candles.setData(market.candles.map(bar));
  volumes.setData(market.candles.map(volume));
}

function drawCandle(message: unknown): void {
  const candle = (message as { data: Candle }).data;
  const newest = market.candles[market.candles.length - 1];
  const isOld = newest !== undefined && candle.candle_time < newest.candle_time;
  candles.update(bar(candle), isOld);
  volumes.update(volume(candle), isOld);
}

function drawTrades(): void {
  isTradesDue = false;
  const rows = market.trades.map((trade) => {
    const row = document.createElement('tr');
    row.className = trade.is_buyer_maker ? 'down' : 'up';
    for (const text of [clock(trade.timestamp), price(trade.price, digits), quantity(trade.quantity)]) {
      row.insertCell().textContent = text;
    }
    return row;
  });
  part('trades').replaceChildren(...rows);
  const [last] = market.trades;
  const shown = part('price');
  shown.textContent = last ? price(last.price, digits) : '';
  shown.className = last?.is_buyer_maker ? 'down' : 'up';
  document.title = last ? `${price(last.price, digits)} ${picker.selectedOptions[0]?.text ?? ''}` : 'Tickhouse';
}

function drawStatus(): void {
  const badge = part('quality');
  const { status } = market;
  const words = status === null ? 'waiting for candles' : status.data_quality;
  const tails = [status?.historical_loading ? 'history loading' : '', status?.gap_recovery ? 'repairing' : ''];
  badge.textContent = [words, ...tails.filter((tail) => tail !== '')].join(', ');
  badge.className = `badge ${status?.data_quality === 'complete' ? 'good' : 'warn'}`;
  badge.title = 'Whether the range of the newest candle was watched throughout; candles that were not are drawn brown';
  const empty = part('empty');
  empty.textContent = emptiness(market);
  empty.hidden = empty.textContent === '';
  part('notice').textContent = market.notice;
}

function changed(change: Change, message: unknown): void {
  if (change === 'candles') {
    drawAll();
  } else if (change === 'candle') {
    drawCandle(message);
  } else if (change === 'trades' && !isTradesDue) {
    // Hundreds of trades a second need no more than one drawing per frame.
    isTradesDue = true;
    requestAnimationFrame(drawTrades);
  }
  if (change !== 'nothing' && change !== 'trades') {
    drawStatus();
  }
}

const connection = new Connection(
  {
    open: () => {
      const kind = location.protocol === 'https:' ? 'wss' : 'ws';
      return new WebSocket(`${kind}://${location.host}/ws/stream`) as never;
    },
    later: (millis, work) => void setTimeout(work, millis),
    chance: Math.random,
  },
  {
    greeting: () => subscription(market),
    heard: (message) => changed(take(market, message), message),
    link: (state: Link) => {
      const badge = part('link');
      badge.textContent = { live: 'live', connecting: 'connecting', waiting: 'connection lost, trying again' }[state];
      badge.className = `badge ${state === 'live' ? 'good' : 'bad'}`;
    },
  },
);

function choose(instrument: string, timeframe: string): void {
  market = emptyMarket({ instrument, timeframe });
  location.hash = new URLSearchParams({ instrument, timeframe }).toString();
  digits = digitsOf(instruments.find((known) => known.instrument === instrument)?.tick_size);
  candles.applyOptions({ priceFormat: { type: 'price', precision: digits, minMove: 10 ** -digits } });
  for (const button of buttons.querySelectorAll('button')) {
    button.setAttribute('aria-pressed', String(button.value === timeframe));
  }
  picker.value = instrument;
  part('venue').textContent = instruments.find((known) => known.instrument === instrument)?.venue ?? '';
  drawAll();
  drawTrades();
  drawStatus();
  chart.timeScale().resetTimeScale();
  connection.say(leaving());
  connection.say(subscription(market));
  void loadTrades(market);
}

/** The trades recorded last, so that a quiet market does not look dead. */
async function loadTrades(wanted: Market): Promise<void> {
  try {
    const path = `/api/v1/data/trades/${encodeURIComponent(wanted.wanted.instrument)}?limit=40`;
    addRecorded(wanted, (await ask<{ data: Trade[] }>(path)).data);
    if (wanted === market) {
      drawTrades();
    }
  } catch {
    // Live ones come all the same.
  }
}

function fillPicker(): void {
  const venues = [...new Set(instruments.map((known) => known.venue))];
  picker.replaceChildren(
    ...venues.map((venue) => {
      const group = document.createElement('optgroup');
      group.label = venue;
      const members = instruments.filter((known) => known.venue === venue);
      group.append(...members.map((known) => new Option(known.symbol, known.instrument)));
      return group;
    }),
  );
  picker.disabled = false;
}

async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(path);
  // An unhealthy house says so with 503 and a whole body.
  if (!answer.ok && answer.status !== 503) {
    throw new Error(`${path}: ${answer.status}`);
  }
  return (await answer.json()) as T;
}

async function loadInstruments(): Promise<void> {
  try {
    const [{ data }, { data: tickers }] = await Promise.all([
      ask<{ data: Instrument[] }>('/api/v1/data/instruments'),
      ask<{ data: { instrument: string }[] }>('/api/v1/admin/tickers/status'),
    ]);
    const recorded = new Set(tickers.map((ticker) => ticker.instrument));
    const found = data.filter((known) => recorded.size === 0 || recorded.has(known.instrument));
    if (found.length > 0) {
      const isFirst = instruments.length === 0;
      instruments = found;
      if (isFirst) {
        fillPicker();
        const { instrument, timeframe } = market.wanted;
        const favourite = found.find((known) => known.symbol === 'BTCUSDT') ?? (found[0] as Instrument);
        const isKnown = found.some((known) => known.instrument === instrument);
        choose(isKnown ? instrument : favourite.instrument, timeframe);
        connection.start();
      }
      return;
    }
  } catch (error) {
    part('notice').textContent = `The server does not answer yet: ${String(error)}`;
  }
  setTimeout(() => void loadInstruments(), 1_000);
}

async function showHealth(): Promise<void> {
  try {
    const health = await ask<Health>('/api/v1/monitoring/health');
    const words = [
      health.is_simulated ? 'simulated markets' : '',
      `recording ${count(health.active_tickers)} ${health.active_tickers === 1 ? 'instrument' : 'instruments'}`,
      `${count(health.trades_processed_total)} trades`,
      `up ${span(health.uptime_seconds)}`,
      `disk ${health.disk_free_percent.toFixed(0)}% free`,
      ...health.reasons,
    ];
    part('recorded').textContent = words.filter((word) => word !== '').join(' · ');
  } catch {
    part('recorded').textContent = 'the server does not answer';
  }
  setTimeout(() => void showHealth(), 2_000);
}

buttons.append(
  ...TIMEFRAMES.map(([value, label]) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.value = value;
    button.textContent = label;
    button.onclick = () => choose(market.wanted.instrument, value);
    return button;
  }),
);
picker.onchange = () => choose(picker.value, market.wanted.timeframe);
/** Like `ask`, but null where there is nothing by that name. */
async function found(path: string): Promise<unknown> {
  const answer = await fetch(path);
  if (answer.status === 404 || answer.status === 409) {
    return null;
  }
  if (!answer.ok) {
    throw new Error(`${path}: ${answer.status}`);
  }
  return (await answer.json()) as unknown;
}

const panel = new Panel({
  panel: part('chain'),
  list: part('chain-lines'),
  ask: found,
  later: (millis, work) => void setTimeout(work, millis),
  now: Date.now,
});
drawStatus();
void loadInstruments();
void showHealth();
void panel.show();
