import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, expect, it, vi } from 'vitest';

import { readStream } from './stream';

let server: Server;

/** A gateway with one route. */
async function listen(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<void> {
  server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  vi.stubGlobal('location', { origin: `http://127.0.0.1:${port}` });
}

afterEach(() => {
  vi.unstubAllGlobals();
  server.closeAllConnections();
  server.close();
});

function request(lastEventId: string | null, signal = new AbortController().signal) {
  return { topics: ['servers', 'logs:gateway'], lastEventId, signal };
}

it('asks for the topics and the last event, and reads to the end', async () => {
  const seen: unknown[] = [];
  await listen(({ url, headers }, response) => {
    seen.push(url, headers['last-event-id'], headers.accept);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    // A character in two pieces.
    const bytes = Buffer.from('data: ä\n\n');
    response.write(bytes.subarray(0, 7));
    setTimeout(() => response.end(bytes.subarray(7)), 20);
  });
  let text = '';
  const onOpen = vi.fn();
  await readStream(request('0a-7'), onOpen, (piece) => (text += piece));
  expect(onOpen.mock.calls).toHaveLength(1);
  expect(text).toBe('data: ä\n\n');
  expect(seen).toEqual(['/api/events?topics=servers%2Clogs%3Agateway', '0a-7', 'text/event-stream']);
});

it('throws the problem of a rejection', async () => {
  await listen((_, response) => {
    response.writeHead(403, { 'content-type': 'application/problem+json' });
    response.end(JSON.stringify({ type: 't', title: 'No', status: 403, detail: 'Not from here.', code: 'forbidden' }));
  });
  const opened = vi.fn();
  const read = readStream(request(null), opened, () => undefined);
  await expect(read).rejects.toMatchObject({ code: 'forbidden', detail: 'Not from here.' });
  expect(opened.mock.calls).toHaveLength(0);
});

it('throws when the connection is lost, and when the page ends it', async () => {
  await listen((_, response) => {
    response.writeHead(200);
    response.write(': begin\n\n');
    setTimeout(() => response.destroy(), 20);
  });
  const lost = readStream(
    request(null),
    () => undefined,
    () => undefined,
  );
  await expect(lost).rejects.toMatchObject({ isUnreachable: true });
  const abort = new AbortController();
  const ended = readStream(
    request(null, abort.signal),
    () => abort.abort(),
    () => undefined,
  );
  await expect(ended).rejects.toMatchObject({ isAborted: true });
});
