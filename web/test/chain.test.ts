import { expect, test } from 'vitest';
import { type Chain, type ChainHealth, lines, short } from '../src/chain';
import { Panel } from '../src/panel';

const NOW = 1_723_118_700_000;

function health(change: Partial<ChainHealth> = {}): ChainHealth {
  return {
    status: 'healthy',
    reasons: [],
    network: 'regtest',
    node_tip_height: 335,
    node_tip_hash: 'aa',
    last_raw_height: 335,
    last_primitive_bucket_time: NOW,
    lag_blocks: 0,
    reorganisations: 0,
    ...change,
  };
}

function chain(change: Partial<Chain> = {}): Chain {
  return {
    health: health(),
    block: { height: 335, hash: `00${'ab'.repeat(31)}`, time: NOW - 61_000 },
    primitive: { bucket: 1_723_118_400_000, block_count: 1, tx_count_10m: 1_234, fees_sat_10m: 5_000 },
    price: { bucket: 1_723_118_400_000, close: 61_844.126, source_count: 5, venues_used: ['binance', 'okx'], venues_rejected: [] },
    metrics: [{ name: 'market_cap', unit: 'USD', value: 1.2e12, reason: null }],
    ...change,
  };
}

function shown(of: Chain): Map<string, string> {
  return new Map(lines(of, NOW).map(({ label, value }) => [label, value]));
}

test('node, bucket, price and metrics are told in words', () => {
  const told = shown(chain());
  expect(told.get('Tip')).toBe('335, 1m 1s old');
  expect(told.get('Hash')).toBe('…abababababab');
  expect(told.get('Behind the node')).toBe('none');
  expect(told.get('10m 08-08 12:00')).toBe('1 block, 1,234 tx');
  expect(told.get('Price')).toBe('61844.13 USD');
  expect(told.get('market cap')).toBe('1.20T USD');
  expect(told.has('Trouble')).toBe(false);
});

test('what is missing is said, never shown as zero', () => {
  const price = { bucket: NOW, close: null, source_count: 0, venues_used: [], venues_rejected: [] };
  const metrics = [{ name: 'nvt', unit: 'ratio', value: null, reason: 'price_missing' }];
  const told = shown(chain({ price, metrics, block: null, health: health({ lag_blocks: null }) }));
  expect(told.get('Price')).toBe('no venue');
  expect(told.get('nvt')).toBe('price_missing');
  expect(told.get('Tip')).toBe('—');
  expect(told.get('Behind the node')).toBe('not known');
});

test('venues that were left out and trouble come with their reasons', () => {
  const reason = 'close 2.1 % off';
  const venues_rejected = [{ source: 'bybit', reason }, { source: 'okx', reason }];
  const price = { bucket: NOW, close: 1, source_count: 4, venues_used: [], venues_rejected };
  const found = lines(chain({ price, health: health({ reasons: ['the node does not answer'], lag_blocks: 3 }) }), NOW);
  const kinds = new Map(found.map(({ label, value, kind }) => [label, [value, kind]]));
  expect(kinds.get('Left out')).toEqual(['bybit, okx: close 2.1 % off', 'warn']);
  expect(kinds.get('Trouble')).toEqual(['the node does not answer', 'bad']);
  expect(kinds.get('Behind the node')).toEqual(['3 blocks', 'warn']);
});

test('without a chain only the price is told', () => {
  const labels = lines(chain({ health: health({ network: null }), block: null, primitive: null }), NOW).map(({ label }) => label);
  expect(labels).toEqual(['Price', 'Venues used', 'market cap']);
});

test.each([
  [0, '0.00'],
  [9_999, '9999.00'],
  [12_345, '12.35k'],
  [6.5e20, '650.00E'],
  [1.5e-9, '1.50e-9'],
])('%s is shown as %s', (value, words) => expect(short(value)).toBe(words));

/** As much of a page as the panel touches. */
function page(answers: (path: string) => unknown) {
  const waits: number[] = [];
  const list = {
    children: [] as { textContent: string }[],
    ownerDocument: { createElement: () => ({ textContent: '', title: '', className: '' }) },
    replaceChildren(...children: { textContent: string }[]) {
      this.children = children;
    },
  };
  const shade = { hidden: true };
  const panel = new Panel({
    panel: shade as HTMLElement,
    list: list as never,
    ask: async (path) => answers(path),
    later: (millis) => waits.push(millis),
    now: () => NOW,
  });
  return { panel, shade, list, waits };
}

test('the panel is hidden where no chain is followed, and looks again seldom', async () => {
  const { panel, shade, waits } = page(() => null);
  await panel.show();
  expect(shade.hidden).toBe(true);
  expect(waits).toEqual([60_000]);
});

test('the panel shows what is answered and stays as it was when nothing is', async () => {
  let isGone = false;
  const { panel, shade, list, waits } = page((path) => {
    if (isGone) {
      throw new Error('gone');
    }
    if (path.endsWith('/health')) {
      return health();
    }
    const rows: Record<string, unknown[]> = {
      '/api/v1/btc/metrics': [{ name: 'nvt', unit: 'ratio' }],
      // The bucket that is not over has no price yet.
      '/api/v1/btc/metrics/nvt?limit=3&order=desc': [
        { bucket: NOW, value: null, reason: 'price_missing' },
        { bucket: NOW - 600_000, value: 55.5, reason: null },
      ],
    };
    return { data: rows[path] ?? [] };
  });
  await panel.show();
  const told = list.children.map(({ textContent }) => textContent);
  expect(shade.hidden).toBe(false);
  expect(told.slice(0, 2)).toEqual(['Tip', '—']);
  expect(told.slice(-2)).toEqual(['nvt', '55.50']);
  isGone = true;
  await panel.show();
  expect(list.children.length).toBe(told.length);
  expect(waits).toEqual([5_000, 5_000]);
});
