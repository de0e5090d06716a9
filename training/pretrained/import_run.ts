/** Imports published weights as a run. */
import { openDevice } from "../../core/device.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import { saveCheckpoint } from "../checkpoint.ts";
import { identityOf } from "../identity.ts";
import { openRun } from "../open_run.ts";
import { RunFolder } from "../run_folder.ts";
import { diffusionPrefix, importDiffusion } from "./import_diffusion.ts";
import {
  type ImportedWeights,
  importFirstStage,
  type ImportSources,
} from "./import_first_stage.ts";
import { importTransformer } from "./import_transformer.ts";
import { splitNet2Net } from "./net2net.ts";
import { readPretrained } from "./weights.ts";

/** Reads published weights and converts them to a model. Supported are the reference implementation of CVQ-VAE,
 * taming's VQGAN (also Gumbel) and its transformers over codes, LDM's first stages, whole LDMs, and diffusers' VQModel.
 * The tensors determine the kind and the sizes. Every tensor is either imported or listed with the reason why not.
 *
 *     const { config, state } = await importWeights("vqgan_imagenet_f16_1024.ckpt");
 *
 * @param path a PyTorch or safetensors file, or a diffusers folder
 * @throws {Error} the file is missing or cannot be read
 * @throws {RangeError} the file is damaged or of an unknown kind, or a tensor is missing, unknown or of another shape
 */
export async function importWeights(
  path: string,
  sources: ImportSources = {},
): Promise<ImportedWeights> {
  const whole = await readPretrained(path);
  if (sources.firstStageOnly) return await importFirstStage(whole, sources);
  const net2net = splitNet2Net(whole);
  if (net2net !== undefined) return await importTransformer(net2net, sources);
  const prefix = diffusionPrefix(whole);
  return prefix === undefined
    ? await importFirstStage(whole, sources)
    : await importDiffusion(whole, prefix, sources);
}

/** Creates a run from published weights, in the folder given by the settings: its configuration and its only
 * checkpoint. For a generator it creates two runs; that of the first stage is in the folder `first-stage` of the other.
 *
 *     await importRun("ffhq.ckpt", { flags: { out: "runs/faces", model: { heads: 16 }, data: { name: "ffhq" } } });
 *
 * @throws {Error} the folder already has a run, or cannot be written; or as `importWeights`
 * @throws {RangeError} as `importWeights`, or a generator is conditioned on anything but a class
 */
export async function importRun(path: string, sources: ImportSources): Promise<ImportedWeights> {
  const imported = await importWeights(path, sources), { stage1 } = imported;
  const runs = stage1 === undefined ? [imported] : [stage1, imported];
  for (const { config: { out } } of runs) {
    if (await new RunFolder(out).state() === "empty") continue;
    throw new Error(
      `Cannot import into ${out}: the folder must not have a run, got one; --out chooses another`,
    );
  }
  for (const run of runs) await writeRun(path, run);
  return imported;
}

/** Writes a run's configuration and its only checkpoint. */
async function writeRun(
  from: string,
  { config, state, averages = new Map(), kind, loaded, leftOut }: ImportedWeights,
): Promise<void> {
  const folder = new RunFolder(config.out);
  using _lock = await folder.lock();
  await folder.begin(0);
  await folder.writeConfig(config);
  const step: HostTensor = { shape: [], values: Int32Array.of(0) };
  const named = [
    ["step", step] as const,
    ...[...state].map(([name, tensor]) => [`model.${name}`, tensor] as const),
    ...[...averages].map(([name, tensor]) => [`average.values.${name}`, tensor] as const),
  ];
  const below = config.stage1 === null ? {} : { stage1: await identityIn(config.stage1) };
  await saveCheckpoint(folder.checkpoint("last"), new Map(named), {
    identity: { ...identityOf(config), ...below },
    carried: {},
  });
  await folder.writeSummary({ imported: { from, kind, loaded, leftOut } });
}

/** The identity of the first stage's weights in a folder. */
async function identityIn(path: string): Promise<string> {
  using device = await openDevice("reference");
  using run = await openRun(path, device);
  return run.identity;
}
