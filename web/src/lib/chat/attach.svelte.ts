/** Files of a message that is being written: each is stored by the gateway at once, and the message refers to it by its hash. */
import { api, attempt, type NewPart, type Problem } from '$lib/api';

import { MOST_BYTES, tooLargeText, unreadableText } from './attach-words';
import { declinedText, HEAD_BYTES, kindOf, MAX_IMAGE_SIDE, scaled, type FileKind } from './files';
import { remember, type StoredFile } from './stored-files';

export interface AttachedFile {
  key: number;
  name: string;
  kind: FileKind;
  sizeBytes: number;
  /** Null while it is being stored. */
  hash: string | null;
  problem: Problem | null;
  /** Of an image: its address, which `remove` and `replace` revoke if it is of this page. */
  preview: string | null;
}

export class Attachments {
  files = $state.raw<readonly AttachedFile[]>([]);
  /** What was not attached, and why. */
  declined = $state.raw<readonly string[]>([]);
  /** Whether they are in memory only: of a temporary chat, and as long as it is not known whether the chat is one. */
  isTemporary = true;
  /** Files that are being read, and are in no list yet. */
  #reading = $state(0);
  /** Counts drafts: a file that was being read is not attached to the next one. */
  #epoch = 0;
  #next = 1;

  readonly isStoring = $derived(
    this.#reading > 0 || this.files.some(({ hash, problem }) => hash === null && problem === null),
  );
  readonly hasFailed = $derived(this.files.some(({ problem }) => problem !== null));
  readonly hasImage = $derived(this.files.some(({ kind }) => kind === 'image'));
  /** Of texts, for the estimate of tokens. */
  readonly characters = $derived(
    this.files.reduce((sum, { kind, sizeBytes }) => (kind === 'text' ? sum + sizeBytes : sum), 0),
  );
  /** Those that are stored, for a draft. */
  readonly stored: readonly StoredFile[] = $derived(
    this.files.flatMap(({ hash, name, kind, sizeBytes }) => (hash === null ? [] : [{ hash, name, kind, sizeBytes }])),
  );

  /** The parts of the message. */
  get parts(): NewPart[] {
    return this.stored.map(({ hash, name }) => ({ type: 'attachment', hash, name }));
  }

  async add(files: Iterable<File>): Promise<void> {
    this.declined = [];
    await Promise.all([...files].map((file) => this.#add(file)));
  }

  /** Adds files that the gateway has already. They come first. */
  restore(files: readonly StoredFile[]): void {
    const restored = files.map((file): AttachedFile => {
      const preview = file.kind === 'image' ? `/api/attachments/${file.hash}` : null;
      return { ...file, key: this.#next++, problem: null, preview };
    });
    this.files = [...restored, ...this.files];
  }

  /** The files of another draft, in place of all that are here. */
  replace(files: readonly StoredFile[]): void {
    this.#epoch += 1;
    this.#reading = 0;
    this.#revoke(this.files);
    this.files = [];
    this.declined = [];
    this.restore(files);
  }

  remove(key: number): void {
    this.#revoke(this.files.filter((file) => file.key === key));
    this.files = this.files.filter((file) => file.key !== key);
  }

  /** Removes a file that was sent. */
  forget(hash: string): void {
    for (const file of this.files) if (file.hash === hash) this.remove(file.key);
  }

  async #add(file: File): Promise<void> {
    const epoch = this.#epoch;
    this.#reading += 1;
    const found = await contentOf(file);
    if (epoch !== this.#epoch) return;
    this.#reading -= 1;
    if (typeof found === 'string') {
      this.declined = [...this.declined, found];
      return;
    }
    const { kind, content } = found;
    const added: AttachedFile = {
      key: this.#next++,
      name: file.name,
      kind,
      sizeBytes: content.size,
      hash: null,
      problem: null,
      preview: kind === 'image' ? URL.createObjectURL(content) : null,
    };
    this.files = [...this.files, added];
    const media = kind === 'image' ? { media_type: content.type } : {};
    const result = await attempt(async () => {
      const data = await base64(content);
      const body = { name: file.name, data, is_temporary: this.isTemporary, ...media };
      return api.post('/api/attachments', { body });
    });
    if (result.ok) {
      const { hash, size_bytes: sizeBytes } = result.value;
      remember({ hash, name: file.name, kind, sizeBytes });
      this.#change(added.key, { hash, sizeBytes });
    } else this.#change(added.key, { problem: result.problem });
  }

  #change(key: number, changes: Partial<AttachedFile>): void {
    this.files = this.files.map((file) => (file.key === key ? { ...file, ...changes } : file));
  }

  #revoke(files: readonly AttachedFile[]): void {
    for (const { preview } of files) if (preview?.startsWith('blob:')) URL.revokeObjectURL(preview);
  }
}

/** What is stored of a file, or why nothing is. */
async function contentOf(file: File): Promise<{ kind: FileKind; content: Blob } | string> {
  try {
    const head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
    const kind = kindOf({ name: file.name, type: file.type, head });
    if (kind === null) return declinedText({ name: file.name, type: file.type, head });
    const content = kind === 'image' ? await reduced(file) : file;
    return content.size > MOST_BYTES ? tooLargeText(file.name, content.size) : { kind, content };
  } catch {
    return unreadableText(file.name);
  }
}

/** The file, or a smaller copy of a large image: models see no more of it. */
async function reduced(file: File): Promise<Blob> {
  try {
    const image = await createImageBitmap(file);
    const { width, height } = scaled(image.width, image.height);
    if (Math.max(image.width, image.height) <= MAX_IMAGE_SIDE) return file;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext('2d')?.drawImage(image, 0, 0, width, height);
    return await canvas.convertToBlob({ type: file.type === 'image/jpeg' ? 'image/jpeg' : 'image/png' });
  } catch {
    // The gateway says what is wrong with it.
    return file;
  }
}

function base64(content: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(reader.error ?? new Error('the file cannot be read'));
    reader.readAsDataURL(content);
  });
}
