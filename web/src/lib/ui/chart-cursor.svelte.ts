/** The time under the pointer, which all charts of a page share. */
class ChartCursor {
  time = $state<number | null>(null);
}

export const chartCursor = new ChartCursor();
