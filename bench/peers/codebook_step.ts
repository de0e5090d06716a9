/** This project's training step: clustered codebook, cosine, closest anchors.
 *
 *     deno run -A bench/peers/codebook_step.ts BATCH
 */
import { openDevice } from "../../core/device.ts";
import { stepRow } from "../step.ts";
import { report } from "./side.ts";

const batch = Number(Deno.args[0]);
const device = await openDevice("cpu");
const { ms } = await stepRow(device, "clustered", "cos", batch, 3);
report(`step${batch}`, ms);
Deno.exit(0);
