/** Trains the tiny model to the end in a process that may be killed: `kill_child.ts DEVICE FOLDER OBJECTIVE`. Goes on from the
 * folder's last checkpoint if there is one, and says where it is, a line a step. */
import type { DeviceName } from "../../core/backend.ts";
import { openDevice } from "../../core/device.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { tinyRivals, trainTiny } from "./tiny.ts";

const [name, path, objective] = Deno.args;
const folder = new RunFolder(path);
const resume = await Deno.stat(folder.checkpoint("last")).then(() => true, () => false);
using device = await openDevice(name as DeviceName, { threads: 2, blas: "off", dnn: "off" });
await trainTiny({
  device,
  path,
  resume,
  epochs: 10,
  ...objective === "adversarial" && { construct: tinyRivals },
  logEverySteps: 1,
  checkpointEverySteps: 2,
  onProgress: ({ step }) => console.log(`step ${step}`),
});
console.log("done");
