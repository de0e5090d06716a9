import assert from "node:assert/strict";
import { planRuns } from "../../studies/plan.ts";
import { readRecord } from "../../studies/records.ts";
import { RunFolder } from "../../training/run_folder.ts";

/** A summary of a finished run with these measurements. */
function summary(measurements: readonly { metric: string; value: number }[]) {
  const protocol = { dataset: "d", split: "test", images: 1 };
  return {
    ...{ steps: 2, device: "cpu", imagesPerSecond: 64, measurements },
    test: { images: 1, mse: 0.5, psnr: 9, usage: 1, perplexity: 3, protocol: "a" },
    protocols: { a: { ...protocol, imageShape: [1, 1, 1], valueRange: [-1, 1], metrics: {} } },
  } as const;
}

Deno.test("a record has the test numbers, and what training.metrics measured at the end", async () => {
  const out = await Deno.makeTempDir();
  try {
    const axes = [{ path: "quantizer.codebookSize", values: [8, 16] }];
    const [first, second] = await planRuns({ name: "sizes", axes }, { out });
    assert.equal((await readRecord(first)).state, "waiting");
    const all = [{ metric: "digit-fid", value: 4 }, { metric: "ssim", value: 0.75 }];
    for (const { config } of [first, second]) await Deno.mkdir(config.out, { recursive: true });
    await new RunFolder(first.config.out).writeSummary(summary(all));
    await new RunFolder(second.config.out).writeSummary(summary([]));
    const { state, measured } = await readRecord(first);
    assert.equal(state, "finished");
    const { usage, mse, psnr, ssim, fid, sharpness, secondsPerStep } = measured!;
    assert.deepEqual([usage, mse, psnr, ssim, fid, sharpness], [1, 0.5, 9, 0.75, 4, null]);
    assert.equal(secondsPerStep, first.config.training.batchSize / 64);
    assert.deepEqual((await readRecord(second)).measured!.ssim, null);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
