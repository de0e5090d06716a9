/** The comparison as Markdown, and as lines of JSON. */
import os from "node:os";
import { fileURLToPath } from "node:url";
import { surveyDevices } from "../../core/device.ts";
import { writeAtomically } from "../../files/atomic_write.ts";
import { type Finding, type Spread, spreadOf } from "./measures.ts";
import type { PyTorch } from "./pytorch.ts";
import type { Samples } from "./rounds.ts";
import { rateOf } from "./rates.ts";

const ROOT = new URL("../../", import.meta.url);
const SETTINGS = new URL("libraries/deno.json", import.meta.url);

/** The version of a compared package. */
async function versionOf(name: string): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(SETTINGS));
  return imports[name].split("@").at(-1);
}

/** The measured commit; undefined if git does not know it. */
async function commit(): Promise<string | undefined> {
  const git = new Deno.Command("git", { args: ["rev-parse", "--short", "HEAD"], cwd: ROOT });
  const output = await git.output().catch(() => undefined);
  return output?.success ? new TextDecoder().decode(output.stdout).trim() : undefined;
}

/** The machine and the compared libraries, in a sentence. */
export async function describeMachine(pytorches: readonly PyTorch[]): Promise<string> {
  const [processor] = os.cpus();
  const adapter = (await surveyDevices()).find(({ name }) => name === "webgpu")?.adapter?.name;
  return [
    `${processor.model}, ${navigator.hardwareConcurrency} cores, ${
      (os.totalmem() / 2 ** 30).toFixed(0)
    } GiB`,
    `WebGPU adapter ${adapter ?? "none"}`,
    `Deno ${Deno.version.deno}`,
    `Codebook at commit ${await commit() ?? "unknown"}`,
    `jax-js ${await versionOf("@jax-js/jax")}`,
    `TensorFlow.js ${await versionOf("@tensorflow/tfjs-core")}`,
    ...pytorches.map(({ name }) => name),
  ].join("; ");
}

/** Three significant digits. */
const digits = (value: number): string =>
  value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();

const spread = ({ median, least }: Spread): string => `${digits(median)} (${digits(least)})`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return lines.join("\n");
}

function findingRow({ about, ours, peer, of, bound, values, ratio, reached }: Finding): string[] {
  const unit = of === "speed" ? "ms" : "MiB";
  return [
    about,
    `${ours}: ${spread(values.ours)} ${unit}`,
    `${peer}: ${values.peer === undefined ? "no kernel" : `${spread(values.peer)} ${unit}`}`,
    ratio === undefined ? "–" : `${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)})`,
    of === "speed" ? `${bound}` : `at most ${bound}`,
    reached === undefined ? "–" : reached ? "yes" : "no",
  ];
}

/** The targets, a row each: medians over the rounds, with the best in brackets. */
export function ratioTable(findings: readonly Finding[], hugeMiB: number | undefined): string {
  const rows = findings.map(findingRow);
  if (hugeMiB !== undefined) {
    rows.push([
      "nearest codes and features, N = 2²⁰, K = 16,384, D = 64",
      `Codebook cpu: ${digits(hugeMiB)} MiB beyond its inputs`,
      ...["–", "–", "under 1024 MiB", hugeMiB < 1024 ? "yes" : "no"],
    ]);
  }
  return table(["what", "ours", "beside", "ratio", "asked for", "reached"], rows);
}

/** The measurements of all sides, a row for each work. */
export function sampleTable(samples: Samples): string {
  const rows = [...samples].flatMap(([work, sides]) =>
    [...sides].map(([side, ofSide]) => {
      const ms = spreadOf(ofSide, (sample) => sample.ms);
      const memory = spreadOf(ofSide, (sample) => sample.peakMiB)!;
      const { amount, unit } = rateOf(work);
      const rate = ms === undefined ? "no kernel" : `${digits(amount / ms.median)} ${unit}`;
      return [work, side, ms === undefined ? "–" : spread(ms), rate, digits(memory.median)];
    })
  );
  return table(["work", "by", "ms", "rate", "peak memory, MiB"], rows);
}

/** One line of JSON for each row of both tables. */
export function jsonLines(findings: readonly Finding[], samples: Samples): string[] {
  const rows = [...samples].flatMap(([bench, sides]) =>
    [...sides].map(([by, ofSide]) => {
      const ms = spreadOf(ofSide, (sample) => sample.ms);
      const peakMiB = spreadOf(ofSide, (sample) => sample.peakMiB)?.median;
      const { amount, unit } = rateOf(bench);
      const rate = ms === undefined
        ? {}
        : { [unit === "GFLOP/s" ? "gflops" : "images_per_second"]: amount / ms.median };
      return { bench, by, ms: ms?.median ?? null, least_ms: ms?.least ?? null, ...rate, peakMiB };
    })
  );
  return [...rows, ...findings].map((row) => JSON.stringify(row));
}

const RESULTS = new URL("../RESULTS.md", import.meta.url);
const BEGIN = "<!-- bench:peers begins -->", END = "<!-- bench:peers ends -->";

/** Replaces the text between the two comments of a document.
 * @throws {Error} the comments are missing
 */
export function insertResults(before: string, text: string): string {
  const [begin, end] = [before.indexOf(BEGIN), before.indexOf(END)];
  if (begin < 0 || end < begin) {
    throw new Error(
      `Cannot write the results: bench/RESULTS.md must hold ${BEGIN} and then ${END}, got ${
        begin < 0 ? "no first one" : "no second one after it"
      }`,
    );
  }
  return `${before.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${before.slice(end)}`;
}

/** Replaces the text between the two comments of bench/RESULTS.md, formats the file, and writes it atomically. */
export async function writeResults(text: string): Promise<void> {
  const after = insertResults(await Deno.readTextFile(RESULTS), text);
  const format = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  await new Blob([after]).stream().pipeTo(format.stdin);
  await writeAtomically(fileURLToPath(RESULTS), (await format.output()).stdout);
}
