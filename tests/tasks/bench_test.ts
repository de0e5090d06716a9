import assert from "node:assert/strict";
import { folderForTests, runTask } from "./child.ts";

const folder = folderForTests();

Deno.test("bench prints a JSON line per row, with its rate, and profiles steps", async () => {
  const args = [
    "step",
    "--batch",
    "2",
    "--runs",
    "1",
    "--device",
    "cpu",
    "--threads",
    "1",
    "--cpu.blas",
    "off",
    "--json",
    "--profile",
  ];
  const { code, stdout, stderr } = await runTask("bench", args, {}, folder);
  assert.equal(code, 0, stderr);
  const rows = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(rows.map(({ shape }) => shape.split(",")[0]), [
    "vanilla l2",
    "clustered cos",
    "clustered-ema l2",
  ]);
  for (const { bench, device, ms, gflops, images_per_second, threads } of rows) {
    assert.deepEqual([bench, device, threads], ["step", "cpu", 1]);
    assert.ok(ms > 0 && gflops > 0 && images_per_second > 0);
  }
  assert.match(stderr, /^step, clustered cos, batch 2: .*\n.*\nkernel +shapes +calls/m);
  const { traceEvents } = JSON.parse(Deno.readTextFileSync(`${folder}/trace.json`));
  assert.deepEqual([...new Set(traceEvents.map(({ pid }: { pid: number }) => pid))], [1, 2, 3]);
});

Deno.test("bench data measures the loader's rate by threads, and the device's", async () => {
  const args = ["data", "--batch", "4", "--runs", "1", "--device", "cpu", "--json"];
  const { code, stdout, stderr } = await runTask("bench", args);
  assert.equal(code, 0, stderr);
  const rows = stdout.trim().split("\n").map((line) => JSON.parse(line));
  const [last, loader] = [rows.at(-1), rows.slice(0, -1)];
  assert.equal(loader.at(-1).threads, navigator.hardwareConcurrency);
  assert.ok(loader.every(({ device }) => device === "loader"));
  assert.deepEqual([last.device, last.bench], ["cpu", "data"]);
  for (const { images_per_second, ms } of rows) assert.ok(images_per_second > 0 && ms > 0);
});

Deno.test("bench rejects an unknown benchmark", async () => {
  const { code, stderr } = await runTask("bench", ["matmull"]);
  assert.equal(code, 2);
  assert.match(stderr, /must be one of matmul, .*, got matmull, did you mean matmul\?\n$/);
});

Deno.test("bench rejects a profile of anything but a single step", async () => {
  await Promise.all([["matmul"], ["step", "--scaling"]].map(async (args) => {
    const { code, stderr } = await runTask("bench", [...args, "--profile"], {}, folder);
    assert.equal(code, 2);
    const message = "Cannot profile: --profile must be given with one of step, vqgan, unet, " +
      "transformer and without --scaling";
    assert.equal(stderr, `${message}, got ${args.join(" ")}\n`);
  }));
});
