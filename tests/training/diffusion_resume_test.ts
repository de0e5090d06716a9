/** A diffusion over a first stage, with averaged weights, that is stopped or killed and goes on. */
import assert from "node:assert/strict";
import { decodeSafetensors } from "../../files/safetensors_bytes.ts";
import type { Device } from "../../core/tensor.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { train, type TrainingSummary, type TrainOptions } from "../../training/trainer.ts";
import { openTestDevices } from "../helpers.ts";
import { classedWaves, tinyDiffusion, tinyFirstStage } from "../objectives/tiny_diffusion.ts";
import { assertSameEnd, lastCheckpoint, withFolder } from "./tiny.ts";

const devices = await openTestDevices();

const caches = Deno.makeTempDirSync({ prefix: "codebook-caches-" });
Deno.env.set("CODEBOOK_CACHE", caches);
addEventListener("unload", () => Deno.removeSync(caches, { recursive: true }));

/** Two epochs of 6 steps, a checkpoint every other step. A run that goes on reads the features from a file. */
async function trainDiffusion(
  device: Device,
  path: string,
  options: Partial<TrainOptions> = {},
): Promise<TrainingSummary> {
  const dataset = classedWaves();
  using stage1 = tinyFirstStage(device);
  using objective = tinyDiffusion(device, {
    ...{ stage1, dataset, network: { classes: 2, dropout: 0.1 } },
    ...{ dropClass: 0.2, cache: "flips", cacheIn: options.resume ? "file" : "memory" },
  });
  return await train({
    ...{ device, objective, dataset, seed: 7, batchSize: 4, epochs: 2, averageDecay: 0.9 },
    ...{ logEverySteps: 1, checkpointEverySteps: 2, folder: new RunFolder(path) },
    identity: { "objective.type": "diffusion" },
    ...options,
  });
}

function copyFolder(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyFolder(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

for (const device of devices) {
  Deno.test(`a diffusion run stopped or killed at any step ends with the same bytes (${device.name})`, async () => {
    await withFolder(async (path) => {
      const whole = `${path}/whole`;
      const { finished, test } = await trainDiffusion(device, whole);
      assert.ok(finished && Number.isFinite(test?.numbers.loss));
      const entries = decodeSafetensors(await lastCheckpoint(whole), whole).tensors;
      for (const name of ["model.latents.basis", "average.values.denoiser.output.weight"]) {
        assert.ok(entries.has(name), name);
      }
      for (const step of [1, 5, 6, 9]) {
        const stopped = `${path}/stopped-${step}`, killed = `${path}/killed-${step}`;
        const stop = new AbortController();
        await trainDiffusion(device, stopped, {
          signal: stop.signal,
          onProgress: (progress) => {
            if (progress.step !== step) return;
            // What a process that is killed now leaves.
            copyFolder(stopped, killed);
            stop.abort();
          },
        });
        for (const folder of [stopped, killed]) {
          const { finished } = await trainDiffusion(device, folder, { resume: true });
          assert.ok(finished);
          await assertSameEnd(folder, whole, `at step ${step}`);
        }
      }
    });
  });
}
