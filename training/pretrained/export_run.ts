/** Exports a trained VQGAN for other libraries. */
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { HostTensor } from "../../core/host_tensor.ts";
import type { Device } from "../../core/tensor.ts";
import { writeAtomically } from "../../files/atomic_write.ts";
import { writePyTorch } from "../../files/pytorch_writer.ts";
import { writeSafetensors } from "../../files/safetensors.ts";
import { planLevels } from "../../models/vqgan/levels.ts";
import type { VQGANSettings } from "../../models/vqgan/vqgan.ts";
import type { Config } from "../config.ts";
import { quantizerOf } from "../construct.ts";
import { type OpenedRun, openRun, type OpenRunOptions } from "../open_run.ts";
import { type NameTable, toPyTorch } from "./layout.ts";
import { diffusersNames, tamingGumbelNames, tamingNames } from "./vqgan_names.ts";

/** The libraries that a model can be exported for. */
export const EXPORT_FORMATS = ["diffusers", "taming"] as const;

/** One of `EXPORT_FORMATS`. */
export type ExportFormat = typeof EXPORT_FORMATS[number];

/** Options of `exportRun`: what to write, and which of the run's weights to use. */
export interface ExportOptions extends OpenRunOptions {
  /** The library to export for. */
  readonly format: ExportFormat;
  /** The folder (diffusers) or the `.ckpt` file (taming, with a `.yaml` of its settings beside it). */
  readonly out: string;
}

/** Result of `exportRun`. */
export interface Exported {
  /** The files written. */
  readonly files: readonly string[];
  /** The number of tensors in them. */
  readonly tensors: number;
  /** Differences between the other library and the run. */
  readonly notes: readonly string[];
}

/** The number of groups of every norm in taming's code, and of modulated norms in diffusers. */
const GROUPS = 32;

/** Exports a run's first stage as diffusers' `VQModel` or as a taming checkpoint. The codebook has the vector that the
 * decoder receives for each index.
 *
 *     await exportRun("runs/vqgan-f16", device, { format: "diffusers", out: "vqgan-f16" });
 *
 * @throws {Error} the run cannot be read, or the files cannot be written
 * @throws {RangeError} the model is not a VQGAN, a position has several codes, or the library does not have such norms
 */
export async function exportRun(
  path: string,
  device: Device,
  { format, out, ...which }: ExportOptions,
): Promise<Exported> {
  using run = await openRun(path, device, which);
  const { config } = run;
  const fail = (requirement: string, actual: unknown): never => {
    throw new RangeError(`Cannot export ${path} for ${format}: ${requirement}, got ${actual}`);
  };
  if (config.model.type !== "vqgan") fail("its model must be a vqgan", config.model.type);
  if (run.model.codeAxes.length > 0) {
    fail("each position of its grid must have one code", `${run.model.codeAxes.join("×")} codes`);
  }
  const model = config.model as unknown as VQGANSettings;
  const isSpatial = model.norm === "spatial";
  if (model.groups !== GROUPS && (format === "taming" || isSpatial)) {
    fail(`its norms must have ${GROUPS} groups`, model.groups);
  }
  if (format === "taming" && isSpatial) {
    fail("its norms must be plain group norms", "modulated ones");
  }
  const isGumbel = config.quantizer?.type === "gumbel";
  const names = format === "diffusers"
    ? diffusersNames(model.chMult.length)
    : isGumbel
    ? tamingGumbelNames
    : tamingNames;
  const tensors = await tensorsOf(run, device, names);
  const notes = isGumbel && format === "taming" ? [] : notesOn(config);
  const files = format === "diffusers"
    ? await writeDiffusers(out, tensors, run, model)
    : await writeTaming(out, tensors, run, model);
  return { files, tensors: tensors.size, notes };
}

