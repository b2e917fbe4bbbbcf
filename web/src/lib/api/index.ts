/** The management API: requests, their types and their failures. */
export type * from './types';
export { api } from './client';
export { Problem } from './problem';
export { attempt, mapResult, type Result } from './result';
