/** This project's training step of a VQGAN, with its discriminator.
 *
 *     deno run -A bench/peers/codebook_vqgan_step.ts cpu|blas|libraries vqgan-small|vqgan-f8
 */
import { profile } from "../../core/profile.ts";
import { randomKey } from "../../core/random.ts";
import { sizeOf } from "../../core/shape.ts";
import { showDearest } from "../../core/trace.ts";
import { memoryDataset } from "../../data/memory.ts";
import { constructObjective } from "../../training/construct.ts";
import { fastest } from "../row.ts";
import { openOwnDevice } from "./own_device.ts";
import { report } from "./side.ts";
import { configOf } from "./vqgan_settings.ts";
import { type VqganName, VQGANS, vqganWork } from "./vqgans.ts";

const [name, preset] = Deno.args as [string, VqganName];
const { batch, side, steps } = VQGANS[preset];
const device = await openOwnDevice(name);
const imageShape = [side, side, 3] as const;
const values = Float32Array.from(
  { length: batch * sizeOf(imageShape) },
  (_, at) => (at * 0.618) % 2 - 1,
);
const dataset = memoryDataset({ name: "noise", imageShape, train: values, test: values });
const objective = await constructObjective(configOf(preset), device, dataset);
const images = device.tensor(values, [batch, ...imageShape]);
let step = 0;
const take = () => {
  const key = randomKey(1, "step", step);
  objective.step({ images }, { training: true, key, step: step++ });
};
report(vqganWork(preset), await fastest(device, steps, take));
if (Deno.args.includes("--profile")) {
  console.error(
    showDearest(
      await profile(device, preset, () => {
        using _scope = device.scope();
        take();
      }),
    ),
  );
}
Deno.exit(0);
