import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { parseEventId, SseParser, type Frame } from './sse';

function parse(...pieces: string[]): Frame[] {
  const parser = new SseParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

describe('SseParser', () => {
  it('reads the frames that the gateway sends', () => {
    const text = 'id: 0a-7\n\n: keepalive\n\nid: 0a-8\ndata: {"a":1}\n\ndata: {"b":2}\n\n';
    expect(parse(text)).toEqual([
      { id: '0a-7', data: null },
      { id: '0a-8', data: '{"a":1}' },
      { id: null, data: '{"b":2}' },
    ]);
  });

  it('reads everything that the standard allows', () => {
    expect(parse('data:a\ndata\ndata:  b\r\n\r\n')).toEqual([{ id: null, data: 'a\n\n b' }]);
    expect(parse('event: x\nretry: 5\nother\n\n')).toEqual([]);
    expect(parse('data: unfinished')).toEqual([]);
  });

  it('does not depend on how the stream is cut', () => {
    const lines = fc.constantFrom('id: 1-2', 'data: x', 'data:', ': comment', '', 'data: a:b');
    const breaks = fc.constantFrom('\n', '\r\n', '\r');
    const streams = fc.array(fc.tuple(lines, breaks)).map((parts) => parts.flat().join(''));
    fc.assert(
      fc.property(streams, fc.array(fc.nat(200)), (text, cuts) => {
        const positions = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
        const pieces = [0, ...positions].map((start, index) => text.slice(start, positions[index] ?? text.length));
        // The end of a line that ends with CR is known at once.
        expect(parse(...pieces)).toEqual(parse(text));
      }),
    );
  });
});

describe('parseEventId', () => {
  it('reads ids of the gateway and nothing else', () => {
    expect(parseEventId('00ff-12')).toEqual({ epoch: '00ff', number: 12 });
    for (const text of ['', '-', '1', 'x-1', '1-x', '1--1', '1-1-1']) expect(parseEventId(text)).toBeNull();
  });
});
