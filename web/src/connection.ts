// Keeps one WebSocket open: comes back after a jittered, growing wait and lets the owner say where to go on.
// Sockets, timers and chance are handed in, so that tests need none of the real ones.

export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: (() => void) | null;
}

export interface World {
  open(): Socket;
  later(millis: number, work: () => void): void;
  chance(): number;
}

export type Link = 'connecting' | 'live' | 'waiting';

export interface Owner {
  /** What to say as soon as the connection stands. */
  greeting(): string;
  heard(message: unknown): void;
  link(state: Link): void;
}

export const WAIT_FIRST = 500;
export const WAIT_MAX = 10_000;

/** The wait before the next try: doubling, cut at the most, half of it left to chance. */
export function wait(tries: number, chance: number): number {
  const full = Math.min(WAIT_MAX, WAIT_FIRST * 2 ** Math.min(tries, 10));
  return full * (0.5 + chance / 2);
}

export class Connection {
  private socket: Socket | null = null;
  private isOpen = false;
  private tries = 0;

  constructor(
    private readonly world: World,
    private readonly owner: Owner,
  ) {}

  start(): void {
    this.owner.link('connecting');
    const socket = this.world.open();
    this.socket = socket;
    socket.onopen = () => {
      this.isOpen = true;
      this.owner.link('live');
      socket.send(this.owner.greeting());
    };
    socket.onmessage = (event) => {
      // The line works, not only its greeting.
      this.tries = 0;
      if (typeof event.data === 'string') {
        this.owner.heard(parsed(event.data));
      }
    };
    socket.onclose = () => {
      this.isOpen = false;
      this.owner.link('waiting');
      this.world.later(wait(this.tries, this.world.chance()), () => this.start());
      this.tries += 1;
    };
  }

  /** Says something if the connection stands; otherwise the next greeting will do. */
  say(text: string): boolean {
    if (this.isOpen && this.socket !== null) {
      this.socket.send(text);
    }
    return this.isOpen;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
