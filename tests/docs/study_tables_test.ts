/** The tables of docs/quantizers.md show what the csv files beside them hold. */
import assert from "node:assert/strict";
import { bestRow, showDifference } from "../../studies/differences.ts";
import type { Measure } from "../../studies/measures.ts";
import { spreadOf, type StudyRow } from "../../studies/rows.ts";
import { textOf } from "./commands.ts";
import { finishedRuns } from "./study_records.ts";

const PAGE = "docs/quantizers.md";

/** A table of the page, and the runs it shows. */
interface DocumentedTable {
  /** The heading above it, and the first columns, which name its rows. */
  readonly heading: string;
  readonly axes: readonly string[];
  /** The files of its runs. */
  readonly files: readonly string[];
  /** The files of the runs that measured the seconds per step, if they are others. */
  readonly costs?: readonly string[];
  /** The measures of its columns; other columns are the difference from the best and the seeds. */
  readonly columns: Readonly<Record<string, Measure>>;
  /** What the files call a row that the page names otherwise. */
  readonly names?: Readonly<Record<string, string>>;
  /** Whether the difference from the best is within the group of the first column. */
  readonly grouped?: boolean;
}

const QUALITY = { "usage, %": "usage", perplexity: "perplexity", "test mse": "mse" } as const;

const COST = "seconds per step";

const TABLES: readonly DocumentedTable[] = [
  {
    heading: "Best settings",
    axes: ["codebook"],
    files: ["docs/studies/codebooks-full.csv"],
    costs: ["docs/studies/codebooks-speed.csv"],
    columns: { ...QUALITY, SSIM: "ssim", FID: "fid", [COST]: "secondsPerStep" },
  },
  {
    heading: "In colour",
    axes: ["codebook"],
    files: ["docs/studies/codebooks-colour.csv"],
    columns: { ...QUALITY, "PSNR, dB": "psnr", SSIM: "ssim", "FID in learnt features": "fid" },
  },
  {
    heading: "In colour",
    axes: ["K", "codebook"],
    files: ["docs/studies/full-width-emoji.csv"],
    columns: { ...QUALITY, [COST]: "secondsPerStep" },
  },
  {
    heading: "Few features per code",
    axes: ["K", "rule"],
    files: ["docs/studies/small-batches.csv"],
    columns: QUALITY,
    names: {
      "replaceBelow 1": "replaced below 1",
      "replaceBelow 0.05": "replaced below 0.05",
      "clustered, closest anchors": "clustered",
      "clustered, anchors by error": "clustered, by error",
    },
    grouped: true,
  },
];

for (const table of TABLES) {
  Deno.test(`the table under "${table.heading}" shows the means of ${table.files.join(", ")}`, () => {
    const [head, , ...lines] = tableUnder(table.heading, table.axes);
    const rows = rowsOf(table.files), costs = rowsOf(table.costs ?? table.files);
    const keys = lines.map((line) => keyOf(table, line));
    assert.deepEqual(keys.toSorted(), rows.map(({ name }) => name).toSorted());
    for (const [index, line] of lines.entries()) {
      const row = rows.find(({ name }) => name === keys[index])!;
      const rivals = table.grouped ? rows.filter((other) => groupOf(other) === groupOf(row)) : rows;
      for (const [at, title] of head.entries()) {
        const source = title === COST ? costs.find(({ name }) => name === row.name)! : row;
        const expected = expectedCell(table, source, rivals, title, line[at]);
        if (expected !== undefined) {
          assert.equal(plain(line[at]), expected, `${row.name}, ${title}`);
        }
      }
    }
  });
}

/** What a cell must show; undefined if the files do not say. */
function expectedCell(
  { columns }: DocumentedTable,
  row: StudyRow,
  rivals: readonly StudyRow[],
  title: string,
  cell: string,
): string | undefined {
  if (title === "seeds") return `${row.runs.length}`;
  if (title === "its difference from the best") {
    return showDifference(row, bestRow(rivals, "mse")!, "mse");
  }
  return columns[title] && spread(row, columns[title], plain(cell));
}

/** A cell without thousands separators, emphasis and units; a star after a number stays. */
const plain = (cell: string) => cell.replaceAll(/,|\\|\*\*| of 24/g, "");

const groupOf = ({ point }: StudyRow) => Object.values(point)[0];

/** The cells of the first table under a heading that begins with these columns. */
function tableUnder(heading: string, axes: readonly string[]): string[][] {
  const [, after] = textOf(PAGE).split(new RegExp(`^#+ ${heading}$`, "m"));
  const [first] = after.matchAll(
    new RegExp(`^\\| *${axes.join(" *\\| ")} *\\|(.*\\n\\|)*.*`, "gm"),
  );
  return first[0].split("\n").map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
}

function keyOf({ axes, names = {} }: DocumentedTable, line: readonly string[]): string {
  return axes.map((_, at) => {
    const name = line[at].replaceAll("`", "").replace(/[:,] the default$/, "");
    return names[name] ?? (at === 0 && axes.length > 1 ? name.replace(",", "") : name);
  }).join(" | ");
}

/** One row per combination, named by its values. */
function rowsOf(files: readonly string[]): StudyRow[] {
  const nameOf = ({ point }: StudyRow["runs"][number]) => Object.values(point).join(" | ");
  return [...Map.groupBy(files.flatMap(finishedRuns), nameOf)].map(([name, runs]) => ({
    point: runs[0].point,
    ...{ name, label: name, runs },
  }));
}

/** A mean and a deviation with as many decimals as the page shows. */
function spread(row: StudyRow, measure: Measure, like: string): string {
  const decimals = like.split(" ")[0].split(".")[1]?.length ?? 0;
  const { mean, deviation } = spreadOf(row, measure)!;
  const shown = mean.toFixed(decimals);
  return deviation === null ? shown : `${shown} ± ${deviation.toFixed(decimals)}`;
}
