/** This project's training step: clustered codebook, cosine, closest anchors.
 *
 *     deno run -A bench/peers/codebook_step.ts cpu|blas|libraries BATCH
 */
import { stepRow } from "../step.ts";
import { openOwnDevice } from "./own_device.ts";
import { report } from "./side.ts";

const [name, batch] = Deno.args;
const device = await openOwnDevice(name);
const { ms } = await stepRow(device, "clustered", "cos", {
  batch: Number(batch),
  runs: 3,
  scaling: false,
});
report(`step${batch}`, ms);
Deno.exit(0);
