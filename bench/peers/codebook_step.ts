/** This project's training step of the small VQ-VAE.
 *
 *     deno run -A bench/peers/codebook_step.ts cpu|blas|libraries STEP
 *
 * STEP is the index of the step in `STEPS`.
 */
import { stepRow } from "../step.ts";
import { openOwnDevice } from "./own_device.ts";
import { report } from "./side.ts";
import { STEPS, vqvaeWork } from "./steps.ts";

const [name, index] = Deno.args;
const step = STEPS[Number(index)], { quantizer, batch, image: [side, channels], runs } = step;
const device = await openOwnDevice(name);
const { ms } = await stepRow(device, quantizer, quantizer === "clustered" ? "cos" : "l2", {
  ...{ batch, side, channels, runs },
  scaling: false,
});
report(vqvaeWork(step), ms);
Deno.exit(0);
