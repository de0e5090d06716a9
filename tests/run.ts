/** Runs the whole test suite as two processes side by side, each with about half of the work.
 *
 *     deno task test
 *
 * `deno test --parallel` would share one process, but tests change its working folder and its environment.
 */
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

/** What the first process tests; the second tests everything else. */
const FIRST: readonly string[] = [
  "tests/core",
  "tests/nn",
  "tests/quantizers",
  "tests/models",
  "tests/objectives",
  "tests/parity_test.ts",
];

const TEST: readonly string[] = ["test", "--lock=deno.lock", "--frozen", "-A", "--no-check"];

const PARTS: readonly (readonly string[])[] = [
  [...TEST, ...FIRST],
  [...TEST, "--doc", `--ignore=${FIRST.join(",")}`],
];

/** Mesa's software driver sometimes aborts with this status while the process ends, after all tests. */
const ABORTED = 134;

/** What a process counted, and whether it ended as it should. */
interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly whole: boolean;
}

/** Runs a part of the suite, and prints its output line by line. */
async function run(args: readonly string[]): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let passed = 0, failed = 0, ended = false;
  const show = async (stream: ReadableStream<Uint8Array>) => {
    for await (const line of createInterface({ input: Readable.fromWeb(stream) })) {
      console.log(line);
      const counts = line.match(/^(ok|FAILED) \| (\d+) passed.* \| (\d+) failed/);
      if (counts === null) continue;
      [passed, failed] = [Number(counts[2]), Number(counts[3])];
      ended = counts[1] === "ok";
    }
  };
  const [{ code }] = await Promise.all([child.status, show(child.stdout), show(child.stderr)]);
  const whole = ended && (code === 0 || code === ABORTED);
  if (!whole) console.log(`deno ${args.join(" ")} ended with status ${code}`);
  return { passed, failed, whole };
}

const outcomes = await Promise.all(PARTS.map(run));
const total = (count: "passed" | "failed") =>
  outcomes.reduce((sum, outcome) => sum + outcome[count], 0);
const whole = outcomes.every((outcome) => outcome.whole);
console.log(`${whole ? "ok" : "FAILED"} | ${total("passed")} passed | ${total("failed")} failed`);
if (!whole) Deno.exit(1);
