import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

type Triple = [number, number, number];

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), 'utf8');
}

const css = read('./tokens.css');

/** The OKLCH colors of the rule that begins with `selector`. */
function colorsOf(selector: string): Map<string, Triple> {
  const start = css.indexOf(`${selector} {`);
  const rule = css.slice(start, css.indexOf('}', start));
  const colors = rule.matchAll(/--([\w-]+): oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)/g);
  return new Map([...colors].map(([, name, l, c, h]) => [name ?? '', [Number(l), Number(c), Number(h)]]));
}

/** Red, green and blue of an OKLCH color as linear light, as far as sRGB shows them. */
function linear([lightness, chroma, hue]: Triple): Triple {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const channels: Triple = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return channels.map((channel) => Math.min(1, Math.max(0, channel))) as Triple;
}

/** An OKLCH color for what does not read style sheets. */
function hex(color: Triple): string {
  const digits = linear(color).map((channel) => {
    const encoded = channel <= 0.0031308 ? 12.92 * channel : 1.055 * channel ** (1 / 2.4) - 0.055;
    return Math.round(255 * encoded)
      .toString(16)
      .padStart(2, '0');
  });
  return `#${digits.join('')}`;
}

/** Relative luminance of WCAG of an OKLCH color. */
function luminance(color: Triple): number {
  const [red, green, blue] = linear(color);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: Triple, other: Triple): number {
  const [lighter, darker] = [luminance(one), luminance(other)].sort((x, y) => y - x);
  // With the two decimals that tools show.
  return Math.round((100 * ((lighter ?? 0) + 0.05)) / ((darker ?? 0) + 0.05)) / 100;
}

const backgrounds = ['bg', 'surface', 'sunken'];
const texts = ['ink', 'ink-2', 'ink-3', 'brand', 'ok', 'warn', 'bad', 'info'];
const shapes = ['edge', 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8'];

describe.each([':root', ":root[data-theme='dark']"])('colors of %s', (selector) => {
  const colors = colorsOf(selector);
  const of = (name: string) => colors.get(name) ?? expect.fail(`no color ${name}`);

  it.each(texts)('%s is legible on every background', (name) => {
    for (const background of backgrounds) {
      expect(contrast(of(name), of(background)), `${name} on ${background}`).toBeGreaterThanOrEqual(4.6);
    }
  });

  it.each(shapes)('%s is visible on every background', (name) => {
    for (const background of backgrounds) {
      expect(contrast(of(name), of(background)), `${name} on ${background}`).toBeGreaterThanOrEqual(3.2);
    }
  });

  it('inverted buttons are legible', () => {
    expect(contrast(of('bg'), of('ink'))).toBeGreaterThanOrEqual(4.6);
    expect(contrast(of('bg'), of('bad'))).toBeGreaterThanOrEqual(4.6);
    expect(contrast(of('bg'), of('brand'))).toBeGreaterThanOrEqual(4.6);
  });
});

it('has the background as the color of the browser and of the installed app', () => {
  const [light, dark] = [':root', ":root[data-theme='dark']"].map((selector) => {
    return hex(colorsOf(selector).get('bg') ?? expect.fail('no background'));
  });
  const manifest: unknown = JSON.parse(read('../../../static/manifest.webmanifest'));
  expect(manifest).toMatchObject({ theme_color: light, background_color: light });
  expect(read('../../app.html')).toContain(`<meta name="theme-color" content="${light}" />`);
  for (const script of ['../../../static/theme.js', '../shell/theme.svelte.ts']) {
    expect(read(script), script).toContain(`'${dark}' : '${light}'`);
  }
});

it('has every color in both themes', () => {
  expect([...colorsOf(":root[data-theme='dark']").keys()]).toEqual([...colorsOf(':root').keys()]);
});
