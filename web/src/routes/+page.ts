import { redirect } from '@sveltejs/kit';
import { models } from '$lib/models/store.svelte';

/** Without a model, the first run; else a new chat. */
export async function load(): Promise<never> {
  await models.load();
  const isFirstRun = models.status === 'ready' && models.list.length === 0;
  redirect(307, isFirstRun ? '/welcome' : '/chat');
}
