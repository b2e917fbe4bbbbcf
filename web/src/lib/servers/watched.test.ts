import { describe, expect, it } from 'vitest';
import { server } from './testing';
import { Watched } from './watched';

describe('Watched', () => {
  const first = server({ id: 'first', name: 'a', started_at_ms: 1 });
  const second = server({ id: 'second', name: 'a', started_at_ms: 2 });
  const other = server({ id: 'other', name: 'b', started_at_ms: 3 });

  function watched() {
    const watched = new Watched();
    watched.see(first);
    return watched;
  }

  it('follows a model to its next server', () => {
    expect(watched().successor('first', [other, second])?.id).toBe('second');
    expect(watched().successor('first', [other])).toBeUndefined();
    expect(watched().successor('unknown', [second])).toBeUndefined();
  });

  it('does not follow to a server that is older', () => {
    const later = new Watched();
    later.see(second);
    expect(later.successor('second', [first])).toBeUndefined();
  });

  it('knows the servers before', () => {
    const both = watched();
    both.see(second);
    expect(both.earlier(second)).toEqual(['first']);
    expect(both.earlier(other)).toEqual([]);
    expect(both.nameOf('first')).toBe('a');
    expect(both.nameOf('unknown')).toBeUndefined();
  });
});
