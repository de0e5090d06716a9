import assert from "node:assert/strict";
import type { StudyRun } from "../../studies/records.ts";
import { type Ended, folderForTests, lastLine, runTask, snapshot, taskCommand } from "./child.ts";

const folder = folderForTests();
const out = `${folder}/study`;
const file = `${folder}/study.ts`;

/** A study of the smallest models: some sizes, and a run that breaks. */
function writeStudy(sizes: readonly number[]): void {
  const ok = sizes.map((size) => [`${size} codes`, { quantizer: { codebookSize: size } }]);
  const broken = { optimizer: { learningRate: 1e6 }, training: { maxSteps: 20 } };
  const study = {
    name: "tiny",
    base: {
      device: "cpu",
      model: { hidden: 8, residualHidden: 4 },
      quantizer: { codebookSize: 8, codebookDim: 4 },
      training: { maxSteps: 30, batchSize: 16, logEverySteps: 1, checkpointEverySteps: 2 },
    },
    axes: [{ name: "which", values: { broken, ...Object.fromEntries(ok) } }],
  };
  Deno.writeTextFileSync(file, `export default ${JSON.stringify(study)};`);
}

const ablate = (...args: string[]) => runTask("ablate", [file, "--out", out, "--json", ...args]);
const runsOf = ({ stdout }: Ended) => lastLine(stdout).runs as readonly StudyRun[];
const statesOf = (ended: Ended) =>
  Object.fromEntries(runsOf(ended).map(({ point, state }) => [point.which, state]));
const modified = (path: string) => Deno.statSync(path).mtime?.getTime();

Deno.test("a dry run lists the runs, and writes nothing", async () => {
  writeStudy([8]);
  const ended = await ablate("--dry-run");
  assert.equal(ended.code, 0, ended.stderr);
  assert.deepEqual(statesOf(ended), { "broken": "waiting", "8 codes": "waiting" });
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["study.ts"]);
});

/** Starts the study, and sends it a signal when its last run has so many records; gives its exit code. */
async function stopAfter(records: number, signal: Deno.Signal, metrics: string): Promise<number> {
  const child = taskCommand("ablate", [file, "--out", out, "--json"]).spawn();
  const recorded = async () =>
    (await Deno.readTextFile(metrics).catch(() => "")).split("\n").length;
  while (await recorded() < records) await new Promise((resolve) => setTimeout(resolve, 10));
  child.kill(signal);
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
  return (await child.status).code;
}

Deno.test("a stopped or killed study continues where it was, and a failing run stops no other", async () => {
  const [, { folder: run }] = runsOf(await ablate("--dry-run"));
  const metrics = `${run}/metrics.jsonl`;
  assert.equal(await stopAfter(4, "SIGINT", metrics), 130);
  const halfway = { "broken": "failed", "8 codes": "started" };
  assert.deepEqual(statesOf(await ablate("--dry-run")), halfway);
  await stopAfter(10, "SIGKILL", metrics);
  assert.deepEqual(statesOf(await ablate("--dry-run")), halfway);

  const ended = await ablate();
  assert.equal(ended.code, 1, ended.stderr);
  assert.deepEqual(statesOf(ended), { "broken": "failed", "8 codes": "finished" });
  assert.doesNotMatch(ended.stderr, /broken.* started/, "it is not run again");
  assert.match(runsOf(ended)[0].failure ?? "", /^Cannot continue training: .* must be finite/);
  const { steps, measured } = runsOf(ended)[1];
  assert.equal(steps, 30);
  assert.ok(measured!.mse! > 0 && measured!.secondsPerStep! > 0);
  const steppedOnce = Deno.readTextFileSync(metrics).trimEnd().split("\n")
    .map((line) => JSON.parse(line)).filter(({ kind }) => kind === "step").map(({ step }) => step);
  assert.deepEqual(steppedOnce, Array.from({ length: 30 }, (_, index) => index + 1));
  const files = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
  assert.deepEqual(files, [
    "plan.json",
    "runs",
    "study.csv",
    "study.html",
    "study.jsonl",
    "study.lock",
    "study.md",
  ]);
  const page = Deno.readTextFileSync(`${out}/study.html`);
  for (const name of ["original", "which 8 codes"]) assert.ok(page.includes(`alt="${name} 16"`));
  assert.match(page, /class="histograms"/);
});

Deno.test("a changed study runs new runs, keeps finished ones, and forgets removed ones", async () => {
  const [, kept] = runsOf(await ablate("--dry-run"));
  const before = modified(`${kept.folder}/summary.json`);
  writeStudy([8, 4]);
  const added = await ablate();
  assert.deepEqual(statesOf(added), {
    ...{ "broken": "failed", "8 codes": "finished", "4 codes": "finished" },
  });
  assert.equal(modified(`${kept.folder}/summary.json`), before);

  writeStudy([4]);
  const retried = await ablate("--retry");
  assert.match(retried.stderr, /run 1 of 2, which broken, seed 42: started/);
  assert.deepEqual(statesOf(retried), { "broken": "failed", "4 codes": "finished" });
  assert.doesNotMatch(Deno.readTextFileSync(`${out}/study.md`), /8 codes/);
  assert.equal(modified(`${kept.folder}/summary.json`), before);
});

Deno.test("invalid studies, names and flags are rejected before anything is written", async () => {
  const wrong = `${folder}/wrong.json`;
  Deno.writeTextFileSync(wrong, '{ "name": "wrong", "axes": [{ "path": "seed" }] }');
  const before = snapshot(folder);
  const refusals: readonly (readonly [readonly string[], RegExp])[] = [
    [["quantisers"], /must be a name or a .* got quantisers, did you mean quantizers\?/],
    [[`${folder}/missing.json`], /Cannot open the study .*missing\.json: it must be JSON/],
    [[wrong], /Cannot read the study .*wrong\.json: axes\[0\] must be a path with a list of/],
    [[file, "--scale", "paper"], /its scale must be one of none, got paper/],
    [
      [file, "--model.hidden", "7"],
      /in the run which broken, seed 42, model\.hidden must be an even/,
    ],
    [[file, "--seed", "7"], /there is no flag --seed/],
  ];
  for (let first = 0; first < refusals.length; first += 2) {
    await Promise.all(
      refusals.slice(first, first + 2).map(async ([args, message]) => {
        const { code, stderr } = await runTask("ablate", [...args, "--out", `${folder}/none`]);
        assert.match(stderr, message);
        assert.equal(code, 2);
        assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
      }),
    );
  }
  assert.deepEqual(snapshot(folder), before);
});
