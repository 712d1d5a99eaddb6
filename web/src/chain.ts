// What the page shows of the followed chain: node, buckets, the composed price and a few metrics as lines. Pure.

import { count, span } from './format';

export interface ChainHealth {
  status: string;
  reasons: string[];
  network: string | null;
  node_tip_height: number | null;
  node_tip_hash: string | null;
  last_raw_height: number | null;
  last_primitive_bucket_time: number | null;
  lag_blocks: number | null;
  reorganisations: number;
}

export interface Block {
  height: number;
  hash: string;
  time: number;
}

export interface Primitive {
  bucket: number;
  block_count: number;
  tx_count_10m: number;
  fees_sat_10m: number;
}

export interface ComposedPrice {
  bucket: number;
  close: number | null;
  source_count: number;
  venues_used: string[];
  venues_rejected: { source: string; reason: string }[];
}

export interface Metric {
  name: string;
  unit: string;
  value: number | null;
  reason: string | null;
}

/** What was answered; null where there is no row yet. */
export interface Chain {
  health: ChainHealth;
  block: Block | null;
  primitive: Primitive | null;
  price: ComposedPrice | null;
  metrics: Metric[];
}

export interface Line {
  label: string;
  value: string;
  /** What a pointer that rests on it is told. */
  title: string;
  kind: 'good' | 'warn' | 'bad' | '';
}

/** Metrics that are shown, by name. */
export const METRICS_SHOWN = ['nvt', 'market_cap', 'hash_rate'];

/** A number in at most five digits, however large: 1234567 → 1.23M, 1.2e21 → 1.20Z. */
export function short(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z'];
  const size = Math.abs(value);
  if (size !== 0 && size < 0.01) {
    return value.toExponential(2);
  }
  const at = size < 1e4 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(size) / 3));
  return `${(value / 1e3 ** at).toFixed(2)}${units[at]}`;
}

/** Ten minutes as their start, UTC. */
function ten(bucket: number): string {
  return new Date(bucket).toISOString().slice(5, 16).replace('T', ' ');
}

function line(label: string, value: string, title = '', kind: Line['kind'] = ''): Line {
  return { label, value, title, kind };
}

function node(health: ChainHealth, block: Block | null, now: number): Line[] {
  if (health.network === null) {
    return [];
  }
  const tip = block === null ? '—' : `${count(block.height)}, ${span((now - block.time) / 1_000)} old`;
  const lag = health.lag_blocks;
  const behind = lag === null ? 'not known' : lag === 0 ? 'none' : `${count(lag)} ${lag === 1 ? 'block' : 'blocks'}`;
  const about = health.node_tip_height === null ? 'the node has not answered yet' : `the node is at ${count(health.node_tip_height)}`;
  const turns = health.reorganisations;
  return [
    line('Tip', tip, block?.hash ?? ''),
    line('Hash', block === null ? '—' : `…${block.hash.slice(-12)}`, block?.hash ?? ''),
    line('Behind the node', behind, about, lag === 0 ? 'good' : 'warn'),
    line('Reorganisations', count(turns), 'since the start', turns > 0 ? 'warn' : ''),
  ];
}

function bucket(primitive: Primitive | null): Line[] {
  if (primitive === null) {
    return [];
  }
  const { block_count: blocks, tx_count_10m: transactions, fees_sat_10m: fees } = primitive;
  const words = `${count(blocks)} ${blocks === 1 ? 'block' : 'blocks'}, ${count(transactions)} tx`;
  return [line(`10m ${ten(primitive.bucket)}`, words, `fees ${(fees / 1e8).toFixed(8)} BTC`)];
}

function composed(price: ComposedPrice | null): Line[] {
  if (price === null) {
    return [];
  }
  const close = price.close === null ? 'no venue' : `${price.close.toFixed(2)} USD`;
  const used = price.venues_used.join(', ') || 'none';
  // Venues that were left out for the same reason stand together.
  const leftOut = new Map<string, string[]>();
  for (const { source, reason } of price.venues_rejected) {
    leftOut.set(reason, [...(leftOut.get(reason) ?? []), source]);
  }
  return [
    line('Price', close, `composed, 10m from ${ten(price.bucket)} UTC`, price.close === null ? 'warn' : ''),
    line('Venues used', price.source_count === 0 ? used : `${price.source_count}: ${used}`, used),
    ...[...leftOut].map(([reason, sources]) => line('Left out', `${sources.join(', ')}: ${reason}`, '', 'warn')),
  ];
}

function metric({ name, unit, value, reason }: Metric): Line {
  const told = unit === 'ratio' ? '' : ` ${unit}`;
  const words = value === null ? (reason ?? 'not defined') : `${short(value)}${told}`;
  return line(name.replaceAll('_', ' '), words, unit, value === null ? 'warn' : '');
}

/** All that is shown, from above. */
export function lines(chain: Chain, now: number): Line[] {
  const { health, block, primitive, price, metrics } = chain;
  return [
    ...node(health, block, now),
    ...bucket(primitive),
    ...composed(price),
    ...metrics.map(metric),
    ...health.reasons.map((reason) => line('Trouble', reason, reason, 'bad')),
  ];
}
