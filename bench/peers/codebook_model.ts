/** This project's training step of a model, and a diffusion's step of DDIM.
 *
 *     deno run -A bench/peers/codebook_model.ts cpu|blas|libraries vqgan-small|vqgan-f8|gpt|ldm|ddpm
 */
import { makeModel, type ModelName, sampleByDdim } from "../models.ts";
import { DDIM_STEPS } from "../models.ts";
import { openOwnDevice } from "./own_device.ts";
import { isDiffusion, runsOf, samplingWork, sideOf, stepWork } from "./models.ts";
import { leastOf, report } from "./side.ts";

const [name, preset] = Deno.args as [string, ModelName];
const device = await openOwnDevice(name);
const { objective, step } = await makeModel(device, preset);
const train = () => {
  using _scope = device.scope();
  step();
};
report(stepWork(preset), await leastOf(runsOf(preset), train));
if (isDiffusion(preset)) {
  const sample = () => sampleByDdim(device, objective, sideOf(preset));
  report(samplingWork(preset), await leastOf(runsOf(preset), sample) / DDIM_STEPS);
}
Deno.exit(0);
