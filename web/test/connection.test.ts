import { expect, test } from 'vitest';
import { Connection, type Link, type Socket, WAIT_FIRST, WAIT_MAX, wait } from '../src/connection';

class FakeSocket implements Socket {
  sent: string[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.onclose?.();
  }
}

function world() {
  const sockets: FakeSocket[] = [];
  const waits: number[] = [];
  const works: (() => void)[] = [];
  const links: Link[] = [];
  const heard: unknown[] = [];
  let place = 0;
  const connection = new Connection(
    {
      open: () => {
        const socket = new FakeSocket();
        sockets.push(socket);
        return socket;
      },
      later: (millis, work) => {
        waits.push(millis);
        works.push(work);
      },
      chance: () => 1,
    },
    {
      greeting: () => `from ${place}`,
      heard: (message) => {
        heard.push(message);
        place += 1;
      },
      link: (state) => links.push(state),
    },
  );
  const socket = (at: number) => sockets[at] as FakeSocket;
  return { connection, socket, sockets, waits, works, links, heard };
}

test('comes back and goes on where it left off', () => {
  const { connection, socket, works, links, heard } = world();
  connection.start();
  socket(0).onopen?.();
  socket(0).onmessage?.({ data: '{"a":1}' });
  socket(0).onmessage?.({ data: '{"a":2}' });
  socket(0).close();
  works[0]?.();
  socket(1).onopen?.();
  expect(socket(0).sent).toEqual(['from 0']);
  expect(socket(1).sent).toEqual(['from 2']);
  expect(heard).toEqual([{ a: 1 }, { a: 2 }]);
  expect(links).toEqual(['connecting', 'live', 'waiting', 'connecting', 'live']);
});

test('waits longer each time, until something was heard', () => {
  const { connection, socket, waits, works } = world();
  connection.start();
  for (let at = 0; at < 3; at += 1) {
    socket(at).close();
    works[at]?.();
  }
  socket(3).onopen?.();
  socket(3).onmessage?.({ data: '{}' });
  socket(3).close();
  expect(waits).toEqual([WAIT_FIRST, WAIT_FIRST * 2, WAIT_FIRST * 4, WAIT_FIRST]);
});

test('waits are jittered and bounded', () => {
  expect(wait(0, 0)).toBe(WAIT_FIRST / 2);
  expect(wait(99, 1)).toBe(WAIT_MAX);
});

test('nothing is said into a closed line, and nonsense is heard as nothing', () => {
  const { connection, socket, heard } = world();
  connection.start();
  expect(connection.say('x')).toBe(false);
  socket(0).onopen?.();
  expect(connection.say('y')).toBe(true);
  socket(0).onmessage?.({ data: '{broken' });
  socket(0).onmessage?.({ data: new Uint8Array() });
  expect(heard).toEqual([null]);
});
