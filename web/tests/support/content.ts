/** What pages show: with it, each of them has something, and there are pages about a single thing. */

import { starterModel } from './environment';
import { ENDLESS, SECOND, STARTER, type Gateway } from './gateway';
import type { Hub } from './hub';
import { PAGES, type PageUnderTest } from './pages';

/** Something on every page: two models, one of them running, profiles with a conflict of ports, requests, and results of the hub. */
export async function fill(gateway: Gateway, hub: Hub): Promise<void> {
  await hub.add({
    id: 'mlx-community/Qwen3-0.6B-4bit',
    directory: starterModel(),
    downloads: 125_000,
    weights: 150_000_000,
  });
  await hub.add({
    id: 'mlx-community/A-model-with-a-very-long-name-that-does-not-fit-into-narrow-columns-4bit',
    weights: 8e9,
    downloads: 3,
  });
  await hub.add({
    id: 'mlx-community/Qwen3-VL-4B-Instruct-4bit',
    weights: 2e9,
    downloads: 4200,
    tags: ['mlx', 'vision'],
  });
  await hub.add({ id: 'org/Gated-8bit', weights: 4e9, downloads: 900, gated: true });
  await gateway.load(STARTER);
  await gateway.generate(STARTER);
  await gateway.request('POST', '/api/profiles', { name: 'Coder', model: STARTER, description: 'For code' });
  await gateway.request('POST', '/api/profiles', { name: 'Writer', model: SECOND, load: { context_length: 2048 } });
  await gateway.chat(STARTER, 'What is a list?\n\n- one\n- two', { ...ENDLESS, max_tokens: 60 });
  await gateway
    .request('POST', '/v1/chat/completions', { model: 'no-such-model', messages: [] })
    .catch(() => undefined);
}

/** All pages, after `fill`: also those of a server, a model and a profile. */
export async function allPages(gateway: Gateway): Promise<PageUnderTest[]> {
  const [server] = await gateway.servers();
  const { chats } = await gateway.get<{ chats: { chat: { id: string } }[] }>('/api/chats');
  const { profiles } = await gateway.get<{ profiles: { id: string }[] }>('/api/profiles');
  return [
    ...PAGES,
    { name: 'chat', path: `/chat/${chats[0]?.chat.id}`, heading: /\S/ },
    { name: 'chat-request', path: `/chat/${chats[0]?.chat.id}?panel=request`, heading: /\S/ },
    { name: 'chat-metrics', path: `/chat/${chats[0]?.chat.id}?panel=metrics`, heading: /\S/ },
    { name: 'server', path: `/servers/${server?.id}`, heading: /\S/ },
    { name: 'model', path: `/models/${STARTER}`, heading: /SmolLM2/ },
    { name: 'profile', path: `/profiles/${profiles[0]?.id}`, heading: /\S/ },
  ];
}
