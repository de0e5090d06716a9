/** Exports a trained first stage for other libraries.
 *
 *     deno task export runs/vqgan-f16 --format diffusers --out vqgan-f16
 *     deno task export runs/digits --format onnx --out digits-onnx
 */
import * as z from "zod";
import { openDevice } from "../core/device.ts";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { exportOnnx } from "../training/onnx/export_onnx.ts";
import { EXPORT_FORMATS, exportRun } from "../training/pretrained/export_run.ts";
import { taskCall } from "./call.ts";
import { asInput, asUsage, runTask, UsageError } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { jsonOption } from "./json_option.ts";
import { Output } from "./output.ts";
import { WEIGHTS_OPTIONS } from "./weights_options.ts";

const OPTIONS = z.strictObject({
  format: z.enum([...EXPORT_FORMATS, "onnx"]).default("diffusers").describe(
    "the target: a folder for diffusers, a .ckpt with a .yaml for taming, or a folder of ONNX files for ONNX runtimes",
  ),
  size: z.array(z.int().min(1)).min(1).max(2).nullable().default(null).describe(
    "image size for onnx: the side, or height and width; none: that of the images that the run was measured on",
  ),
  out: z.string().min(1).default("runs/exported").describe("the folder, or the .ckpt file"),
  ...WEIGHTS_OPTIONS,
  json: jsonOption("the summary"),
});

const COMMAND: Command = {
  call: taskCall("export"),
  summary:
    "Exports a trained VQGAN as diffusers' VQModel or as a taming checkpoint, or any first stage as ONNX (opset 17): " +
    "encoder.onnx, lookup.onnx and decoder.onnx, for batches of any size.",
  operands: [{ name: "RUN", description: "the run's folder, such as runs/vqgan-f16" }],
  options: settingsOf(OPTIONS),
  settings: [],
};

/** Runs the task and returns the exit code.
 * @param args the command line arguments
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const { json, size, format, ...options } = asUsage(() =>
    readSettings(OPTIONS, line.options, "read the command line")
  );
  using device = await openDevice("reference");
  const { RUN } = line.operands;
  if (size !== null && format !== "onnx") {
    throw new UsageError(
      `Cannot export ${RUN}: --size must be given with --format onnx only, got ${format}`,
    );
  }
  const [height, width = height] = size ?? [];
  const written = await asInput(() =>
    format === "onnx"
      ? exportOnnx(RUN, device, { ...options, size: size === null ? undefined : [height, width] })
      : exportRun(RUN, device, { ...options, format })
  );
  const { files, tensors, notes } = written;
  new Output(json).result(written, [
    `${tensors} tensors for ${format} in ${files.join(" and ")}`,
    ...notes,
  ]);
  return 0;
}

if (import.meta.main) await runTask(() => main(Deno.args));
