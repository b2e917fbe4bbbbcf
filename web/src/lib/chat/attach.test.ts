import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { rejection, testGateway } from '$lib/events/testing';

import { MOST_BYTES } from './attach-words';
import { Attachments } from './attach.svelte';
import { filesOf } from './stored-files';

/** As browsers have it: Node does not. */
class Reader {
  result = '';
  onload: (() => void) | null = null;

  readAsDataURL(content: Blob): void {
    void content.text().then((text) => {
      this.result = `data:text/plain;base64,${btoa(text)}`;
      this.onload?.();
    });
  }
}

let gateway: ReturnType<typeof testGateway>;
let routes: Record<string, (body: unknown) => unknown>;
let attachments: Attachments;

const names = (): string[] => attachments.files.map(({ name }) => name);
const text = (name: string, content = 'text'): File => new File([content], name);
/** A file whose content does not come before it is asked to. */
function slow(name: string): { file: File; read: () => void } {
  const file = text(name);
  let read = (): void => undefined;
  const content = new Promise<ArrayBuffer>((resolve) => (read = () => resolve(new ArrayBuffer(0))));
  vi.spyOn(file, 'slice').mockReturnValue({ arrayBuffer: () => content } as unknown as Blob);
  return { file, read: () => read() };
}

beforeEach(() => {
  vi.stubGlobal('FileReader', Reader);
  routes = {
    'POST /api/attachments': (body) => {
      const { name, data } = body as { name: string; data: string };
      const common = { media_type: 'text/plain', kind: 'text', created_at_ms: 1 };
      return { ...common, hash: `hash-${name}`, name, size_bytes: atob(data).length };
    },
  };
  gateway = testGateway(routes);
  attachments = new Attachments();
});

afterEach(() => {
  gateway.restore();
  vi.unstubAllGlobals();
});

it('a file that is still being read counts as one that is being stored', async () => {
  const { file, read } = slow('a.txt');
  const added = attachments.add([file]);
  expect([attachments.isStoring, names()]).toEqual([true, []]);
  read();
  await added;
  expect([attachments.isStoring, attachments.parts]).toEqual([
    false,
    [{ type: 'attachment', hash: 'hash-a.txt', name: 'a.txt' }],
  ]);
});

it('a file that is read after its draft was left is in no other one', async () => {
  const { file, read } = slow('a.txt');
  const added = attachments.add([file]);
  attachments.replace([]);
  expect(attachments.isStoring).toBe(false);
  read();
  await added;
  expect([names(), attachments.isStoring, gateway.requests]).toEqual([[], false, []]);
});

it('a file that was not stored stays, so that nothing is sent without it', async () => {
  routes['POST /api/attachments'] = () => rejection(507, 'storage_full');
  await attachments.add([text('a.txt')]);
  expect([names(), attachments.hasFailed, attachments.isStoring, attachments.parts]).toEqual([
    ['a.txt'],
    true,
    false,
    [],
  ]);
  attachments.remove(attachments.files[0]?.key ?? 0);
  expect(attachments.hasFailed).toBe(false);
});

it('a folder is declined', async () => {
  const folder = text('src');
  const failure = Promise.reject(new DOMException('It is a directory.', 'NotFoundError'));
  failure.catch(() => undefined);
  vi.spyOn(folder, 'slice').mockReturnValue({ arrayBuffer: () => failure } as unknown as Blob);
  await attachments.add([folder, text('a.txt')]);
  expect(attachments.declined).toEqual(['src cannot be read. Of a folder, attach the files in it.']);
  expect([names(), attachments.isStoring]).toEqual([['a.txt'], false]);
});

it('a file that is too large is not read', async () => {
  const large = text('large.txt');
  Object.defineProperty(large, 'size', { value: MOST_BYTES + 1 });
  await attachments.add([large]);
  expect(attachments.declined[0]).toMatch(/^large\.txt has 21\.0\sMB, and a file can have 21\.0\sMB\./);
  expect([names(), gateway.requests]).toEqual([[], []]);
});

it('files of a draft and of a message come back as they were', async () => {
  await attachments.add([text('a.txt', 'five!')]);
  const { parts, stored } = attachments;
  attachments.replace([]);
  expect(filesOf(parts)).toEqual(stored);
  attachments.restore(filesOf(parts));
  expect([attachments.stored, attachments.characters]).toEqual([
    [{ hash: 'hash-a.txt', name: 'a.txt', kind: 'text', sizeBytes: 5 }],
    5,
  ]);
});
