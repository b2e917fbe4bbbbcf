import { existsSync } from 'node:fs';

/**
 * The browser of the tests: `MLXM_CHROMIUM`, else the one of the system, else the one that Playwright has installed.
 * @returns {string | undefined}
 */
export function chromium() {
  return (
    process.env.MLXM_CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path))
  );
}

/**
 * Options to launch it. Containers often run as root, where Chromium's sandbox does not start.
 * @returns {{ executablePath?: string, args: string[] }}
 */
export function launchOptions() {
  const executablePath = chromium();
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return executablePath === undefined ? { args } : { executablePath, args };
}
