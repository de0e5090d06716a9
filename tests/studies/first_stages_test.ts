/** Studies whose runs stand on runs of another study: planned, launched in turn, resumed, collected. */
import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { collectStudy } from "../../studies/collect_study.ts";
import { KubernetesLauncher } from "../../studies/launchers/kubernetes.ts";
import type { Launcher } from "../../studies/launchers/launcher.ts";
import { LocalLauncher } from "../../studies/launchers/local.ts";
import { PrintLauncher } from "../../studies/launchers/print.ts";
import { planRuns } from "../../studies/plan.ts";
import { launchStudy, runStudy } from "../../studies/run_study.ts";
import { readStudy, type SettingsAxis, type Study } from "../../studies/study.ts";
import { showMarkdown } from "../../studies/tables.ts";
import { RunFolder } from "../../training/run_folder.ts";
import type { Settings } from "../../training/presets.ts";
import { OBJECTIVE_TYPES, objectiveKind } from "../../objectives/registry.ts";
import { STUDIES } from "../../tasks/studies/registry.ts";

const training = { maxSteps: 2, batchSize: 16, logEverySteps: 1, checkpointEverySteps: 1 };
const STUDY: Study = {
  name: "generators",
  base: { device: "cpu", training, model: { width: 16 } },
  stage1: {
    name: "stages",
    base: {
      device: "cpu",
      training,
      model: { hidden: 8, residualHidden: 4 },
      quantizer: { codebookSize: 8, codebookDim: 4 },
    },
    axes: [{ path: "quantizer.type", values: ["vanilla", "clustered"] }],
  },
  axes: [{
    name: "generator",
    values: {
      codes: { preset: "gpt", model: { layers: 1, heads: 2 } },
      pixels: { preset: "ddpm", model: { groups: 4, headChannels: 8, multipliers: [1, 1, 1] } },
    },
  }],
  samples: 20,
  measure: ["fid", "bits", "stage1Usage", "stage1Mse", "parameters", "secondsPerSample"],
};

