import { describe, expect, it } from 'vitest';
import { filterOf, isFiltered, parametersOf } from './ranges';

describe('filters of requests', () => {
  it('are the last 24 hours without parameters', () => {
    const parameters = parametersOf(new URLSearchParams());
    expect(parameters).toEqual({ range: '24h', model: null, endpoint: null, errors: false });
    expect(isFiltered(parameters)).toBe(false);
    expect(filterOf(parameters, 100_000_000)).toEqual({ from_ms: 13_600_000 });
  });

  it('come from the URL', () => {
    const parameters = parametersOf(new URLSearchParams('range=all&model=a%2Fb&endpoint=/v1/messages&errors=1'));
    expect(isFiltered(parameters)).toBe(true);
    expect(filterOf(parameters, 5)).toEqual({ model: 'a/b', endpoint: '/v1/messages', min_status: 400 });
  });

  it('ignore what is unknown', () => {
    const parameters = parametersOf(new URLSearchParams('range=1y&errors=yes&model='));
    expect(parameters).toEqual({ range: '24h', model: null, endpoint: null, errors: false });
  });
});
