export { notices, type NoticeItem } from './store.svelte';
