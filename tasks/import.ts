/** Makes a run of published weights.
 *
 *     deno task import vqgan_imagenet_f16_1024.ckpt --out runs/imported
 */
import * as z from "zod";
import { readSettings, settingsOf } from "../settings/settings.ts";
import { configSettings } from "../training/config.ts";
import type { LeftOut } from "../training/pretrained/weights.ts";
import { readLdmConfig } from "../training/pretrained/ldm_config.ts";
import { importRun } from "../training/pretrained/import_run.ts";
import { taskCall } from "./call.ts";
import { readConfigFile } from "./config_file.ts";
import { asInput, asUsage, runTask } from "./fail.ts";
import { type Command, readCommandLine } from "./flags.ts";
import { showHelp } from "./help.ts";
import { Output } from "./output.ts";
import { readYamlFile } from "./yaml_file.ts";

const OPTIONS = z.strictObject({
  config: z.string().min(1).nullable().default(null)
    .describe(
      "settings that the weights do not say, under the flags: a JSON file, or the YAML file of a latent diffusion model",
    ),
  classes: z.int().min(0).default(0)
    .describe(
      "classes that taming's transformer is conditioned on, which the file does not say; 0: none",
    ),
  "first-stage-only": z.boolean().default(false)
    .describe("imports only the first stage of a file that has a transformer too"),
  json: z.boolean().default(false)
    .describe("prints the summary as the last line of stdout, all else on stderr"),
});

/** Where the run goes unless it is said. */
const OUT = "runs/imported";
/** So many names are shown of tensors that are left out for one reason. */
const SHOWN = 3;

const COMMAND: Command = {
  call: taskCall("import"),
  summary:
    "Makes a run of published weights, which evaluate and openRun take: of the reference implementation of " +
    "CVQ-VAE (.pt), taming's VQGAN (.ckpt), LDM's first stages (.ckpt), and diffusers' VQModel (a folder). Of taming's " +
    "transformers over codes and of whole LDMs (.ckpt) it makes a run for sample, and that of their first stage in its " +
    "folder first-stage. The kind and the sizes are told by the tensors; nothing in the file is run.",
  operands: [{ name: "FILE", description: "the file of weights, or the folder of diffusers" }],
  options: settingsOf(OPTIONS),
  settings: configSettings().map((setting) =>
    setting.path === "out" ? { ...setting, default: OUT } : setting
  ),
};

/** Runs the task and gives the exit code.
 * @param args of the command line
 */
export async function main(args: readonly string[]): Promise<number> {
  const line = readCommandLine(args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const { config: path, json, classes, "first-stage-only": firstStageOnly } = asUsage(() =>
    readSettings(OPTIONS, line.options, "read the command line")
  );
  const isYaml = /\.ya?ml$/.test(path ?? "");
  const file = path === null || isYaml ? undefined : await readConfigFile(path);
  const ldm = isYaml
    ? await asInput(async () => readLdmConfig(await readYamlFile(path!), path!))
    : undefined;
  const flags = { out: OUT, ...line.settings };
  const { FILE } = line.operands;
  const imported = await asInput(() =>
    importRun(FILE, { file, flags, classes, firstStageOnly, ldm })
  );
  const { kind, config, loaded, leftOut } = imported;
  const { model, quantizer, objective, stage1, out } = config;
  new Output(json).result({ kind, model, quantizer, stage1, loaded, leftOut, out }, [
    `weights of ${kind}: ${loaded} tensors taken over`,
    ...leftOut.map(showLeftOut),
    `model      ${JSON.stringify(model)}`,
    stage1 === null
      ? `quantizer  ${JSON.stringify(quantizer)}`
      : `first stage in ${stage1}; sample makes images`,
    ...objective.type === "latent-diffusion" && ldm === undefined
      ? [
        "no tensor tells the heads of attention, what the network predicts and the images' side; --config FILE.yaml does, " +
        "the file beside the weights",
      ]
      : [],
    `the run is in ${out}; evaluate measures it on the images that --data.name of this task names`,
  ]);
  return 0;
}

function showLeftOut({ reason, names }: LeftOut): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "";
  return `${names.length} left out, ${reason}: ${names.slice(0, SHOWN).join(", ")}${more}`;
}

if (import.meta.main) await runTask(() => main(Deno.args));
