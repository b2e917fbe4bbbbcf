/** What no page may do, whatever a test is about: break its policy, write to the console, or contact another origin. */

import type { BrowserContext } from '@playwright/test';
import { expect } from '@playwright/test';

/** What the browser itself writes about a request that failed, such as to a gateway that was killed. */
const OF_BROWSER = /^Failed to load resource: /;

/** Starts to watch all pages of a context. `check` fails if one of them did something that is not allowed. */
export async function watch(context: BrowserContext): Promise<{ check: () => void }> {
  const problems: string[] = [];
  await context.exposeBinding('reportViolation', (_source, violation: string) => {
    problems.push(`content security policy: ${violation}`);
  });
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      const report = (window as unknown as { reportViolation: (text: string) => void }).reportViolation;
      report(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  context.on('console', (message) => {
    if (!OF_BROWSER.test(message.text())) problems.push(`console: ${message.type()}: ${message.text()}`);
  });
  context.on('weberror', (error) => problems.push(`error: ${error.error().stack ?? error.error().message}`));
  context.on('request', (request) => {
    const url = new URL(request.url());
    const isOwn = url.hostname === '127.0.0.1' || ['data:', 'blob:'].includes(url.protocol);
    if (!isOwn) problems.push(`another origin: ${request.url()}`);
  });
  return { check: () => expect(problems).toEqual([]) };
}