async function inFolder(body: (out: string) => Promise<void>): Promise<void> {
  const out = await Deno.makeTempDir({ prefix: "codebook-stages-" });
  try {
    await body(out);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

Deno.test("each generator is paired with each first stage of its seed, and those without a first stage run alone", async () => {
  const out = "runs/generators";
  const two = { ...STUDY, seeds: [1, 2], stage1: { ...STUDY.stage1!, seeds: [1, 2] } };
  const runs = await planRuns(two, { out });
  assert.deepEqual(runs.map(({ point, seed }) => [...Object.values(point), seed]), [
    ["vanilla", "codes", 1],
    ["clustered", "codes", 1],
    ["none", "pixels", 1],
    ["vanilla", "codes", 2],
    ["clustered", "codes", 2],
    ["none", "pixels", 2],
  ]);
  assert.deepEqual(Object.keys(runs[0].point), ["quantizer.type", "generator"]);
  const below = await planRuns(two.stage1, { out: join(out, "stage1") });
  const [vanilla, clustered] = below;
  for (const [run, stage] of [[runs[0], vanilla], [runs[1], clustered], [runs[4], below[3]]]) {
    assert.equal(run.stage1!.hash, stage.hash);
    assert.equal(run.config.stage1, resolve(stage.config.out));
  }
  assert.deepEqual([runs[2].stage1, runs[2].config.stage1], [undefined, null]);
  assert.ok(runs.every(({ judging }) => judging!.samples === 20));
  assert.ok(below.every(({ judging }) => judging === undefined));

  const how = { ...STUDY, base: { ...STUDY.base, sampling: { guidance: 1 } } };
  const [axis] = STUDY.axes as readonly SettingsAxis[];
  const codes = { ...axis.values, masked: { preset: "maskgit", sampling: { topK: 4 } } };
  const sampled = await planRuns({ ...how, axes: [{ name: "generator", values: codes }] }, { out });
  assert.deepEqual(sampled.map(({ judging }) => judging!.sampling), [
    { guidance: 1 },
    { guidance: 1, topK: 4 },
    ...[{ guidance: 1 }, { guidance: 1, topK: 4 }, { guidance: 1 }],
  ]);
  const [unsampled] = await planRuns({ ...STUDY, axes: [axis] }, { out });
  assert.equal(sampled[0].hash, unsampled.hash, "the same training");

  const elsewhere = await planRuns(two, { out: "elsewhere" });
  assert.deepEqual(elsewhere.map(({ hash }) => hash), runs.map(({ hash }) => hash));
  const settings = { quantizer: { codebookSize: 4 } };
  const other = await planRuns(two, { out, settings });
  assert.ok(other[0].hash !== runs[0].hash, "another first stage is below");
  assert.equal(other[2].hash, runs[2].hash);
});

Deno.test("each generator is only paired with first stages whose codes it takes", async () => {
  const of = (type: string) => ({ quantizer: { type } });
  const stages = {
    name: "quantizer",
    values: { one: of("ema"), several: of("residual"), scales: of("multi-scale") },
  };
  const study: Study = {
    name: "generators",
    stage1: { name: "stages", axes: [stages] },
    axes: [{
      name: "generator",
      values: Object.fromEntries(
        ["ldm", "gpt", "maskgit", "imagebart", "rq-transformer", "var", "ddpm"]
          .map((preset) => [preset, { preset }]),
      ),
    }],
  };
  const runs = await planRuns(study, { out: "x" });
  assert.deepEqual(runs.map(({ point }) => Object.values(point).join(" ")), [
    "one ldm",
    "one gpt",
    "one maskgit",
    "one imagebart",
    "several ldm",
    "several rq-transformer",
    "scales ldm",
    "scales var",
    "none ddpm",
  ]);
  const without = {
    ...study,
    stage1: { ...study.stage1!, axes: [{ path: "quantizer.type", values: ["ema"] }] },
  };
  await assert.rejects(planRuns(without, { out: "x" }), {
    name: "RangeError",
    message:
      "Cannot plan the study generators: each objective must have a first stage with the codes that it takes, " +
      "got none for generator rq-transformer",
  });
});

Deno.test("an impossible study is rejected", async () => {
  const refused = (study: Study, message: RegExp) =>
    assert.rejects(planRuns(study, { out: "x" }), { name: "RangeError", message });
  await refused(
    { ...STUDY, seeds: [7] },
    /its first stages must have a run of every seed, got none of 7/,
  );
  const sampled = (sampling: Settings, preset = "gpt") => ({
    ...STUDY,
    axes: [{ name: "generator", values: { codes: { preset, sampling } } }],
  });
  await refused(
    sampled({ steps: 3 }),
    /in the run quantizer.type vanilla, generator codes, seed 42, there is no setting steps,/,
  );
  await refused(sampled({ topK: 0 }), /topK must be an integer of at least 1, or none, got 0/);
  await refused({ ...STUDY, base: { ...STUDY.base, stage1: "runs/a" } }, /stage1 must not be set/);
  assert.throws(
    () => readStudy({ ...STUDY, stage1: { name: "A" } }),
    /stage1\.name must be a text/,
  );
  assert.throws(() => readStudy({ ...STUDY, samples: 0 }), /samples must be at least 1, got 0/);
  await inFolder(async (out) => {
    const launcher = new KubernetesLauncher({ image: "i", claim: "c", folder: "f" });
    await assert.rejects(
      launchStudy(STUDY, launcher, { out }),
      /with kubernetes: its runs must not depend on first stages of the study, got stages; --launcher local/,
    );
    assert.deepEqual([...Deno.readDirSync(out)], []);
  });
});

Deno.test("external launchers start the first stages first, then the runs that depend on them", () =>
  inFolder(async (out) => {
    const first = await launchStudy(STUDY, new PrintLauncher(), { out });
    assert.equal(first.next.length, 2 + 1 + 1, "two first stages, the pixels, and a word");
    assert.match(first.next[3], /^2 of the runs wait for their first stages; the same command/);
    const [{ folder }] = first.stage1!.records;
    await new RunFolder(folder).writeSummary({
      ...{ steps: 2, device: "cpu", imagesPerSecond: 1 },
      test: { images: 1, mse: 1, psnr: 1, usage: 1, perplexity: 1, protocol: "a" },
      protocols: {
        a: {
          dataset: "d",
          split: "test",
          images: 1,
          imageShape: [1, 1, 1],
          valueRange: [-1, 1],
          metrics: {},
        },
      },
    });
    const second = await launchStudy(STUDY, new PrintLauncher(), { out });
    assert.equal(second.next.length, 1 + 2 + 1);
    assert.match(second.next[3], /^1 of the runs wait/);
    const collected = await collectStudy(out);
    assert.deepEqual(collected.stage1!.records.map(({ state }) => state), ["finished", "waiting"]);
  }));

Deno.test("a study of generators can run in several sessions, and its table has all runs", () =>
  inFolder(async (out) => {
    const axes = [{ path: "quantizer.type", values: ["vanilla"] }];
    const study = { ...STUDY, stage1: { ...STUDY.stage1!, axes } };
    // The first sitting trains the first stage and one run on it; then it is stopped.
    const local = new LocalLauncher(), launched: string[] = [];
    const stopped: Launcher = {
      launch: async (work) => {
        launched.push(work.runs[0].hash);
        return await local.launch({ ...work, runs: work.runs.slice(0, 1) });
      },
    };
    const { records: halfway, stage1 } = await launchStudy(study, stopped, { out });
    assert.equal(launched.length, 2);
    assert.deepEqual(stage1!.records.map(({ state }) => state), ["finished"]);
    assert.deepEqual(halfway.map(({ state }) => state), ["finished", "waiting"]);
    const records = await runStudy(study, { out, jobs: 2 });
    assert.deepEqual(records.map(({ state, failure }) => [state, failure]), [
      ...[["finished", null], ["finished", null]],
    ]);
    assert.equal(new Set(records.map(({ protocol }) => protocol)).size, 1, "one table");
    for (const { point, measured } of records) {
      const { fid, bits, stage1Usage, stage1Mse, parameters, secondsPerSample } = measured!;
      assert.ok(fid! > 0 && parameters! > 1000 && secondsPerSample! > 0);
      assert.equal(measured!.usage, undefined);
      const standsAlone = point.generator === "pixels";
      assert.deepEqual([bits, stage1Usage, stage1Mse].map((value) => typeof value !== "number"), [
        ...[standsAlone, standsAlone, standsAlone],
      ]);
    }
    const table = showMarkdown(study, records);
    assert.match(
      table,
      /\| quantizer\.type \| generator \| FID +\| bits per code \| first stage usage, % /,
    );
    const page = await Deno.readTextFile(`${out}/study.html`);
    assert.match(page, /bits per code/);
    assert.doesNotMatch(page, /Damaged|Left to run/);
    assert.match(await Deno.readTextFile(`${out}/stage1/study.html`), /Reconstructions/);

    // A run that was trained and not judged is judged alone.
    const { folder } = records[0], metrics = `${folder}/metrics.jsonl`;
    const before = Deno.statSync(metrics).mtime;
    await Deno.remove(`${folder}/evaluation.json`);
    assert.equal((await collectStudy(out)).records[0].state, "started");
    const [again] = await runStudy(study, { out });
    assert.equal(again.state, "finished");
    assert.equal(again.measured!.fid, records[0].measured!.fid);
    assert.deepEqual(Deno.statSync(metrics).mtime, before, "it is not trained again");

    // So is a run that is to be sampled in another way.
    const [codes] = study.axes as readonly SettingsAxis[], { pixels } = codes.values;
    const values = { codes: { ...codes.values.codes, sampling: { topK: 2, topP: null } }, pixels };
    const [other] = await runStudy({ ...study, axes: [{ ...codes, values }] }, { out });
    assert.equal(other.hash, again.hash);
    assert.deepEqual(Deno.statSync(metrics).mtime, before, "it is not trained again");
    const { sampling } = JSON.parse(await Deno.readTextFile(`${folder}/evaluation.json`));
    assert.equal(sampling.topK, 2);
    const asBefore = await launchStudy(study, new PrintLauncher(), { out });
    assert.deepEqual(asBefore.records.map(({ state }) => state), ["started", "finished"]);
  }));

Deno.test("the study generation has every generator, with the settings of its preset", async () => {
  const study = STUDIES.find(({ name }) => name === "generation")!;
  const generators = OBJECTIVE_TYPES.filter((type) => objectiveKind(type).sampling !== undefined);
  for (const scale of ["smoke", "small"] as const) {
    const runs = await planRuns(study, { out: "runs/generation", scale });
    const types = runs.map(({ config }) => config.objective.type);
    assert.deepEqual([...new Set(types)].sort(), generators.sort());
    const diffusions = runs.filter(({ point }) => point.generator === "latent diffusion");
    const ways = diffusions.map(({ config: { objective, model, training } }) =>
      JSON.stringify([objective, model, training])
    );
    assert.equal(diffusions.length, 3);
    assert.equal(new Set(ways).size, 1);
  }
});
