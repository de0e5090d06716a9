/** This project's nearest codes and nearest features, for sizes whose similarity matrix would take 64 GiB.
 *
 *     deno run -A bench/peers/codebook_huge.ts
 */
import { uniform } from "../../core/functions/creation.ts";
import { nearest } from "../../core/functions/indexing.ts";
import { randomKey } from "../../core/random.ts";
import { openOwnDevice } from "./own_device.ts";
import { report } from "./side.ts";
import { HUGE } from "./works.ts";

const device = await openOwnDevice("cpu");
const features = uniform(device, HUGE.features, randomKey(1, "features"), -1, 1);
const codebook = uniform(device, HUGE.codebook, randomKey(1, "codebook"), -1, 1);
await device.synchronize();
const started = performance.now();
nearest(features, codebook, { distance: "l2" });
nearest(codebook, features, { distance: "l2" });
await device.synchronize();
report("huge", performance.now() - started);
Deno.exit(0);
