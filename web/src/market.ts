// What the page knows of one market, and how messages change it. Pure: nothing here touches the page or the network.

export interface Candle {
  candle_time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  status: 'forming' | 'closed' | 'revised';
  is_complete: boolean;
}

export interface DataStatus {
  historical_loading: boolean;
  gap_recovery: boolean;
  data_quality: 'complete' | 'partial' | 'unknown';
}

export interface Trade {
  aggregate_id: number | null;
  /** The id as text, where it is no number or one that JavaScript would round. */
  trade_id?: string;
  price: number;
  quantity: number;
  timestamp: number;
  is_buyer_maker: boolean;
}

export interface Wanted {
  instrument: string;
  timeframe: string;
}

export interface Market {
  wanted: Wanted;
  /** Ascending by time. */
  candles: Candle[];
  /** Newest first. */
  trades: Trade[];
  status: DataStatus | null;
  /** Last place in the feed that was seen. */
  position: string | null;
  /** The newest numeric trade id, as text: some are beyond what a number holds here. */
  lastTradeId: string | null;
  skipped: number;
  /** The newest complaint of the server. */
  notice: string;
}

/** What a message changed, so that only that is drawn. */
export type Change = 'candles' | 'candle' | 'trades' | 'notice' | 'nothing';

export const TRADES_MAX = 60;
export const CANDLES_MAX = 2_000;
const INITIAL_CANDLES = 500;

export function emptyMarket(wanted: Wanted): Market {
  return {
    wanted,
    candles: [],
    trades: [],
    status: null,
    position: null,
    lastTradeId: null,
    skipped: 0,
    notice: '',
  };
}

/** The words that subscribe to a market, going on where the page left off. */
export function subscription(market: Market): string {
  const resume = market.position === null ? {} : { resume_from: market.position };
  const last = market.position === null || market.lastTradeId === null ? {} : { last_trade_id: market.lastTradeId };
  return JSON.stringify({
    action: 'subscribe',
    subscriptions: [
      {
        symbol: market.wanted.instrument,
        timeframes: [{ timeframe: market.wanted.timeframe, initial_candles: INITIAL_CANDLES }],
        channels: ['trades'],
        ...resume,
        ...last,
      },
    ],
  });
}

/** The words that leave everything. */
export function leaving(): string {
  return JSON.stringify({ action: 'unsubscribe', subscriptions: [] });
}

/** Puts trades that were recorded before among those that came live, each once, the newest first. */
export function addRecorded(market: Market, recorded: Trade[]): void {
  const known = market.trades;
  const older = recorded.filter((trade) => !known.some((other) => sameTrade(other, trade)));
  market.trades = [...known, ...older.reverse()].sort((left, right) => right.timestamp - left.timestamp).slice(0, TRADES_MAX);
}

/** What stands in the chart's place while it is empty; nothing once there are candles. */
export function emptiness(market: Market): string {
  if (market.wanted.instrument === '') {
    return 'Waiting for the server to name its instruments';
  }
  if (market.candles.length > 0) {
    return '';
  }
  return market.status?.historical_loading ? 'No candles yet, history is loading' : 'No candles yet';
}

/** `15` and `15m` are one timeframe. */
export function sameTimeframe(left: string, right: string): boolean {
  const plain = (text: string): string => (/^\d+$/.test(text) ? `${text}m` : text);
  return plain(left) === plain(right);
}

function putCandle(candles: Candle[], candle: Candle): Candle[] {
  let at = candles.length;
  while (at > 0 && (candles[at - 1] as Candle).candle_time > candle.candle_time) {
    at -= 1;
  }
  const known = at > 0 && (candles[at - 1] as Candle).candle_time === candle.candle_time;
  const next = candles.slice(Math.max(0, candles.length - CANDLES_MAX));
  const shift = candles.length - next.length;
  next.splice(Math.max(0, at - shift - (known ? 1 : 0)), known ? 1 : 0, candle);
  return next;
}

/** The id as text, exact; `null` for a trade without one. */
function idOf(trade: Trade): string | null {
  return trade.trade_id ?? (trade.aggregate_id === null ? null : String(trade.aggregate_id));
}

function sameTrade(left: Trade, right: Trade): boolean {
  const id = idOf(left);
  return id !== null && id === idOf(right);
}

function isLater(id: string, than: string | null): boolean {
  return than === null || BigInt(id) > BigInt(than);
}

/** Changes the market as a message says; messages of other markets change nothing. */
export function take(market: Market, message: unknown): Change {
  if (typeof message !== 'object' || message === null) {
    return 'nothing';
  }
  const words = message as Record<string, unknown>;
  if (words.type === 'error') {
    market.notice = `${String(words.message)} (${String(words.remedy)})`;
    return 'notice';
  }
  if (words.type === 'subscribed') {
    market.notice = '';
    return 'notice';
  }
  if (words.instrument !== market.wanted.instrument) {
    return 'nothing';
  }
  switch (words.type) {
    case 'initial_candles':
      if (!sameTimeframe(String(words.timeframe), market.wanted.timeframe)) {
        return 'nothing';
      }
      market.candles = words.data as Candle[];
      market.status = words.data_status as DataStatus;
      return 'candles';
    case 'ohlcv_update':
      if (!sameTimeframe(String(words.timeframe), market.wanted.timeframe)) {
        return 'nothing';
      }
      market.candles = putCandle(market.candles, words.data as Candle);
      market.status = words.data_status as DataStatus;
      return 'candle';
    case 'trade':
      return takeTrade(market, words);
    case 'skipped': {
      const missed = typeof words.count === 'number' ? words.count : 0;
      market.skipped += missed;
      market.notice = missed > 0 ? `${missed} trades were skipped: ${String(words.reason)}` : String(words.reason);
      return 'notice';
    }
    default:
      return 'nothing';
  }
}

function takeTrade(market: Market, words: Record<string, unknown>): Change {
  const trade = words.data as Trade;
  if (typeof words.position === 'string') {
    market.position = words.position;
  }
  const id = idOf(trade);
  if (trade.aggregate_id !== null && id !== null && isLater(id, market.lastTradeId)) {
    market.lastTradeId = id;
  }
  if (market.trades.some((known) => sameTrade(known, trade))) {
    return 'nothing';
  }
  market.trades = [trade, ...market.trades].slice(0, TRADES_MAX);
  return 'trades';
}
