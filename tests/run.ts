/** Runs the whole test suite in parts, two at a time.
 *
 *     deno task test
 *
 * `deno test --parallel` would share one process, but tests change its working folder and its environment.
 */
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

/** Folders that are parts of their own, from those that take longest to the shortest. */
const FOLDERS: readonly string[] = [
  "tests/core",
  "tests/training",
  "tests/tasks",
  "tests/quantizers",
  "tests/objectives",
  "tests/docs",
  "tests/models",
  "tests/web",
  "tests/nn",
];

const TEST: readonly string[] = ["test", "--lock=deno.lock", "--frozen", "-A", "--no-check"];

/** The arguments of each part. The first one takes longest: it tests all other folders, and the examples in comments. */
const PARTS: readonly (readonly string[])[] = [
  [...TEST, "--doc", `--ignore=${FOLDERS.join(",")}`],
  ...FOLDERS.map((folder) => [...TEST, folder]),
];

/** Parts at a time. */
const LANES = 2;

/** Mesa's software driver compiles each shader for longer than the tests run it: without optimisations in half the time. */
const WITHOUT_OPTIMISING = { GALLIVM_PERF: "nopt" };

/** Mesa's software driver sometimes aborts with this status while the process ends, after all tests. */
const ABORTED = 134;

/** How many of the slowest files are listed at the end. */
const LISTED = 12;

/** What a process counted, and whether it ended as it should. */
interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly whole: boolean;
  /** The seconds that each file took. */
  readonly seconds: ReadonlyMap<string, number>;
}

/** Runs a part of the suite, and prints its output line by line. */
async function run(args: readonly string[]): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { NO_COLOR: "1", ...WITHOUT_OPTIMISING },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let passed = 0, failed = 0, ended = false, file = "starting", since = performance.now();
  const seconds = new Map<string, number>();
  const enter = (next: string) => {
    const now = performance.now();
    seconds.set(file, (seconds.get(file) ?? 0) + (now - since) / 1000);
    [file, since] = [next, now];
  };
  const show = async (stream: ReadableStream<Uint8Array>) => {
    for await (const line of createInterface({ input: Readable.fromWeb(stream) })) {
      console.log(line);
      const next = line.match(/^running \d+ tests? from (.*)/);
      if (next !== null) enter(next[1]);
      const counts = line.match(/^(ok|FAILED) \| (\d+) passed.* \| (\d+) failed/);
      if (counts === null) continue;
      [passed, failed] = [Number(counts[2]), Number(counts[3])];
      ended = counts[1] === "ok";
    }
  };
  const [{ code }] = await Promise.all([child.status, show(child.stdout), show(child.stderr)]);
  enter("ending");
  const whole = ended && (code === 0 || code === ABORTED);
  if (!whole) console.log(`deno ${args.join(" ")} ended with status ${code}`);
  return { passed, failed, whole, seconds };
}

const waiting = [...PARTS], outcomes: Outcome[] = [];
await Promise.all(Array.from({ length: LANES }, async () => {
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    outcomes.push(await run(part));
  }
}));
const total = (count: "passed" | "failed") =>
  outcomes.reduce((sum, outcome) => sum + outcome[count], 0);
const files = outcomes.flatMap(({ seconds }) => [...seconds]).sort(([, a], [, b]) => b - a);
console.log("the slowest files, in seconds:");
for (const [file, own] of files.slice(0, LISTED)) {
  console.log(`${own.toFixed(0).padStart(5)}  ${file}`);
}
const whole = outcomes.every((outcome) => outcome.whole);
console.log(`${whole ? "ok" : "FAILED"} | ${total("passed")} passed | ${total("failed")} failed`);
if (!whole) Deno.exit(1);
