/** The command line of the package: every task by its name. */
import assert from "node:assert/strict";
import config from "../deno.json" with { type: "json" };

/** Tasks that only a checkout has. */
const DEVELOPERS: ReadonlySet<string> = new Set([
  "bench:peers",
  "page",
  "page:weights",
  "fuzz",
  "docs",
  "test:quick",
  "test",
  "check",
  "build",
]);

async function cli(...args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL("../cli.ts", import.meta.url).href, ...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("--version and --help work, and each task's help shows its usage", async () => {
  assert.deepEqual(await cli("--version"), {
    code: 0,
    stdout: `${config.version}\n`,
    stderr: "",
  });
  assert.equal((await cli("train", "--version")).stdout, `${config.version}\n`);
  const help = await cli("--help");
  assert.equal(help.code, 0);
  const tasks = [...help.stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
  const users = Object.keys(config.tasks).filter((task) => !DEVELOPERS.has(task));
  assert.deepEqual(tasks.toSorted(), users.sort());
  for (const task of tasks) {
    const { code, stdout, stderr } = await cli(task, "--help");
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^codebook ${task} .*\\[flags\\]\n`));
  }
});

Deno.test("a task gets the arguments after its name, and its exit code is returned", async () => {
  const out = await Deno.makeTempDir({ prefix: "codebook-cli-" });
  const tiny = ["--model.hidden", "8", "--model.residualHidden", "4", "--data.name", "shapes"];
  const size = ["--data.size", "8", "--training.batchSize", "4", "--training.maxSteps", "1"];
  const { code, stderr } = await cli("train", ...tiny, ...size, "--out", `${out}/run`);
  assert.equal(code, 0, stderr);
  const { steps } = JSON.parse(await Deno.readTextFile(`${out}/run/summary.json`));
  assert.equal(steps, 1);
  const again = await cli("train", ...tiny, ...size, "--out", `${out}/run`);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^Cannot train into /);
  await Deno.remove(out, { recursive: true });
});

Deno.test("an unknown task is rejected with the nearest task name", async () => {
  const { code, stderr } = await cli("trainn");
  assert.equal(code, 2);
  assert.equal(
    stderr,
    "Cannot run a task: the first word must name a task, got trainn, did you mean train?\n",
  );
  assert.equal((await cli()).code, 2);
});
