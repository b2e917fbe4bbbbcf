import { describe, expect, it } from 'vitest';
import type { LogLine } from './buffer';
import { EVERYTHING } from './filter';
import { SearchServer, type SearchRequest, type SearchResponse } from './protocol';
import { LogView, overlap } from './view.svelte';

let keys = 0;

function line(message: string): LogLine {
  keys += 1;
  return { key: keys, source: 'gateway', at_ms: keys, level: 'info', message, gap: false };
}

/** A view whose worker responds when it is asked to. */
function viewed() {
  const server = new SearchServer();
  const requests: SearchRequest[] = [];
  let receive: (response: SearchResponse) => void = () => undefined;
  const view = new LogView((receiver) => {
    receive = receiver;
    return { send: (request) => void requests.push(request), close: () => undefined };
  });
  const respond = () => {
    for (const request of requests.splice(0)) {
      const response = server.handle(request);
      if (response !== null) receive(response);
    }
  };
  const shown = () => view.lines.map(({ message }) => message);
  return { view, respond, shown };
}

describe('LogView', () => {
  const [a, b, c, d] = ['memory a', 'b', 'memory c', 'memory d'].map(line);
  const memory = { ...EVERYTHING, search: 'memory' };
  const lines = (...all: (LogLine | undefined)[]) => all.filter((one) => one !== undefined);

  it('shows all lines at once without a filter', () => {
    const { view, shown } = viewed();
    view.update(lines(a, b));
    expect(shown()).toEqual(['memory a', 'b']);
  });

  it('shows the lines of the filter before until the search has ended', () => {
    const { view, respond, shown } = viewed();
    view.update(lines(a, b, c));
    view.filter(memory);
    expect(view.isSearching).toBe(true);
    expect(shown()).toHaveLength(3);
    respond();
    expect(view.isSearching).toBe(false);
    expect(shown()).toEqual(['memory a', 'memory c']);
    view.filter(EVERYTHING);
    expect(shown()).toHaveLength(3);
  });

  it('adds lines that match, and drops the oldest', () => {
    const { view, respond, shown } = viewed();
    view.update(lines(a, b));
    view.filter(memory);
    view.update(lines(a, b, c));
    respond();
    expect(shown()).toEqual(['memory a', 'memory c']);
    view.update(lines(b, c, d));
    respond();
    expect(shown()).toEqual(['memory c', 'memory d']);
  });

  it('searches again when lines were put between others', () => {
    const { view, respond, shown } = viewed();
    view.update(lines(a, d));
    view.filter(memory);
    respond();
    view.update(lines(a, c, d));
    respond();
    expect(shown()).toEqual(['memory a', 'memory c', 'memory d']);
    view.update([]);
    respond();
    expect(shown()).toEqual([]);
  });

  it('drops results of an earlier filter', () => {
    const { view, respond, shown } = viewed();
    view.update(lines(a, b));
    view.filter(memory);
    view.filter(EVERYTHING);
    respond();
    expect(shown()).toEqual(['memory a', 'b']);
  });
});

it('an overlap has lines removed at its start and added at its end', () => {
  expect(overlap([1, 2, 3], [2, 3, 4, 5])).toEqual({ dropped: 1, added: 2 });
  expect(overlap([1, 2], [1, 2])).toEqual({ dropped: 0, added: 0 });
  expect(overlap([1, 3], [1, 2, 3])).toBeNull();
  expect(overlap([1, 2], [3])).toBeNull();
  expect(overlap([], [1])).toBeNull();
  expect(overlap([1], [])).toBeNull();
});
