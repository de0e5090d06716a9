/** Small files that once took gigabytes, or minutes: each is refused, by a process that stays small. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const ROOT = new URL("../", import.meta.url);
const folder = Deno.makeTempDirSync({ prefix: "codebook-hostile-" });
Deno.test.afterAll(() => Deno.removeSync(folder, { recursive: true }));

const FILES = [
  "pq-dictionary-bomb.parquet",
  "pq-null-rows.parquet",
  "pt-shared-dictionaries.pth",
  "pt-long-names-small.pth.gz",
];
/** Bytes that a process may have at most, Deno's own included. */
const MOST_BYTES = 200 * 2 ** 20;
/** Processor seconds, which a busy machine does not add to; the readers alone, not Deno's start. */
const MOST_SECONDS = 1;

const PROGRAM = `
import { cpuUsage } from "node:process";
import { openParquetColumn } from ${JSON.stringify(new URL("data/formats/parquet.ts", ROOT).href)};
import { fileAccess } from ${JSON.stringify(new URL("data/formats/random_access.ts", ROOT).href)};
import { readPyTorch } from ${JSON.stringify(new URL("files/pytorch_file.ts", ROOT).href)};
const [path] = Deno.args;
const start = cpuUsage();
let outcome = "accepted";
try {
  if (path.endsWith(".pth")) await readPyTorch(path);
  else {
    const column = await openParquetColumn(await fileAccess(path), "image", path);
    for (const group of column.rows.keys()) for await (const _ of column.read(group));
  }
} catch (error) {
  outcome = error.message;
}
const { user, system } = cpuUsage(start);
const [, peak] = Deno.readTextFileSync("/proc/self/status").match(/VmHWM:\\s*(\\d+)/);
console.log(JSON.stringify({ outcome, seconds: (user + system) / 1e6, bytes: 1024 * Number(peak) }));
`;
Deno.writeTextFileSync(`${folder}/read.ts`, PROGRAM);

for (const name of FILES) {
  Deno.test(`${name} is rejected by name within a second and 200 MiB`, async () => {
    const bytes = Deno.readFileSync(new URL(`tests/fixtures/hostile/${name}`, ROOT));
    const path = `${folder}/${name.replace(/\.gz$/, "")}`;
    Deno.writeFileSync(path, name.endsWith(".gz") ? gunzipSync(bytes) : bytes);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--config",
        fileURLToPath(new URL("deno.json", ROOT)),
        `${folder}/read.ts`,
        path,
      ],
    }).output();
    const text = new TextDecoder().decode(stdout);
    assert.notEqual(text, "", new TextDecoder().decode(stderr));
    const { outcome, seconds, bytes: peak } = JSON.parse(text);
    assert.match(outcome, /^Cannot read /);
    assert.ok(outcome.includes(path), outcome);
    assert.ok(peak < MOST_BYTES, `${peak} bytes`);
    assert.ok(seconds < MOST_SECONDS, `${seconds} s`);
  });
}
