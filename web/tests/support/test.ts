/** The `test` of all specs: each has a hub and a running gateway of its own, and a page that is watched. */

import { test as base } from '@playwright/test';
import { Gateway } from './gateway';
import { watch } from './guard';
import { Hub } from './hub';
import { addReciter } from './reciter';

interface Options {
  /** Names under which the starter model is on the machine from the beginning. */
  models: string[];
  /** Whether the model that recites texts is on the machine from the beginning. */
  reciter: boolean;
  /** Environment variables of the gateway, which are settings. */
  settings: Record<string, string>;
}

interface Fixtures {
  hub: Hub;
  gateway: Gateway;
}

export const test = base.extend<Options & Fixtures>({
  models: [[], { option: true }],
  reciter: [false, { option: true }],
  settings: [{}, { option: true }],

  hub: async ({ browserName: _ }, use) => {
    const hub = await Hub.start();
    await use(hub);
    await hub.stop();
  },

  gateway: async ({ hub, models, reciter, settings }, use, info) => {
    const gateway = new Gateway(hub.endpoint, settings);
    for (const name of models) gateway.addStarter(name);
    if (reciter) addReciter(gateway);
    await gateway.start();
    await use(gateway);
    if (info.status !== info.expectedStatus) {
      await info.attach('log of the gateway', { body: gateway.output(), contentType: 'text/plain' });
    }
    await gateway.remove();
  },

  baseURL: async ({ gateway }, use) => {
    await use(gateway.url);
  },

  context: async ({ context }, use) => {
    const guard = await watch(context);
    await use(context);
    guard.check();
  },
});

export { expect } from '@playwright/test';
