declare global {
  namespace App {
    /** What a page's `load` throws: the reason, and what to do about it. */
    interface Error {
      message: string;
      advice?: string;
    }
  }
}

export {};
