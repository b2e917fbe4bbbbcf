import { afterEach, beforeEach, expect, it } from 'vitest';
import type { MetricsRange, ServerMetrics } from '$lib/api';
import { measured, rejection, testGateway, testStream } from '$lib/events/testing';
import { ServerSamples } from './samples.svelte';

const MINUTE = 60_000;
const START = 1_000 * MINUTE;

let stream: ReturnType<typeof testStream>;
let gateway: ReturnType<typeof testGateway>;
let samples: ServerSamples;
let stored: () => unknown;

async function load(range: MetricsRange, list: ServerMetrics[]): Promise<void> {
  stored = () => ({ server: 's', range, samples: list });
  samples = new ServerSamples('s', range, stream.events);
  const loaded = samples.load();
  stream.live(['servers']);
  await loaded;
}

function send(id: string, atMs: number, waiting: number): void {
  stream.receive({ type: 'events', events: [measured(id, atMs, { waiting })] });
}

const times = (): number[] => samples.list.map(({ at_ms }) => at_ms - START);

beforeEach(() => {
  stream = testStream();
  gateway = testGateway({ 'GET /api/servers/s/metrics': () => stored() });
});

afterEach(() => {
  samples.close();
  gateway.restore();
});

it('are those that the gateway keeps, and those since', async () => {
  await load('15m', [{ at_ms: START }, { at_ms: START + 1_000 }]);
  send('s', START + 1_000, 1);
  send('other', START + 1_500, 1);
  send('s', START + 2_000, 1);
  expect(times()).toEqual([0, 1_000, 2_000]);
  send('s', START + 15 * MINUTE + 500, 1);
  expect(times()).toEqual([1_000, 2_000, 15 * MINUTE + 500]);
});

it('of a day are minutes, of which the last is as it was measured last', async () => {
  await load('24h', [{ at_ms: START - MINUTE }, { at_ms: START, waiting: 5 }]);
  send('s', START + 30_000, 1);
  send('s', START + 31_000, 2);
  expect(times()).toEqual([-MINUTE, 0]);
  expect(samples.list.at(-1)?.waiting).toBe(2);
  send('s', START + MINUTE + 1, 3);
  expect(times()).toEqual([-MINUTE, 0, MINUTE]);
  send('s', START + 24 * 60 * MINUTE, 4);
  expect(times()).toEqual([MINUTE, 24 * 60 * MINUTE]);
});

it('that cannot be read are a problem, and are read again', async () => {
  await load('15m', []);
  samples.close();
  samples = new ServerSamples('s', '15m', stream.events);
  stored = () => rejection(404, 'server_not_found');
  await samples.load();
  expect([samples.status, samples.problem?.code]).toEqual(['error', 'server_not_found']);
  stored = () => ({ server: 's', range: '15m', samples: [{ at_ms: START }] });
  await samples.reload();
  expect([samples.status, times()]).toEqual(['ready', [0]]);
});
