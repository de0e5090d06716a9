import assert from "node:assert/strict";
import { runTask } from "./child.ts";

Deno.test("bench prints a line of JSON a row, with its rate", async () => {
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
    "--json",
  ];
  const { code, stdout, stderr } = await runTask("bench", args);
  assert.equal(code, 0, stderr);
  const rows = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(rows.map(({ shape }) => shape.split(",")[0]), ["vanilla l2", "clustered cos"]);
  for (const { bench, device, ms, gflops, images_per_second, threads } of rows) {
    assert.deepEqual([bench, device, threads], ["step", "cpu", 1]);
    assert.ok(ms > 0 && gflops > 0 && images_per_second > 0);
  }
});

Deno.test("bench refuses a benchmark that is not there", async () => {
  const { code, stderr } = await runTask("bench", ["matmull"]);
  assert.equal(code, 2);
  assert.match(stderr, /must be one of matmul, .*, got matmull, did you mean matmul\?\n$/);
});
