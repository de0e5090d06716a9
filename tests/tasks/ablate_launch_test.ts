import assert from "node:assert/strict";
import * as z from "zod";
import { readSettings } from "../../settings/settings.ts";
import { LAUNCH_OPTIONS, remoteLauncher } from "../../tasks/launch_options.ts";
import { KubernetesLauncher } from "../../studies/launchers/kubernetes.ts";
import { PrintLauncher } from "../../studies/launchers/print.ts";
import { SlurmLauncher } from "../../studies/launchers/slurm.ts";
import type { StudyRun } from "../../studies/records.ts";
import { type Ended, folderForTests, lastLine, runTask, snapshot } from "./child.ts";

const folder = folderForTests();
const out = `${folder}/study`;
const file = `${folder}/study.json`;
Deno.writeTextFileSync(
  file,
  JSON.stringify({
    name: "tiny",
    base: {
      device: "cpu",
      model: { hidden: 8, residualHidden: 4 },
      quantizer: { codebookSize: 8, codebookDim: 4 },
      training: { maxSteps: 3, batchSize: 16 },
    },
    axes: [{
      name: "which",
      values: {
        good: {},
        broken: { optimizer: { learningRate: 1e6 }, training: { maxSteps: 20 } },
      },
    }],
  }),
);

const ablate = (...args: string[]) => runTask("ablate", args);
const collect = (path: string) => ablate("collect", path, "--json");
const statesOf = ({ stdout }: Ended) =>
  (lastLine(stdout).runs as readonly StudyRun[]).map(({ state }) => state);

/** Calls a command as a shell does; gives its exit code and its output. */
async function call(command: string): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stdout, stderr } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  return { code, text };
}

Deno.test("printed commands compute the runs, a command started twice computes its run once, and a failure is reported", async () => {
  const printed = await ablate(file, "--out", out, "--launcher", "print");
  assert.equal(printed.code, 0, printed.stderr);
  const [good, broken, ...rest] = printed.stdout.split("\n");
  assert.deepEqual(rest, [""], "nothing else is on stdout");
  assert.deepEqual(statesOf(await collect(out)), ["waiting", "waiting"]);

  const [once, twice] = await Promise.all([call(good), call(good)]);
  assert.deepEqual([once.code, twice.code], [0, 0], once.text + twice.text);
  const trained = [once, twice].filter(({ text }) => text.includes("training on"));
  assert.equal(trained.length, 1, "the other waits, and finds nothing left to do");
  const failed = await call(broken);
  assert.equal(failed.code, 1);
  assert.match(failed.text, /^Cannot continue training: .* must be finite/m);

  assert.deepEqual(statesOf(await collect(out)), ["finished", "failed"]);
  const again = await ablate(file, "--out", out, "--launcher", "print");
  assert.equal(again.stdout, "");
  assert.match(again.stderr, /1 of 2 runs are finished, 1 failed/);
  const retried = await ablate(file, "--out", out, "--launcher", "print", "--retry");
  assert.equal(retried.stdout, `${broken}\n`);
});

Deno.test("a study can be collected from a copy, with the runs it contains", async () => {
  const copy = `${folder}/copy`;
  const [finished] = lastLine((await collect(out)).stdout).runs as readonly StudyRun[];
  const here = finished.folder.replace(out, copy);
  const copied = [["plan.json", copy], [`runs/${finished.hash}`, `${copy}/runs`]];
  await call(
    copied.map(([from, to]) => `mkdir -p '${to}' && cp -r '${out}/${from}' '${to}'`).join(" && "),
  );
  const ended = await ablate("collect", copy);
  assert.equal(ended.code, 1);
  assert.match(ended.stdout, /\| good +\|/);
  assert.match(ended.stdout, /^which broken, seed 42: missing, it has not begun or is not here$/m);
  assert.match(ended.stdout, /^1 of 2 runs are finished, 0 failed/m);
  const [record] = Deno.readTextFileSync(`${copy}/study.jsonl`).split("\n");
  assert.deepEqual(JSON.parse(record), { ...finished, folder: here });
  const files = [...Deno.readDirSync(copy)].map(({ name }) => name).sort();
  assert.deepEqual(files, [
    ...["plan.json", "runs", "study.csv", "study.html", "study.jsonl", "study.md"],
  ]);
});

Deno.test("a study that cannot be launched or collected is rejected before anything is written", async () => {
  const before = snapshot(folder);
  const none = ["--out", `${folder}/none`];
  const refusals: readonly (readonly [readonly string[], RegExp])[] = [
    [["collect", folder], /Cannot collect .* its plan\.json, got ENOENT/],
    [["collect", out, "--jobs", "2"], /there is no flag --jobs, `deno task ablate collect --help`/],
    [
      [file, "--slurm.options", "--partition gpu", ...none],
      /--slurm\.options must be given with --launcher slurm, got --launcher local/,
    ],
    [[file, "--launcher", "kubernetes", ...none], /--kubernetes\.image must be given, got none/],
  ];
  await Promise.all(refusals.map(async ([args, message]) => {
    const { code, stderr } = await ablate(...args);
    assert.match(stderr, message);
    assert.equal(code, 2);
    assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
  }));
  assert.deepEqual(snapshot(folder), before);
});

Deno.test("every launcher accepts only its own flags", () => {
  const schema = z.strictObject(LAUNCH_OPTIONS);
  const launcherOf = (given: Readonly<Record<string, unknown>>) =>
    remoteLauncher(readSettings(schema, given, "read the command line"), given, "/out");
  const kubernetes = { image: "a", claim: "b", folder: "c" };
  assert.equal(launcherOf({ jobs: 2 }), undefined);
  assert.ok(launcherOf({ launcher: "print" }) instanceof PrintLauncher);
  assert.ok(launcherOf({ launcher: "slurm", jobs: 2 }) instanceof SlurmLauncher);
  assert.ok(launcherOf({ launcher: "kubernetes", kubernetes }) instanceof KubernetesLauncher);
  const refusals: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ launcher: "slrm" }, /launcher must be local, slurm, kubernetes or print, got "slrm"/],
    [{ launcher: "print", jobs: 2 }, /--jobs and --launcher print must not be given together/],
    [
      { launcher: "kubernetes", slurm: { tasks: 2 } },
      /--slurm\.tasks must be given with --launcher slurm, got --launcher kubernetes/,
    ],
    [{ slurm: { tasks: 2 } }, /--slurm\.tasks must be given .*, got --launcher local/],
    [{ launcher: "slurm", slurm: { start: "srun" } }, /start must be given with tasks/],
    [{ launcher: "slurm", slurm: { arraySize: 0 } }, /slurm\.arraySize must be .* got 0/],
    [
      { launcher: "slurm", kubernetes },
      /--kubernetes\.image must be given with --launcher kubernetes, got --launcher slurm/,
    ],
    [{ launcher: "kubernetes", kubernetes: { image: "a" } }, /--kubernetes\.claim must be given/],
    [
      { launcher: "kubernetes", kubernetes: { ...kubernetes, folder: null } },
      /must be a path within the claim, got \/out/,
    ],
  ];
  for (const [given, message] of refusals) {
    assert.throws(() => launcherOf(given), { name: "RangeError", message });
  }
});
