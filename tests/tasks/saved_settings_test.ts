/** What a run's own configuration, which somebody else may have written, can make the tasks do. */
import assert from "node:assert/strict";
import { folderForTests, runTask, snapshot, TINY } from "./child.ts";

const folder = folderForTests();
const run = `${folder}/run`;
const LIBRARY = "libm.so.6"; // A library that every Linux has and that loads.

const readConfig = (path: string) => JSON.parse(Deno.readTextFileSync(`${path}/config.json`));
function writeConfig(path: string, config: unknown): void {
  Deno.writeTextFileSync(`${path}/config.json`, JSON.stringify(config));
}

async function refused(task: string, args: readonly string[], message: RegExp): Promise<void> {
  const { code, stderr } = await runTask(task, args);
  assert.notEqual(code, 0, stderr);
  assert.match(stderr, /^Cannot /m);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
}

Deno.test("a library or an address in a run's configuration, in --config or in a study is rejected by name", async () => {
  const trained = await runTask("train", [...TINY, "--device", "reference", "--out", run]);
  assert.equal(trained.code, 0, trained.stderr);
  const good = readConfig(run);
  writeConfig(run, { ...good, cpu: { ...good.cpu, blas: LIBRARY } });
  const study = `${folder}/study.json`;
  const axes = [{ path: "quantizer.codebookSize", values: [8, 16] }];
  Deno.writeTextFileSync(
    study,
    JSON.stringify({ name: "evil", base: { cpu: { blas: LIBRARY } }, axes }),
  );
  const addresses = `${folder}/addresses.json`;
  const data = { name: "webdataset", train: "http://127.0.0.1:1/{0..3}.tar", test: "test.tar" };
  Deno.writeTextFileSync(addresses, JSON.stringify({ data }));
  const before = snapshot(folder);
  const library =
    /cpu\.blas must be auto or off if it comes from a file, .*, got "libm\.so\.6"; .*--cpu\.blas /;
  const none = ["--out", `${folder}/none`];
  await refused("evaluate", [run, "--device", "cpu"], library);
  await refused("train", ["--out", run, "--resume"], library);
  await refused("train", ["--config", `${run}/config.json`, ...none], library);
  await refused("ablate", [study, ...none], library);
  await refused(
    "train",
    ["--config", addresses, ...none],
    /data\.train must be a local path if it comes from a file, .*, got "http:.*give --data\.train on the command line/,
  );
  assert.deepEqual(snapshot(folder), before);

  const { code, stderr } = await runTask("evaluate", [
    ...[run, "--device", "cpu", "--cpu.blas", "off", "--report", "false"],
  ]);
  assert.equal(code, 0, `the command line replaces it: ${stderr}`);
  writeConfig(run, good);
});

Deno.test("a configuration file cannot make a run write outside the working folder", async () => {
  const file = `${folder}/out.json`;
  for (const out of [`${folder}/elsewhere`, "../elsewhere"]) {
    Deno.writeTextFileSync(file, JSON.stringify({ out }));
    await refused(
      "train",
      [...TINY, "--device", "reference", "--config", file],
      /out must be within the working folder if it comes from a file, .*give --out on the command line/,
    );
  }
});

Deno.test("a renamed run continues in the folder that it was opened from", async () => {
  const place = Deno.makeTempDirSync({ dir: folder });
  const opened = `${place}/runs/digits`; // Where a run is looked for without --out.
  Deno.mkdirSync(`${place}/runs`);
  Deno.renameSync(run, opened);
  const args = ["--resume", "--training.maxSteps", "4", "--device", "reference"];
  const { code, stderr } = await runTask("train", args, {}, place);
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(Deno.readTextFileSync(`${opened}/summary.json`)).steps, 4);
  assert.equal(readConfig(opened).out, "runs/digits");
  assert.throws(() => Deno.statSync(run), Deno.errors.NotFound);
});
