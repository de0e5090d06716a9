import assert from "node:assert/strict";
import { LocalLauncher, type StudyEvent } from "../../studies/launchers/local.ts";
import { planRuns } from "../../studies/plan.ts";
import { readRecord } from "../../studies/records.ts";
import type { Study } from "../../studies/study.ts";

const STUDY: Study = {
  name: "tiny",
  base: {
    device: "cpu",
    model: { hidden: 4, residualHidden: 2, residualLayers: 0 },
    quantizer: { codebookDim: 2 },
    data: { name: "shapes", size: 8, trainImages: 8 },
    training: { maxSteps: 1, batchSize: 2 },
  },
  axes: [{ path: "quantizer.codebookSize", values: [2, 3] }],
};

Deno.test("a result that cannot be processed stops no other run, and is reported after all have ended", async () => {
  const out = await Deno.makeTempDir({ prefix: "codebook-local-" });
  try {
    const runs = await planRuns(STUDY, { out });
    const ended: string[] = [];
    const onEnd = (run: typeof runs[number]) => {
      ended.push(run.hash);
      return ended.length === 1 ? Promise.reject(new Error("Cannot write")) : Promise.resolve();
    };
    const launched = new LocalLauncher().launch({ study: STUDY, out, runs, onEnd });
    await assert.rejects(launched, /^Error: Cannot write$/);
    assert.deepEqual(ended, runs.map(({ hash }) => hash));
    const states = await Promise.all(runs.map(async (run) => (await readRecord(run)).state));
    assert.deepEqual(states, ["finished", "finished"]);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("no process outlives the launch, even if a listener throws", async () => {
  const out = await Deno.makeTempDir({ prefix: "codebook-local-" });
  try {
    const settings = { training: { maxSteps: 1_000_000 } };
    const [run] = await planRuns(STUDY, { out, settings: settings });
    const onEvent = ({ kind }: StudyEvent) => {
      if (kind === "line") throw new Error("Cannot listen");
    };
    const launcher = new LocalLauncher({ onEvent });
    const work = { study: STUDY, out, runs: [run], onEnd: () => Promise.resolve() };
    await assert.rejects(launcher.launch(work), /Cannot listen/);
    using lock = await Deno.open(`${run.config.out}/run.lock`, { write: true });
    assert.equal(await lock.tryLock(true), true, "the run's process is gone");
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
