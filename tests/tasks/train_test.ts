import assert from "node:assert/strict";
import { resolveConfig } from "../../training/resolve.ts";
import { assertSameEnd } from "../training/tiny.ts";
import { folderForTests, lastLine, runTask, snapshot, taskCommand, TINY } from "./child.ts";

const folder = folderForTests();
const run = `${folder}/run`;
const onCpu = [...TINY, "--device", "cpu"];

const names = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
const readJson = (path: string) => JSON.parse(Deno.readTextFileSync(path));

Deno.test("train creates the run's folder and prints its summary as the last line", async () => {
  const { code, stdout, stderr } = await runTask("train", [...onCpu, "--out", run, "--json"]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(names(run), [
    "checkpoints",
    "config.json",
    "counts.json",
    "events.out.tfevents.codebook",
    "metrics.jsonl",
    "run.lock",
    "samples",
    "summary.json",
    "test",
  ]);
  assert.deepEqual(names(`${run}/checkpoints`), [
    "best.safetensors",
    "last.safetensors",
    "weights.safetensors",
  ]);
  assert.deepEqual(names(`${run}/samples`), ["epoch-001.png"]);

  const config = readJson(`${run}/config.json`);
  assert.deepEqual(resolveConfig({ saved: config }), config);
  assert.equal(config.training.maxSteps, 3);

  const summary = readJson(`${run}/summary.json`);
  assert.deepEqual(lastLine(stdout), summary);
  assert.equal(stdout.trimEnd().split("\n").length, 1, "all else is on stderr");
  assert.match(stderr, /step 3\/3 .*\/8 codes .*images\/s .*left/);
  const { mse, psnr, usage, perplexity, images, protocol } = summary.test;
  for (const value of [mse, psnr, perplexity, summary.imagesPerSecond, summary.peakMemoryBytes]) {
    assert.ok(value > 0, JSON.stringify(summary));
  }
  assert.ok(usage > 0 && usage <= 1);
  assert.equal(images, 997);
  assert.equal(summary.steps, 3);
  assert.match(summary.device, /^cpu/);
  assert.equal(summary.best.protocol, protocol);
  assert.equal(summary.protocols[protocol].dataset, "digits");
});

Deno.test("a folder that contains a run is rejected and not modified", async () => {
  const before = snapshot(run);
  const { code, stderr } = await runTask("train", [...onCpu, "--out", run]);
  assert.equal(code, 1);
  for (const way of ["--resume", "--overwrite", "--out"]) assert.ok(stderr.includes(way), stderr);
  assert.deepEqual(snapshot(run), before);
});

Deno.test("train does not resume from a checkpoint of another configuration", async () => {
  const before = snapshot(run);
  const args = ["--out", run, "--resume", "--optimizer.learningRate", "1"];
  const { code, stderr } = await runTask("train", args);
  assert.equal(code, 1);
  assert.match(stderr, /optimizer\.learningRate must be .* 0\.0003, got 1\n$/);
  assert.deepEqual(snapshot(run), before);
});

Deno.test("a finished run with no steps left is not resumed, and keeps its numbers", async () => {
  const before = snapshot(run);
  await Promise.all(["3", "2"].map(async (maxSteps) => {
    const args = ["--out", run, "--resume", "--training.maxSteps", maxSteps];
    const { code, stderr } = await runTask("train", args);
    assert.equal(code, 1);
    const message = `must have more steps than it has taken, 3, got ${maxSteps}; a larger --`;
    assert.ok(stderr.startsWith("Cannot resume ") && stderr.includes(message), stderr);
  }));
  assert.deepEqual(snapshot(run), before);
});

Deno.test("a run killed before its first checkpoint starts from its saved configuration; a profile changes nothing", async () => {
  const killed = `${folder}/killed`;
  Deno.mkdirSync(killed);
  Deno.copyFileSync(`${run}/config.json`, `${killed}/config.json`);
  const args = ["--out", killed, "--resume", "--profile"];
  const { code, stdout, stderr } = await runTask("train", args);
  assert.equal(code, 0, stderr);
  await assertSameEnd(killed, run);
  assert.match(stdout, /^step 3, batch 16: .* of it in \d+ kernels;.*\n.*\nkernel +shapes +calls/m);
  assert.ok(readJson(`${killed}/trace.json`).traceEvents.length > 100);
});

Deno.test("a run killed before its summary is measured again", async () => {
  const killed = `${folder}/killed`;
  const whole = readJson(`${killed}/summary.json`);
  Deno.removeSync(`${killed}/summary.json`);
  const { code, stdout, stderr } = await runTask("train", ["--out", killed, "--resume"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^speed +not measured/m);
  const { test, steps, imagesPerSecond } = readJson(`${killed}/summary.json`);
  assert.deepEqual([test, steps, imagesPerSecond], [whole.test, whole.steps, null]);
});

Deno.test("a finished run can be trained for longer", async () => {
  const args = ["--out", run, "--resume", "--training.maxSteps", "5", "--device", "cpu"];
  const { code, stderr } = await runTask("train", args);
  assert.equal(code, 0, stderr);
  assert.equal(readJson(`${run}/summary.json`).steps, 5);
  assert.equal(readJson(`${run}/config.json`).training.maxSteps, 5);
});

Deno.test("a loss that becomes non-finite ends the run with its step, the last good checkpoint and no summary", async () => {
  const broken = `${folder}/broken`;
  const args = [...onCpu, "--training.maxSteps", "20", "--optimizer.learningRate", "1e6"];
  const { code, stderr } = await runTask("train", [...args, "--out", broken]);
  assert.equal(code, 1);
  assert.match(stderr, /^Cannot continue training: .* must be finite, got loss \S+ at step \d+; /);
  assert.ok(stderr.includes(`last good checkpoint is ${broken}/checkpoints/last.safetensors`));
  assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
  assert.deepEqual(names(broken), [
    "checkpoints",
    "config.json",
    "events.out.tfevents.codebook",
    "metrics.jsonl",
    "run.lock",
    "samples",
    "test",
  ]);
  assert.deepEqual(names(`${broken}/checkpoints`), ["last.safetensors"]);
});

Deno.test("--overwrite replaces the run and keeps other files in the folder", async () => {
  Deno.writeTextFileSync(`${run}/notes.txt`, "kept");
  const { code, stderr } = await runTask("train", [
    ...onCpu,
    ...["--out", run, "--overwrite", "--seed", "7", "--quantizer.type", "vanilla"],
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(readJson(`${run}/summary.json`).seed, 7);
  assert.equal(readJson(`${run}/config.json`).quantizer.distance, "l2");
  assert.equal(Deno.readTextFileSync(`${run}/notes.txt`), "kept");
});

Deno.test("Ctrl-C saves a checkpoint, and --resume ends with the same bytes as an uninterrupted run", async () => {
  const long = [...onCpu, "--training.maxSteps", "60", "--training.logEverySteps", "1"];
  const interrupted = `${folder}/interrupted`;
  const child = taskCommand("train", [...long, "--out", interrupted]).spawn();
  let printed = "";
  for await (const bytes of child.stdout) {
    const before = printed;
    printed += new TextDecoder().decode(bytes);
    // The second comes at once, as from a runner that passes on what the terminal sent to all.
    for (const seen of ["step 1/", "stopping after this step"]) {
      if (!before.includes(seen) && printed.includes(seen)) child.kill("SIGINT");
    }
  }
  assert.equal((await child.status).code, 130, printed);
  await child.stderr.cancel();
  const told = printed.match(/continue with `deno task train (.*)`/);
  assert.ok(told !== null, printed);
  assert.ok(!names(interrupted).includes("summary.json"));

  const whole = `${folder}/whole`;
  const runs = [told[1].split(" "), [...long, "--out", whole]].map((args) =>
    runTask("train", args)
  );
  for (const { code, stderr } of await Promise.all(runs)) assert.equal(code, 0, stderr);
  await assertSameEnd(interrupted, whole);
  const [first, second] = [interrupted, whole].map((path) => readJson(`${path}/summary.json`));
  assert.deepEqual(first.test, second.test);
});

Deno.test("training.metrics measures the finished run like evaluate, and must name metrics", async () => {
  const measured = `${folder}/measured`;
  const metrics = ["--training.metrics", "sharpness,mae"];
  const trained = await runTask("train", [...onCpu, ...metrics, "--out", measured, "--json"]);
  assert.equal(trained.code, 0, trained.stderr);
  const evaluated = await runTask("evaluate", [
    ...[measured, "--metrics", "sharpness,mae", "--device", "cpu", "--report", "false", "--json"],
  ]);
  const { measurements } = lastLine(trained.stdout);
  assert.deepEqual(measurements, lastLine(evaluated.stdout).measurements);
  assert.deepEqual(readJson(`${measured}/summary.json`).measurements, measurements);
  for (
    const [wrong, message] of [
      ["sharpnes", /did you mean sharpness\?/],
      ["mae,mae", /each must be named once, got mae,mae/],
    ] as const
  ) {
    const refused = await runTask("train", ["--training.metrics", wrong, "--out", `${folder}/no`]);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, message);
  }
});
