// The panel of the followed chain: asks for what it shows every few seconds, and is hidden where no chain is followed.

import { type Block, type Chain, type ChainHealth, type ComposedPrice, METRICS_SHOWN, type Metric, type Primitive, lines } from './chain';

/** The page and the network, handed in. */
export interface Around {
  panel: HTMLElement;
  list: HTMLElement;
  /** The answer as JSON; null where there is nothing by that name. */
  ask(path: string): Promise<unknown>;
  later(millis: number, work: () => void): void;
  now(): number;
}

const EVERY = 5_000;
/** Where no chain is followed now, one may be after a new start. */
const SELDOM = 60_000;

/** The bucket that is not over has no price yet: one of the two before has. */
const NEWEST = 'limit=3&order=desc';

interface Rows<T> {
  data: T[];
}

/** The newest row that has what is wanted; else the newest. */
function newestWith<T>(rows: T[], has: (row: T) => boolean): T | null {
  return rows.find(has) ?? rows[0] ?? null;
}

export class Panel {
  /** Units by name of the metric; asked for once. */
  private units: Map<string, string> | null = null;

  constructor(private readonly around: Around) {}

  async show(): Promise<void> {
    let wait = EVERY;
    try {
      const chain = await this.read();
      this.around.panel.hidden = chain === null;
      if (chain === null) {
        wait = SELDOM;
      } else {
        this.draw(chain);
      }
    } catch {
      // What was shown stays; the footer says that the server does not answer.
    }
    this.around.later(wait, () => void this.show());
  }

  private async read(): Promise<Chain | null> {
    const health = (await this.around.ask('/api/v1/btc/health')) as ChainHealth | null;
    if (health === null) {
      return null;
    }
    const [blocks, primitives, prices, metrics] = await Promise.all([
      this.rows<Block>('primitive?interval=block&fields=hash,time&limit=1&order=desc'),
      this.rows<Primitive>('primitive?fields=block_count,tx_count_10m,fees_sat_10m&limit=1&order=desc'),
      this.rows<ComposedPrice>(`price/canonical?${NEWEST}`),
      this.metrics(),
    ]);
    const price = newestWith(prices, ({ close }) => close !== null);
    return { health, block: blocks[0] ?? null, primitive: primitives[0] ?? null, price, metrics };
  }

  private async rows<T>(path: string): Promise<T[]> {
    const rows = (await this.around.ask(`/api/v1/btc/${path}`)) as Rows<T> | null;
    return rows?.data ?? [];
  }

  private async metrics(): Promise<Metric[]> {
    if (this.units === null) {
      const known = (await this.around.ask('/api/v1/btc/metrics')) as Rows<{ name: string; unit: string }> | null;
      this.units = new Map((known?.data ?? []).map(({ name, unit }) => [name, unit]));
    }
    const units = this.units;
    const wanted = METRICS_SHOWN.filter((name) => units.has(name));
    const found = await Promise.all(
      wanted.map(async (name) => {
        const rows = await this.rows<{ value: number | null; reason: string | null }>(`metrics/${name}?${NEWEST}`);
        const row = newestWith(rows, ({ value }) => value !== null);
        return row === null ? [] : [{ name, unit: units.get(name) ?? '', value: row.value, reason: row.reason }];
      }),
    );
    return found.flat();
  }

  private draw(chain: Chain): void {
    const { list } = this.around;
    const page = list.ownerDocument;
    const parts = lines(chain, this.around.now()).flatMap(({ label, value, title, kind }) => {
      const [name, words] = [page.createElement('dt'), page.createElement('dd')];
      name.textContent = label;
      words.textContent = value;
      words.title = title;
      words.className = kind;
      return [name, words];
    });
    list.replaceChildren(...parts);
  }
}
