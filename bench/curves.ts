/** Compares runs with the reference implementation's curves, in Markdown tables.
 *
 *     deno run -A bench/curves.ts CURVES.json NAME RUN RUN … [NAME RUN RUN …]
 *
 * NAME is a curve in CURVES.json. The RUNs after it are folders of runs with the same settings and different seeds.
 */
import { RunFolder } from "../training/run_folder.ts";

/** The test results after an epoch. */
interface Point {
  readonly mse: number;
  readonly usage: number;
  readonly perplexity: number;
}

/** The results of the reference implementation. */
interface ReferencePoint {
  readonly testMse: number;
  readonly usage: number;
  readonly perplexity: number;
}

interface Run {
  readonly seed: number;
  readonly points: readonly Point[];
}

async function readRun(path: string): Promise<Run> {
  const { seed } = await new RunFolder(path).readConfig() as { readonly seed: number };
  const lines = (await Deno.readTextFile(`${path}/metrics.jsonl`)).trim().split("\n");
  const records = lines.map((line) => JSON.parse(line));
  return { seed, points: records.filter(({ kind }) => kind === "epoch").map(({ test }) => test) };
}

const show = ({ mse, usage, perplexity }: Point): string =>
  `${mse.toFixed(4)} / ${(100 * usage).toFixed(1)} % / ${perplexity.toFixed(1)}`;

const [curvesPath, ...rest] = Deno.args;
const curves: Readonly<Record<string, readonly ReferencePoint[]>> = JSON.parse(
  await Deno.readTextFile(curvesPath),
);

const groups = new Map<string, string[]>();
for (const argument of rest) {
  if (argument in curves) groups.set(argument, []);
  else [...groups.values()].at(-1)?.push(argument);
}

for (const [name, paths] of groups) {
  const runs = await Promise.all(paths.map(readRun));
  console.log(`### ${name}\n`);
  const heads = ["epoch", "reference, seed 42", ...runs.map(({ seed }) => `ours, seed ${seed}`)];
  console.log(`| ${heads.join(" | ")} |`);
  console.log(`|${heads.map(() => "---|").join("")}`);
  curves[name].forEach(({ testMse, usage, perplexity }, epoch) => {
    const cells = [{ mse: testMse, usage, perplexity }, ...runs.map(({ points }) => points[epoch])];
    console.log(`| ${[epoch + 1, ...cells.map(show)].join(" | ")} |`);
  });
  console.log();
}
