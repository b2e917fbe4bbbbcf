// Arguments of a tool as a tree. No Svelte inside.

export interface TreeNode {
  /** Its name in an object, or its index. */
  name: string;
  /** A value without children, as text. */
  text: string | null;
  children: TreeNode[];
}

/** What is nested deeper is shown as JSON. */
const MAX_DEPTH = 8;
const MAX_CHILDREN = 200;

/** The arguments of a call; null while they are written, and for what is not JSON. */
export function argumentTree(json: string): TreeNode[] | null {
  try {
    const value: unknown = JSON.parse(json === '' ? '{}' : json);
    return childrenOf(value, 0) ?? [{ name: '', text: textOf(value), children: [] }];
  } catch {
    return null;
  }
}

/** The beginning of the arguments, for a line. */
export function summary(tree: readonly TreeNode[] | null, json: string): string {
  const values = tree?.map(({ text }) => text).filter((text) => text !== null) ?? [json];
  return values.join('  ').replace(/\s+/g, ' ').slice(0, 120);
}

function childrenOf(value: unknown, depth: number): TreeNode[] | null {
  if (typeof value !== 'object' || value === null || depth >= MAX_DEPTH) return null;
  const entries = Object.entries(value);
  const nodes = entries.slice(0, MAX_CHILDREN).map(([name, child]): TreeNode => {
    const children = childrenOf(child, depth + 1);
    return { name, text: children === null || children.length === 0 ? textOf(child) : null, children: children ?? [] };
  });
  const left = entries.length - nodes.length;
  return left > 0 ? [...nodes, { name: '…', text: `${left} more`, children: [] }] : nodes;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
