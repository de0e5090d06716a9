import assert from "node:assert/strict";
import { readCheckpoint, saveCheckpoint } from "../../training/checkpoint.ts";
import { folderForTests, lastLine, runTask, snapshot, TINY } from "./child.ts";

const folder = folderForTests();
const run = `${folder}/run`;
const last = `${run}/checkpoints/last.safetensors`;
const FOREIGN = new URL("../fixtures/quantizer-l2-none.safetensors", import.meta.url).pathname;

/** The device cpu with its own kernels alone. */
const PORTABLE = ["--device", "cpu", "--cpu.blas", "off", "--cpu.dnn", "off"] as const;

Deno.test("evaluate gives the numbers that the run ended with", async () => {
  const trained = await runTask("train", [
    ...[...TINY, ...PORTABLE, "--out", run, "--json"],
  ]);
  assert.equal(trained.code, 0, trained.stderr);
  const { code, stdout, stderr } = await runTask("evaluate", [
    ...[run, ...PORTABLE, "--json", "--report", "false"],
  ]);
  assert.equal(code, 0, stderr);
  const { run: of, checkpoint, device, codebook, measurements, protocols, ...numbers } = lastLine(
    stdout,
  );
  assert.deepEqual(numbers, lastLine(trained.stdout).test);
  assert.ok(codebook && measurements && protocols);
  assert.deepEqual([of, checkpoint], [run, last]);
  assert.match(String(device), /^cpu/);
});

Deno.test("evaluate takes the best checkpoint, or a file, and prints for people", async () => {
  const evaluated = ["best", last].map((checkpoint) =>
    runTask("evaluate", [
      ...[run, "--checkpoint", checkpoint, "--device", "cpu", "--report=false"],
    ])
  );
  for (const { code, stdout, stderr } of await Promise.all(evaluated)) {
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
  const other = `${folder}/other.safetensors`;
  const { state, identity, carried } = await readCheckpoint(last);
  await saveCheckpoint(other, state, { identity: { ...identity, seed: 7 }, carried });

  const cases: [string, RegExp][] = [
    [`${folder}/missing.safetensors`, /the file must exist and be readable, got ENOENT/],
    [truncated, /Cannot read .*truncated\.safetensors: .*, got /],
    [garbage, /Cannot read .*garbage\.safetensors: .*, got /],
    [FOREIGN, /it must be a "codebook checkpoint 1", got .*not named/],
    [other, /^Cannot load .*other\.safetensors: seed must be .* 7, got 42$/m],
  ];
  await Promise.all(cases.map(async ([checkpoint, message]) => {
    const { code, stdout, stderr } = await runTask("evaluate", [run, "--checkpoint", checkpoint]);
    assert.equal(code, 1, checkpoint);
    assert.match(stderr, message);
    assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
    assert.equal(stdout, "");
  }));
  assert.deepEqual(snapshot(run), before);
});

Deno.test("train does not resume from a truncated checkpoint, and leaves it as it is", async () => {
  Deno.writeFileSync(last, Deno.readFileSync(last).subarray(0, 5000));
  const before = snapshot(run);
  const { code, stderr } = await runTask("train", ["--out", run, "--resume"]);
  assert.equal(code, 1);
  assert.match(stderr, /^Cannot read .*last\.safetensors: .*, got .*$/m);
  assert.deepEqual(snapshot(run), before);
});
