// The search of the hub for a state of the list. Other filters are applied to its results.

import { hubSorts, type Browse, type HubSort } from './browse';

export interface HubQuery {
  query?: string;
  sort: HubSort;
  max_size_bytes?: number;
  limit: number;
}

const PAGE = 30;

export function hubQuery(browse: Browse, largestBytes: number | null): HubQuery {
  const text = browse.query.trim();
  const query: HubQuery = { sort: hubSorts.find((sort) => sort === browse.sort) ?? 'downloads', limit: PAGE };
  if (text !== '') query.query = text;
  if (browse.fits && largestBytes !== null) query.max_size_bytes = largestBytes;
  return query;
}
