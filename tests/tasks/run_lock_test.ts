/** Two trainings in one folder: the second is refused by name, whatever it was asked, and harms nothing. */
import assert from "node:assert/strict";
import { runTask, taskCommand, TINY } from "./child.ts";

const ROOT = Deno.makeTempDirSync({ prefix: "codebook-run-lock-" });
Deno.test.afterAll(() => Deno.removeSync(ROOT, { recursive: true }));
const out = `${ROOT}/run`;
const long = [...TINY, "--training.maxSteps", "100000", "--training.epochs", "100000"];
const common = ["--device", "cpu", "--cpu.threads", "1", "--out", out];

/** Waits until a file holds something. */
async function untilWritten(path: string): Promise<void> {
  for (;;) {
    const size = await Deno.stat(path).then(({ size }) => size, () => 0);
    if (size > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test("a second training in a folder is rejected with the first one's process id, and the first continues", async () => {
  const first = taskCommand("train", [...long, ...common]).spawn();
  const [output, errors] = [new Response(first.stdout).text(), new Response(first.stderr).text()];
  await untilWritten(`${out}/metrics.jsonl`);
  for (const flags of [[], ["--resume"], ["--overwrite"]]) {
    const { code, stderr } = await runTask("train", [...long, ...common, ...flags]);
    assert.equal(code, 1, stderr);
    if (flags.length === 0) assert.match(stderr, /must hold no run, got one that is started/);
    else {
      assert.match(
        stderr,
        new RegExp(`no other process must be training there, got process ${first.pid} on `),
      );
    }
  }
  first.kill("SIGINT");
  const { code } = await first.status;
  assert.equal(code, 130, `${await output}${await errors}`);
  const steps = Deno.readTextFileSync(`${out}/metrics.jsonl`).trimEnd().split("\n")
    .map((line) => JSON.parse(line)).filter(({ kind }) => kind === "step")
    .map(({ step }) => step as number);
  assert.ok(steps.length > 0);
  assert.deepEqual(steps, steps.toSorted((a, b) => a - b), "one record, of one run");
});

Deno.test("a history that ends before its checkpoint is reported, and the gap is marked", async () => {
  const path = `${out}/metrics.jsonl`;
  const lines = Deno.readTextFileSync(path).trimEnd().split("\n");
  const last = JSON.parse(lines.at(-1)!).step as number;
  const kept = lines.slice(0, Math.floor(lines.length / 2));
  const recorded = JSON.parse(kept.at(-1)!).step as number;
  Deno.writeTextFileSync(path, kept.map((line) => `${line}\n`).join(""));
  const flags = ["--resume", "--training.maxSteps", `${last + 3}`];
  const { code, stdout, stderr } = await runTask("train", [...common, ...flags]);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout + stderr,
    new RegExp(
      `the recorded metrics end at step ${recorded}, but the checkpoint is from step ${last}`,
    ),
  );
  const records = Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(
    records.filter(({ kind }) => kind === "gap"),
    [{ kind: "gap", step: last, from: recorded }],
  );
});

Deno.test("images that the model cannot process are rejected before the folder is touched", async () => {
  const elsewhere = `${ROOT}/never`;
  const flags = [...TINY, "--data.name", "shapes", "--data.size", "30", "--out", elsewhere];
  const { code, stderr } = await runTask("train", [...flags, "--device", "cpu"]);
  assert.equal(code, 2, stderr);
  assert.match(
    stderr,
    /^Cannot make the model: the images' sides must be divisible by 4, got 30×30/m,
  );
  assert.equal(await Deno.stat(elsewhere).catch(() => null), null, "there is no folder");
});
