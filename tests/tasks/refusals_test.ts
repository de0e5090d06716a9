import assert from "node:assert/strict";
import { type Ended, folderForTests, NO_ADAPTER, runTask, TINY } from "./child.ts";

const folder = folderForTests();
const untouched = `${folder}/untouched`;
const file = `${folder}/file.json`;
Deno.writeTextFileSync(file, '{ "training": { "epoch": 3 } }');

/** What is asked for, the exit code, and what the message says. */
type Refusal = readonly [args: readonly string[], code: number, message: RegExp];

const REFUSALS: readonly Refusal[] = [
  [["--lerningRate", "1"], 2, /no flag --lerningRate, did you mean --optimizer\.learningRate\?/],
  [["--config", file], 2, /no setting training\.epoch, did you mean training\.epochs\?/],
  [["--config", `${folder}/missing.json`], 2, /--config must name a file .*missing\.json/],
  [["--seed", "abc"], 2, /seed must be an integer of at least 0, got "abc"/],
  [["--quantizer.codebookSize", "0"], 2, /codebookSize must be an integer of at least 1, got 0/],
  [["--quantizer.codebookDim", "0"], 2, /codebookDim must be an integer of at least 1, got 0/],
  [["--resume", "--overwrite"], 2, /--resume and --overwrite must not be given together, got both/],
  [["--open", "--json"], 2, /--open and --json must not be given together, got both/],
  [["--resume"], 1, /the folder must hold a run, got none/],
  [["--training.batchSize", "10000"], 1, /at most the 9003 training images of digits, got 10000/],
  [
    ["--out", `${file}/run`, "--device", "reference"],
    1,
    /Cannot make the folder .*file\.json\/run/,
  ],
];

const check = ({ code, stdout, stderr }: Ended, wanted: number, message: RegExp) => {
  assert.match(stderr, message);
  assert.equal(code, wanted, stderr);
  assert.match(stderr, /^Cannot /);
  assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
  assert.doesNotMatch(stdout, /^step /m);
};

Deno.test("train rejects invalid input with a message, before anything is written", async () => {
  for (let first = 0; first < REFUSALS.length; first += 2) {
    await Promise.all(
      REFUSALS.slice(first, first + 2).map(async ([args, code, message]) => {
        check(await runTask("train", [...TINY, "--out", untouched, ...args]), code, message);
      }),
    );
  }
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["file.json"]);
});

Deno.test("without an adapter, webgpu is rejected with advice on what to install", async () => {
  const args = [...TINY, "--device", "webgpu", "--out", untouched];
  const [asked, doctor] = await Promise.all([
    runTask("train", args, NO_ADAPTER),
    runTask("doctor", ["--json"], NO_ADAPTER),
  ]);
  check(asked, 1, /Cannot open device webgpu: no adapter was found\. Install/);
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["file.json"]);

  const { devices, advice, auto } = JSON.parse(doctor.stdout);
  assert.equal(devices.find(({ name }: { name: string }) => name === "webgpu").available, false);
  assert.ok(advice.some((text: string) => text.includes("mesa-vulkan-drivers")), doctor.stdout);
  assert.equal(auto, "cpu");
});
