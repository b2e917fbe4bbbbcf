/** Numbers, sizes and times as text. */
export * from './numbers';
export * from './time';
export { clock } from './clock.svelte';
