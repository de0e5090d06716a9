import assert from "node:assert/strict";
import { readPyTorch } from "../../files/pytorch_file.ts";
import { regularSize } from "../../files/regular_file.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { fileAccess } from "../../data/formats/random_access.ts";
import { unpackFile } from "../../data/formats/gzip.ts";
import { readStatisticsBytes } from "../../metrics/statistics_file.ts";
import { RunFolder } from "../../training/run_folder.ts";

const folder = Deno.makeTempDirSync({ prefix: "codebook-pipe-" });
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));
const pipe = `${folder}/pipe`;
await new Deno.Command("mkfifo", { args: [pipe] }).output();

Deno.test("every file reader rejects a named pipe instead of waiting for it", async () => {
  const readers: readonly ((path: string) => Promise<unknown>)[] = [
    regularSize,
    readSafetensors,
    readPyTorch,
    fileAccess,
    readStatisticsBytes,
    (path) => unpackFile(path, 100).next(),
  ];
  for (const read of readers) {
    await assert.rejects(() => read(pipe), /must be a regular file, got a named pipe/);
  }
});

Deno.test("a named pipe in place of a run's history is rejected", async () => {
  await new Deno.Command("mkfifo", { args: [`${folder}/metrics.jsonl`] }).output();
  const run = new RunFolder(folder);
  await assert.rejects(() => run.begin(0), /metrics\.jsonl: it must be a regular file/);
  await assert.rejects(() => run.records(), /metrics\.jsonl: it must be a regular file/);
});
