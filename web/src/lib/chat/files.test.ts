import fc from 'fast-check';
import { expect, it } from 'vitest';

import { declinedText, kindOf, pastedName, scaled } from './files';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const file = (name: string, type: string, head: Uint8Array = utf8('text')) => ({ name, type, head });

it('reads text of any name and type, and images of known types', () => {
  expect(kindOf(file('a.rs', ''))).toBe('text');
  expect(kindOf(file('a.ts', 'video/mp2t', utf8('const a = 1;\n')))).toBe('text');
  expect(kindOf(file('a.png', 'image/png', new Uint8Array([0x89, 0x50])))).toBe('image');
  expect(kindOf(file('empty.txt', 'text/plain', new Uint8Array()))).toBe('text');
});

it('declines other content, and says what to do', () => {
  const zip = file('a.zip', 'application/zip', new Uint8Array([0x50, 0x4b, 3, 4]));
  expect(kindOf(zip)).toBeNull();
  expect(declinedText(zip)).toContain('neither text nor');
  expect(declinedText(file('a.heic', 'image/heic'))).toContain('PNG');
  expect(declinedText(file('a.pdf', 'application/pdf'))).toContain('PDF');
  expect(declinedText(file('a.mp3', 'audio/mpeg'))).toContain('Only text and images');
});

it('takes text for text wherever its beginning was cut off', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', ' ', 'ä', '日', '🙂', '\n', '\t') }), fc.nat(), (text, pick) => {
      const bytes = utf8(text);
      expect(kindOf(file('a', '', bytes.slice(0, pick % (bytes.length + 1))))).toBe('text');
    }),
  );
});

it('keeps the shape of images, and enlarges none', () => {
  expect(scaled(4_096, 1_024)).toEqual({ width: 2_048, height: 512 });
  expect(scaled(10_000, 1)).toEqual({ width: 2_048, height: 1 });
  expect(scaled(640, 480)).toEqual({ width: 640, height: 480 });
});

it('names what was pasted by its type', () => {
  expect([pastedName('image/jpeg', 1), pastedName('text/plain', 2)]).toEqual(['pasted-1.jpg', 'pasted-2.txt']);
});
