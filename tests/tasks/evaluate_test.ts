import assert from "node:assert/strict";
import { folderForTests, lastLine, runTask, snapshot, TINY } from "./child.ts";

const folder = folderForTests();
const run = `${folder}/run`;
const last = `${run}/checkpoints/last.safetensors`;
const FOREIGN = new URL("../fixtures/quantizer-l2-none.safetensors", import.meta.url).pathname;

Deno.test("evaluate gives the numbers that the run ended with", async () => {
  const trained = await runTask("train", [...TINY, "--device", "cpu", "--out", run, "--json"]);
  assert.equal(trained.code, 0, trained.stderr);
  const { code, stdout, stderr } = await runTask("evaluate", [run, "--device", "cpu", "--json"]);
  assert.equal(code, 0, stderr);
  const { run: of, checkpoint, device, ...numbers } = lastLine(stdout);
  assert.deepEqual(numbers, lastLine(trained.stdout).test);
  assert.deepEqual([of, checkpoint], [run, last]);
  assert.match(String(device), /^cpu/);
});

Deno.test("evaluate takes the best checkpoint, or a file, and prints for people", async () => {
  for (const checkpoint of ["best", last]) {
    const args = [run, "--checkpoint", checkpoint, "--device", "cpu"];
    const { code, stdout, stderr } = await runTask("evaluate", args);
    assert.equal(code, 0, stderr);
    for (const name of ["mse", "PSNR", "usage", "perplexity"]) {
      assert.match(stdout, new RegExp(`^${name} +\\d`, "m"));
    }
  }
});

Deno.test("a checkpoint that is missing, truncated, foreign or another's is refused", async () => {
  const before = snapshot(run);
  const truncated = `${folder}/truncated.safetensors`;
  Deno.writeFileSync(truncated, Deno.readFileSync(last).subarray(0, 5000));
  const garbage = `${folder}/garbage.safetensors`;
  Deno.writeTextFileSync(garbage, "no checkpoint at all");
  const other = `${folder}/other`;
  const trained = await runTask("train", [
    ...[...TINY, "--device", "cpu", "--out", other],
    ...["--seed", "7"],
  ]);
  assert.equal(trained.code, 0, trained.stderr);

  const cases: [string, RegExp][] = [
    [`${folder}/missing.safetensors`, /the file must exist and be readable, got ENOENT/],
    [truncated, /Cannot read .*truncated\.safetensors: .*, got /],
    [garbage, /Cannot read .*garbage\.safetensors: .*, got /],
    [FOREIGN, /it must be a "codebook checkpoint 1", got .*not named/],
    [`${other}/checkpoints/last.safetensors`, /seed must be .* 7, got 42/],
  ];
  for (const [checkpoint, message] of cases) {
    const { code, stdout, stderr } = await runTask("evaluate", [run, "--checkpoint", checkpoint]);
    assert.equal(code, 1, checkpoint);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
    assert.equal(stdout, "");
  }
  assert.deepEqual(snapshot(run), before);
});

Deno.test("train does not resume from a truncated checkpoint, and leaves it as it is", async () => {
  const broken = `${folder}/other`;
  const path = `${broken}/checkpoints/last.safetensors`;
  Deno.writeFileSync(path, Deno.readFileSync(path).subarray(0, 5000));
  const before = snapshot(broken);
  const { code, stderr } = await runTask("train", ["--out", broken, "--resume"]);
  assert.equal(code, 1);
  assert.match(stderr, /^Cannot read .*last\.safetensors: .*, got .*$/m);
  assert.deepEqual(snapshot(broken), before);
});
