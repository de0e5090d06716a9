/** The finished runs that the csv files in docs/studies hold. */
import type { StudyRun } from "../../studies/records.ts";
import { textOf } from "./commands.ts";

/** Reads the finished runs from a csv file (RFC 4180). The columns before `seed` are the axes, those between `state` and
 * `steps` the measures. */
export function finishedRuns(path: string): StudyRun[] {
  const [head, ...rows] = cellsOf(textOf(path));
  const seed = head.indexOf("seed"), steps = head.indexOf("steps");
  const pick = (row: readonly string[], from: number, to: number) =>
    head.slice(from, to).map((name, at) => [name, row[from + at]] as const);
  return rows.map((row) => {
    const cell = Object.fromEntries(pick(row, 0, head.length));
    const numbers = pick(row, seed + 2, steps).filter(([, text]) => text !== "");
    return {
      point: Object.fromEntries(pick(row, 0, seed)),
      seed: Number(cell.seed),
      hash: cell.run,
      folder: "",
      state: cell.state as StudyRun["state"],
      failure: null,
      steps: Number(cell.steps),
      device: cell.device,
      protocol: cell.protocol,
      measured: Object.fromEntries(numbers.map(([name, text]) => [name, Number(text)])),
    };
  }).filter(({ state }) => state === "finished");
}

function cellsOf(text: string): string[][] {
  const quoted = /"((?:[^"]|"")*)"|([^",\r\n]*)/.source;
  const cell = new RegExp(`(?:${quoted})(,|\\r\\n|$)`, "g");
  const rows: string[][] = [[]];
  for (const [, inQuotes, plain, end] of text.matchAll(cell)) {
    rows.at(-1)!.push(inQuotes?.replaceAll('""', '"') ?? plain);
    if (end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.length > 1);
}
