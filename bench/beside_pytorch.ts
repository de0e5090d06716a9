/** The same training step here and in PyTorch, turn by turn in one run, so that both see the same machine.
 *
 *     deno run -A bench/beside_pytorch.ts PEER.py [ROUNDS]
 *
 * PEER.py prints a JSON line for each variant, with `quantizer`, `distance`, `lookup` and `images_per_second`; python3
 * comes from PYTHON or the PATH. Prints a table in Markdown: images a second, the median and the best of the rounds,
 * and the peak memory of each process.
 */
import type { BenchRow } from "./row.ts";

const [peer, rounds = "5"] = Deno.args;
if (peer === undefined) {
  console.error("Cannot compare: the peer's script must be named, got nothing");
  Deno.exit(2);
}

const PYTHON = Deno.env.get("PYTHON") ?? "python3";
/** Runs a script with its arguments and prints the process's peak memory in KiB as the last line. */
const WITH_PEAK = `
import resource, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
`;

/** Images a second by what was measured, over the rounds. */
const speeds = new Map<string, number[]>();
const peaks = new Map<string, number>();

function note(what: string, imagesPerSecond: number, peakMiB: number): void {
  speeds.set(what, [...speeds.get(what) ?? [], imagesPerSecond]);
  peaks.set(what, Math.max(peaks.get(what) ?? 0, peakMiB));
}

async function run(command: string, args: string[]): Promise<{ lines: string[]; errors: string }> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const [lines, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (!success) throw new Error(`Cannot measure: ${command} must succeed, got\n${errors}`);
  return { lines: lines.trim().split("\n"), errors };
}

for (let round = 0; round < Number(rounds); round++) {
  const bench = new URL("../tasks/bench.ts", import.meta.url).pathname;
  const ours = await run(Deno.execPath(), [
    ...["run", "-A", "--no-check", bench, "step"],
    ...["--device", "cpu", "--json", "--runs", "5"],
  ]);
  const peak = Number(ours.errors.match(/peak memory (\d+) MiB/)?.[1]);
  for (const line of ours.lines) {
    const row: BenchRow = JSON.parse(line);
    note(`codebook cpu, ${row.shape.split(",")[0]}`, row.images_per_second ?? NaN, peak);
  }
  const theirs = await run(PYTHON, ["-c", WITH_PEAK, peer, "--steps", "5"]);
  const theirPeak = Number(theirs.lines.pop()) / 1024;
  for (const line of theirs.lines) {
    const row = JSON.parse(line);
    const what = `${row.peer} (${row.lookup}), ${row.quantizer} ${row.distance}`;
    note(what, row.images_per_second, theirPeak);
  }
  console.error(`round ${round + 1} of ${rounds}`);
}

console.log("| step at batch 128 | median images/s | best images/s | peak memory, MiB |");
console.log("|---|---|---|---|");
for (const [what, values] of speeds) {
  const sorted = values.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const cells = [median, sorted[sorted.length - 1], peaks.get(what)!].map((n) => n.toFixed(0));
  console.log(`| ${what} | ${cells.join(" | ")} |`);
}