/** The model's tensors with the library's names and layouts. */
async function tensorsOf(
  { model: { network, codebookSize, codebookDim } }: OpenedRun,
  device: Device,
  names: NameTable,
): Promise<ReadonlyMap<string, HostTensor>> {
  using _scope = device.scope();
  const all = device.tensor(Int32Array.from({ length: codebookSize }, (_, code) => code), [
    codebookSize,
  ]);
  const codes = await network.quantizer.lookup(all).floats();
  const state = new Map<string, HostTensor>(await network.stateDictionary());
  state.set("quantizer.codebook", { shape: [codebookSize, codebookDim], values: codes });
  const placed = [...state].flatMap(([ours, tensor]): [string, HostTensor][] => {
    const place = names(ours);
    return place === undefined ? [] : [[place.name, toPyTorch(tensor, place.layout)]];
  });
  return new Map(placed);
}

/** Notes on the lookup: both libraries choose the code with the smallest squared distance. */
function notesOn(config: Config): readonly string[] {
  const { type, distance, unitLength = false, normalization = "none", lookupDim = null } =
    quantizerOf(config);
  const isNearest = distance === "l2" && unitLength === false && normalization === "none" &&
    lookupDim === null;
  return isNearest ? [] : [
    `decoding is the same there, but encoding is not: it takes the code with the smallest squared distance, which ${type} ` +
    "does not do, or not for the unchanged features",
  ];
}

async function writeDiffusers(
  out: string,
  tensors: ReadonlyMap<string, HostTensor>,
  { model: { channels, codebookSize, codebookDim } }: OpenedRun,
  settings: VQGANSettings,
): Promise<readonly string[]> {
  const { ch, chMult, numResBlocks, resolution, zChannels, groups, norm } = settings;
  const levels = planLevels(settings);
  const block = (attends: boolean, kind: string) => `${attends ? "Attn" : ""}${kind}Block2D`;
  const config = {
    _class_name: "VQModel",
    act_fn: "silu",
    block_out_channels: chMult.map((multiple) => ch * multiple),
    down_block_types: levels.map(({ attends }) => block(attends, "DownEncoder")),
    up_block_types: levels.map(({ attends }) => block(attends, "UpDecoder")).toReversed(),
    in_channels: channels,
    out_channels: channels,
    latent_channels: zChannels ?? codebookDim,
    layers_per_block: numResBlocks,
    norm_num_groups: groups,
    norm_type: norm,
    num_vq_embeddings: codebookSize,
    sample_size: resolution,
    vq_embed_dim: codebookDim,
  };
  await mkdir(out, { recursive: true });
  const files = ["diffusion_pytorch_model.safetensors", "config.json"].map((name) =>
    join(out, name)
  );
  await writeSafetensors(files[0], tensors, new Map([["format", "pt"]]));
  await writeAtomically(files[1], `${JSON.stringify(config, null, 2)}\n`);
  return files;
}

async function writeTaming(
  out: string,
  tensors: ReadonlyMap<string, HostTensor>,
  { config, model: { channels, codebookSize, codebookDim } }: OpenedRun,
  settings: VQGANSettings,
): Promise<readonly string[]> {
  const { ch, chMult, numResBlocks, resolution, attnResolutions, zChannels, dropout } = settings;
  const isGumbel = config.quantizer?.type === "gumbel";
  const lines = [
    "model:",
    `  target: taming.models.vqgan.${isGumbel ? "GumbelVQ" : "VQModel"}`,
    "  params:",
    `    embed_dim: ${codebookDim}`,
    `    n_embed: ${codebookSize}`,
    "    ddconfig:",
    "      double_z: false",
    `      z_channels: ${zChannels ?? codebookDim}`,
    `      resolution: ${resolution}`,
    `      in_channels: ${channels}`,
    `      out_ch: ${channels}`,
    `      ch: ${ch}`,
    `      ch_mult: [${chMult.join(", ")}]`,
    `      num_res_blocks: ${numResBlocks}`,
    `      attn_resolutions: [${attnResolutions.join(", ")}]`,
    `      dropout: ${dropout.toFixed(4)}`,
    "    lossconfig:",
    "      target: taming.modules.losses.DummyLoss",
  ];
  const files = [out, `${out.replace(/\.ckpt$/, "")}.yaml`];
  await mkdir(dirname(out), { recursive: true });
  await writePyTorch(files[0], tensors, "state_dict");
  await writeAtomically(files[1], `${lines.join("\n")}\n`);
  return files;
}
