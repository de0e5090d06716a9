/** Runs the sides in turn and collects their measurements. */
import { openDevice } from "../../core/device.ts";
import { uniform } from "../../core/functions/creation.ts";
import { randomKey } from "../../core/random.ts";
import type { Group, SideProcess } from "./groups.ts";
import type { Sample } from "./side.ts";
import { inputPath, resultPath, type Work, type WorkName, WORKS } from "./works.ts";

/** The measurements of a work by side, one sample per round. */
export type Samples = ReadonlyMap<string, ReadonlyMap<string, readonly Sample[]>>;

/** The largest allowed deviation: the relative norm of the difference, or the fraction of indices that differ. */
const TOLERANCE = 1e-3;

async function writeInputs(folder: string, name: WorkName): Promise<void> {
  using device = await openDevice("reference");
  const work: Work = WORKS[name];
  for (const [input, shape] of Object.entries(work.inputs)) {
    const values = await uniform(device, shape, randomKey(1, input), -1, 1).floats();
    await Deno.writeFile(inputPath(folder, name, input), new Uint8Array(values.buffer));
  }
}

/** How sides are timed: by the wall clock on all cores, or by processor time on one thread. */
export type Clock = "wall" | "processor";

/** Runs one side's process. Its exit code does not matter after it has printed everything, because Mesa's software driver
 * sometimes aborts then. */
async function run(
  { side, command, args, env }: SideProcess,
  folder: string,
  works: readonly WorkName[],
  clock: Clock,
): Promise<Sample[]> {
  const cores = clock === "wall" ? `${navigator.hardwareConcurrency}` : "1";
  const threads = { OMP_NUM_THREADS: cores, OPENBLAS_NUM_THREADS: cores };
  const { stdout, stderr } = await new Deno.Command(command, {
    args: works.length > 0 ? [...args, folder, ...works] : [...args],
    env: { ...threads, CODEBOOK_BENCH_CLOCK: clock, ...env },
  }).output();
  const [lines, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  const samples = lines.split("\n").filter((line) => line.startsWith("{"));
  if (samples.length < Math.max(1, works.length)) {
    throw new Error(`Cannot measure ${side}: it must give a sample of each work, got\n${errors}`);
  }
  return samples.map((line) => JSON.parse(line));
}

/** The deviation of a result from the expected one. */
function distance(
  work: WorkName,
  result: Uint8Array<ArrayBuffer>,
  expected: typeof result,
): number {
  if (result.length !== expected.length) return Infinity;
  if (work === "nearest") {
    const [a, b] = [result, expected].map(({ buffer }) => new Int32Array(buffer));
    return a.filter((index, i) => index !== b[i]).length / a.length;
  }
  const [a, b] = [result, expected].map(({ buffer }) => new Float32Array(buffer));
  let [difference, norm] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Measures a group in turn, so that all sides see the same machine.
 * @param tell called with a progress message for each measurement
 * @throws {Error} a process gives no sample of a work, or a different result from the first one
 */
export async function measureGroup(
  group: Group,
  rounds: number,
  clock: Clock,
  tell: (message: string) => void,
): Promise<Samples> {
  const samples = new Map<string, Map<string, Sample[]>>();
  const folder = await Deno.makeTempDir({ prefix: "codebook-peers-" });
  try {
    for (const work of group.works) await writeInputs(folder, work);
    const expected = new Map<WorkName, Uint8Array<ArrayBuffer>>();
    for (let round = 1; round <= (group.once ? 1 : rounds); round++) {
      for (const process of group.processes) {
        for (const sample of await run(process, folder, group.works, clock)) {
          const { side } = process;
          tell(
            `round ${round}: ${sample.work} by ${side}, ${sample.ms?.toFixed(1) ?? "no kernel"}`,
          );
          const bySide = samples.get(sample.work) ?? new Map<string, Sample[]>();
          samples.set(sample.work, bySide.set(side, [...bySide.get(side) ?? [], sample]));
        }
        for (const work of group.works) await agree(folder, work, process.side, expected);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return samples;
}

/** Compares a side's result, if it wrote one, with the first one. */
async function agree(
  folder: string,
  work: WorkName,
  side: string,
  expected: Map<WorkName, Uint8Array<ArrayBuffer>>,
): Promise<void> {
  const path = resultPath(folder, work);
  const result = await Deno.readFile(path).catch(() => undefined);
  if (result === undefined) return;
  await Deno.remove(path);
  const first = expected.get(work);
  if (first === undefined) {
    expected.set(work, result);
    return;
  }
  const apart = distance(work, result, first);
  if (apart <= TOLERANCE) return;
  throw new Error(
    `Cannot compare ${work}: ${side} must compute the same to ${TOLERANCE}, got ${
      apart.toExponential(1)
    }`,
  );
}
