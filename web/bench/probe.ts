/** Runs in the page and takes times there, so that messages between a measurement and the browser are no part of them. */

import type { BrowserContext } from '@playwright/test';

export interface Probe {
  /** The longest task since the last call, in milliseconds; 0 if none took more than 50. */
  longestTask: () => Promise<number>;
  /** Scrolls the log from its start to its end by some pixels per frame. Returns the times between frames. */
  scroll: (pixels: number) => Promise<number[]>;
  /** Notes in `found` when a line of the log is painted in which this text is marked. */
  watchSearch: (text: string) => void;
  /** Time from the last key to the painted result; null if the search began before that key. */
  found: Promise<number | null>;
  /** Notes in `shown` when the page has this text. */
  watchText: (text: string) => void;
  /** UTC milliseconds. */
  shown: Promise<number>;
  /** Notes in `opened` when the page has painted as many messages of a chat. */
  watchMessages: (count: number) => void;
  /** Time from the last click to the painted messages. */
  opened: Promise<number>;
  /** Of each key since the last call: the time until its effects are in the layout, and until they are painted. */
  takeKeys: () => Promise<KeyTimes>;
}

export interface KeyTimes {
  layout: number[];
  paint: number[];
}

declare global {
  interface Window {
    probe: Probe;
  }
}

/** Adds `window.probe` to the pages of a context that are opened from now on. */
export async function addProbe(context: BrowserContext): Promise<void> {
  await context.addInitScript(install);
}

/** Complete in itself: its text is sent to the page. */
function install(): void {
  /** A search field waits for so long after the last key. */
  const SEARCH_DELAY_MS = 150;

  const afterTask = (then: () => void): void => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      then();
    };
    port2.postMessage(null);
  };
  const afterPaint = (then: () => void): void => {
    requestAnimationFrame(() => afterTask(then));
  };
  const onChange = (observed: (stop: () => void) => void): void => {
    const observer = new MutationObserver(() => observed(() => observer.disconnect()));
    observer.observe(document.body, { subtree: true, childList: true, characterData: true });
  };

  let longest = 0;
  const note = (entries: PerformanceEntryList): void => {
    for (const { duration } of entries) longest = Math.max(longest, duration);
  };
  const tasks = new PerformanceObserver((list) => note(list.getEntries()));
  tasks.observe({ type: 'longtask' });

  let lastClick = 0;
  window.addEventListener('click', (event) => (lastClick = event.timeStamp), { capture: true });
  let lastKey = 0;
  let lastInput = 0;
  let isLate = false;
  let keys: KeyTimes = { layout: [], paint: [] };
  const pressed = (event: KeyboardEvent): void => {
    lastKey = event.timeStamp;
    isLate = event.key === 'Enter' && lastKey - lastInput >= SEARCH_DELAY_MS;
  };
  window.addEventListener('keydown', pressed, { capture: true });
  window.addEventListener('input', (event) => {
    const start = lastKey;
    lastInput = event.timeStamp;
    // The handlers of the page have run, and what they change is in the document: the browser runs microtasks after each of them.
    // Computes style and layout, which the next frame then need not do.
    document.body.getBoundingClientRect();
    const { layout, paint } = keys;
    layout.push(performance.now() - start);
    afterPaint(() => paint.push(performance.now() - start));
  });

  window.probe = {
    found: Promise.resolve(null),
    shown: Promise.resolve(0),
    opened: Promise.resolve(0),

    async longestTask() {
      await new Promise<void>((resolve) => afterPaint(() => resolve()));
      note(tasks.takeRecords());
      const found = longest;
      longest = 0;
      return found;
    },

    scroll(pixels) {
      const list = document.querySelector('[role="log"]');
      if (list === null) throw new Error('the page shows no log');
      const times: number[] = [];
      return new Promise((resolve) => {
        let last: number | null = null;
        const frame = (now: number): void => {
          // Browsers give times of frames in tenths of a millisecond.
          if (last !== null) times.push(Math.round((now - last) * 10) / 10);
          last = now;
          if (list.scrollTop + list.clientHeight >= list.scrollHeight - 1) {
            resolve(times);
            return;
          }
          list.scrollTop += pixels;
          requestAnimationFrame(frame);
        };
        list.scrollTop = 0;
        afterPaint(() => requestAnimationFrame(frame));
      });
    },

    watchSearch(text) {
      const from = performance.now();
      window.probe.found = new Promise((resolve) => {
        onChange((stop) => {
          if (document.querySelector('[role="log"] mark')?.textContent !== text) return;
          stop();
          const [start, isBefore] = [lastKey, lastKey < from || isLate];
          afterPaint(() => resolve(isBefore ? null : performance.now() - start));
        });
      });
    },

    watchText(text) {
      window.probe.shown = new Promise((resolve) => {
        onChange((stop) => {
          if (!document.body.textContent?.includes(text)) return;
          stop();
          resolve(performance.timeOrigin + performance.now());
        });
      });
    },

    watchMessages(count) {
      window.probe.opened = new Promise((resolve) => {
        onChange((stop) => {
          if (document.querySelectorAll('[data-message]').length < count) return;
          stop();
          const start = lastClick;
          afterPaint(() => resolve(performance.now() - start));
        });
      });
    },

    async takeKeys() {
      await new Promise<void>((resolve) => afterPaint(() => resolve()));
      const taken = keys;
      keys = { layout: [], paint: [] };
      return taken;
    },
  };
}
