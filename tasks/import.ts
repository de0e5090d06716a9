/** Creates a run from published weights.
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
import { jsonOption } from "./json_option.ts";
import { Output } from "./output.ts";
import { readYamlFile } from "./yaml_file.ts";

const OPTIONS = z.strictObject({
  config: z.string().min(1).nullable().default(null)
    .describe(
      "settings that the weights do not determine; flags override them: a JSON file, or the YAML file of a latent diffusion model",
    ),
  classes: z.int().min(0).default(0)
    .describe(
      "the number of classes of a taming transformer, which the file does not contain; 0: none",
    ),
  "first-stage-only": z.boolean().default(false)
    .describe("imports only the first stage of a file that also has a transformer"),
  json: jsonOption("the summary"),
});

/** The default folder of the run. */
const OUT = "runs/imported";
/** The largest number of names shown of tensors that are left out for the same reason. */
const SHOWN = 3;

const COMMAND: Command = {
  call: taskCall("import"),
  summary:
    "Creates a run from published weights, for evaluate and openRun: from the reference implementation of " +
    "CVQ-VAE (.pt), taming's VQGAN (.ckpt), LDM's first stages (.ckpt), and diffusers' VQModel (a folder). From taming's " +
    "transformers over codes and from whole LDMs (.ckpt) it creates a run for sample, with the run of the first stage in its " +
    "folder first-stage. The tensors determine the kind and the sizes; no code in the file is executed.",
  operands: [{ name: "FILE", description: "the file of weights, or a folder from diffusers" }],
  options: settingsOf(OPTIONS),
  settings: configSettings().map((setting) =>
    setting.path === "out" ? { ...setting, default: OUT } : setting
  ),
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
    `weights of ${kind}: ${loaded} tensors imported`,
    ...leftOut.map(showLeftOut),
    `model      ${JSON.stringify(model)}`,
    stage1 === null
      ? `quantizer  ${JSON.stringify(quantizer)}`
      : `first stage in ${stage1}; \`sample\` generates images`,
    ...objective.type === "latent-diffusion" && ldm === undefined
      ? [
        "the tensors do not determine the number of attention heads, the kind of prediction and the images' side; give the " +
        "YAML file beside the weights with --config FILE.yaml",
      ]
      : [],
    `the run is in ${out}; evaluate measures it on the data set that was given with --data.name`,
  ]);
  return 0;
}

function showLeftOut({ reason, names }: LeftOut): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "";
  return `${names.length} left out, ${reason}: ${names.slice(0, SHOWN).join(", ")}${more}`;
}

if (import.meta.main) await runTask(() => main(Deno.args));
