/** Checks all conventions of the project and reports violations.
 *
 *     deno task check
 */

/** A check: its name, and the `deno` arguments that run it. */
type Step = readonly [name: string, ...args: string[]];

/** All TypeScript. core/cpu/assembly is AssemblyScript, which has its own compiler. The other libraries in benchmarks
 * have a separate configuration, so that nothing else depends on them. */
const CHECKED = [
  "mod.ts",
  "web.ts",
  "cli.ts",
  "tasks",
  "tests",
  "bench/*.ts",
  "bench/peers/*.ts",
  "examples",
  "page",
];
const LIBRARIES = "bench/peers/libraries";

const ROOT = new URL("../", import.meta.url);

const present = [...Deno.readDirSync(ROOT)].map(({ name }) => name);

/** The slowest come first. */
const STEPS: readonly Step[] = [
  ["types", "check", ...CHECKED.filter((path) => present.includes(path.split("/")[0]))],
  ["publish dry run", "publish", "--dry-run", "--allow-dirty"],
  ["lint", "lint"],
  ["documentation", "doc", "--lint", "mod.ts", "web.ts", "cli.ts"],
  ["format", "fmt", "--check"],
  ["types beside other libraries", "check", "--config", `${LIBRARIES}/deno.json`, LIBRARIES],
  ["layering", "test", "-A", "--no-check", "tests/layering_test.ts"],
];

/** Checks at a time. */
const LANES = 2;

/** Runs a check; prints nothing if it passes. */
async function holds([name, ...args]: Step): Promise<boolean> {
  const started = performance.now();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stdin: "null",
  }).output();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${success ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (!success) {
    for (const bytes of [stdout, stderr]) console.log(new TextDecoder().decode(bytes));
    console.log(`To see it again: deno ${args.join(" ")}`);
  }
  return success;
}

const waiting = [...STEPS];
let failed = 0;

/** Runs checks until none is left. */
async function work(): Promise<void> {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    if (!await holds(step)) failed++;
  }
}

await Promise.all(Array.from({ length: LANES }, work));
if (failed > 0) {
  console.log(`${failed} of ${STEPS.length} checks failed`);
  Deno.exit(1);
}
