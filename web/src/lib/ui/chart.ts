/** Geometry of charts: pure functions, in the units of their view box. */

export interface Point {
  x: number;
  y: number;
}

/** The least "round" number (1, 2, 2.5 or 5 times a power of ten) that is not less than `value`. */
export function niceMaximum(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 2.5, 5, 10].find((each) => each * power >= value * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** The largest number of all series; 0 without one. */
export function largest(series: readonly (readonly (number | null)[])[]): number {
  let maximum = 0;
  for (const points of series) {
    for (const point of points) if (point !== null && point > maximum) maximum = point;
  }
  return maximum;
}

/** The path of a line, with a gap for each null. */
export function linePath(points: readonly (Point | null)[]): string {
  let path = '';
  let pen = false;
  for (const point of points) {
    if (point === null) {
      pen = false;
      continue;
    }
    path += `${pen ? 'L' : 'M'}${round(point.x)} ${round(point.y)}`;
    pen = true;
  }
  return path;
}

/** The area between a line and `base`: one closed shape for each part without a gap. */
export function areaPath(points: readonly (Point | null)[], base: number): string {
  let path = '';
  let run: Point[] = [];
  const close = () => {
    const first = run[0];
    const last = run.at(-1);
    if (first && last && run.length > 1) {
      path += `${linePath(run)}L${round(last.x)} ${round(base)}L${round(first.x)} ${round(base)}Z`;
    }
    run = [];
  };
  for (const point of points) {
    if (point === null) close();
    else run.push(point);
  }
  close();
  return path;
}

/** Places a series: times from `from` to `to` on `width`, numbers from 0 to `maximum` on `height`, upwards. */
export function place(
  times: readonly number[],
  points: readonly (number | null)[],
  box: { from: number; to: number; maximum: number; width: number; height: number },
): (Point | null)[] {
  const span = Math.max(1, box.to - box.from);
  return times.map((time, index) => {
    const value = points[index];
    if (value === null || value === undefined) return null;
    const y = box.height - (Math.min(value, box.maximum) / box.maximum) * box.height;
    return { x: ((time - box.from) / span) * box.width, y };
  });
}

/** The index of the time that is nearest to `time`; -1 without times. `times` ascend. */
export function nearest(times: readonly number[], time: number): number {
  if (times.length === 0) return -1;
  let low = 0;
  let high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= time) low = middle;
    else high = middle;
  }
  return Math.abs((times[low] ?? 0) - time) <= Math.abs((times[high] ?? 0) - time) ? low : high;
}

const STEPS_MS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400].map(
  (seconds) => seconds * 1000,
);

/** Times of labels: at most `count`, at round times of the local clock. */
export function timeTicks(from: number, to: number, count: number): number[] {
  const span = to - from;
  if (!(span > 0)) return [];
  const step = STEPS_MS.find((each) => span / each <= count) ?? 86_400_000;
  const offset = new Date(from).getTimezoneOffset() * 60_000;
  const ticks: number[] = [];
  for (let time = Math.ceil((from - offset) / step) * step + offset; time <= to; time += step) ticks.push(time);
  return ticks;
}

/** The table that stands for a chart: at most `count` rows, evenly spread, the last one included. */
export function sampled(length: number, count: number): number[] {
  if (length <= count) return Array.from({ length }, (_, index) => index);
  return Array.from({ length: count }, (_, index) => Math.round((index * (length - 1)) / (count - 1)));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
