import { afterEach, describe, expect, it } from 'vitest';

import { rejection, testGateway } from '../events/testing';
import { api } from './client';
import { Problem } from './problem';
import { attempt } from './result';

let gateway: ReturnType<typeof testGateway>;

afterEach(() => gateway.restore());

describe('requests', () => {
  it('encode names in paths, and send JSON', async () => {
    gateway = testGateway({
      'DELETE /api/aliases/claude-*%2Fa%20b': () => new Response(null, { status: 204 }),
      'POST /api/aliases': (body) => body,
    });
    expect(await api.del('/api/aliases/{name}', { params: { path: { name: 'claude-*/a b' } } })).toBeUndefined();
    expect(await api.post('/api/aliases', { body: { name: 'a', target: 'b' } })).toEqual({ name: 'a', target: 'b' });
  });

  it('that fail throw what the gateway says', async () => {
    const fields = [{ field: 'load.context_length', code: 'out_of_range', message: 'is too large' }];
    const body = { type: 't', title: 'Invalid', status: 400, detail: '', code: 'invalid_request', errors: fields };
    const response = Response.json(body, { status: 400, headers: { 'x-request-id': 'r1' } });
    gateway = testGateway({ 'GET /api/pool': () => response });
    const result = await attempt(() => api.get('/api/pool'));
    const problem = result.ok ? null : result.problem;
    expect(problem).toMatchObject({
      status: 400,
      code: 'invalid_request',
      message: 'Invalid',
      requestId: 'r1',
      advice: null,
    });
    expect(problem?.field('load.context_length')).toBe('is too large');
    expect(problem?.field('name')).toBeNull();
    expect(problem?.otherErrors(['load.context_length'])).toEqual([]);
    expect(problem?.otherErrors(['name'])).toEqual(fields);
  });

  it('without a response are unreachable', async () => {
    gateway = testGateway({ 'GET /api/servers': () => new Response('Bad Gateway', { status: 502 }) });
    const results = [await attempt(() => api.get('/api/pool')), await attempt(() => api.get('/api/servers'))];
    for (const result of results) expect(result).toMatchObject({ ok: false, problem: { isUnreachable: true } });
  });

  it('that are aborted say so', async () => {
    gateway = testGateway({});
    const abort = new DOMException('aborted', 'AbortError');
    expect(Problem.from(abort).isAborted).toBe(true);
    expect(Problem.from(new Error('x')).code).toBe('unexpected');
    expect(Problem.from(7).detail).toBe('7');
  });
});

it('reads errors of other programs', () => {
  gateway = testGateway({});
  const response = new Response(null, { status: 500 });
  const problem = (body: unknown): string => Problem.fromResponse(response, body).detail;
  expect(problem({ error: { message: 'busy' } })).toBe('busy');
  for (const body of [null, 'text', [], { error: 'x' }, { error: {} }]) {
    expect(problem(body)).toBe('The gateway responded with status 500.');
  }
  expect(rejection(404, 'x').status).toBe(404);
});
