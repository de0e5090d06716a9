/** Training steps of whole models. */
import { profile } from "../core/profile.ts";
import { makeModel, type ModelName, MODELS } from "./models.ts";
import { type Bench, fastest } from "./row.ts";

/** A row for the training step of each model, with the same batch as in the comparison with PyTorch. */
export function modelBench(names: readonly ModelName[]): Bench {
  return async function* (device, { runs, onProfile }) {
    for (const name of names) {
      using _scope = device.scope();
      const { batch, image } = MODELS[name], { step } = await makeModel(device, name);
      const take = (): void => {
        using _made = device.scope();
        step();
      };
      const ms = await fastest(device, runs, take);
      const shape = `${name}, batch ${batch} of ${image.join("x")}`;
      onProfile?.(await profile(device, `step, ${shape}`, take));
      const rate = { images_per_second: batch / ms * 1000 };
      yield { bench: "step", device: device.name, shape, ms, ...rate };
    }
  };
}
