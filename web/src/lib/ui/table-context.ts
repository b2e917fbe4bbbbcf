import { createContext } from 'svelte';
import type { Column } from './types';

/** The columns of the table around a cell. */
export const [tableColumns, setTableColumns] = createContext<() => Column[]>();
