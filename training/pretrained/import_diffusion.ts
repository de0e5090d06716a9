/** Imports a whole latent diffusion model: a first stage and its generator. */
import { join } from "node:path";
import { openDevice } from "../../core/device.ts";
import type { HostTensor } from "../../core/host_tensor.ts";
import { randomKey } from "../../core/random.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import { createModel, UNETS } from "../../models/registry.ts";
import { unetLayout, unetName } from "../../models/unet/ldm_names.ts";
import type { StateDictionary } from "../../nn/module.ts";
import { DiffusionModel } from "../../objectives/diffusion/model.ts";
import type { Config } from "../config.ts";
import type { Settings } from "../presets.ts";
import { merge, resolveUnchecked } from "../resolve.ts";
import {
  type ImportedWeights,
  importFirstStage,
  type ImportSources,
} from "./import_first_stage.ts";
import { scheduleOf } from "./ldm_schedule.ts";
import { recogniseUNet } from "./ldm_unet.ts";
import type { LeftOut, PretrainedFile } from "./weights.ts";

/** The name of a tensor that every such model has. */
const SIGN = "model.diffusion_model.time_embed.0.weight";
const UNET = "model.diffusion_model.", FIRST_STAGE = "first_stage_model.";
/** The class embedding tables of a U-Net, by type of conditioning. */
const CLASSES = {
  "embedding": `${UNET}label_emb.weight`,
  "cross-attention": "cond_stage_model.embedding.weight",
};
/** Rows of the table for ImageNet: a thousand classes, and one row for "no class". */
const IMAGENET = 1001;
/** The decay of the averages if the file does not contain it. */
const DECAY = 0.9999;

/** The prefix of the tensor names of a latent diffusion model in a file; undefined if the file has no such model. */
export function diffusionPrefix({ tensors }: PretrainedFile): string | undefined {
  return [...tensors.keys()].find((name) => name === SIGN || name.endsWith(`.${SIGN}`))
    ?.slice(0, -SIGN.length);
}

/** Reads a latent diffusion model, and the first stage in the same file.
 * @param prefix the prefix of its tensor names
 * @throws {RangeError} a tensor is missing, unknown or of another shape, or this program does not support the model
 */
export async function importDiffusion(
  whole: PretrainedFile,
  prefix: string,
  sources: ImportSources,
): Promise<ImportedWeights> {
  const model: DiffusionFile = { path: whole.path, tensors: under(whole.tensors, prefix) };
  const told = recognise(model, sources);
  const { quantizer, ...flags } = told.flags;
  const stage1 = flags.stage1 === undefined
    ? await importFirstStage(whole, {
      flags: { ...quantizer !== undefined && { quantizer }, out: join(told.out, "first-stage") },
    })
    : undefined;
  const config = resolveUnchecked({
    saved: { ...told.settings, stage1: stage1?.config.out ?? flags.stage1 },
    file: sources.file,
    flags,
  });
  const depth = stage1?.config.quantizer?.codebookDim ?? told.channels;
  if (depth !== told.channels) {
    fail(model, `its U-Net must denoise the ${depth} channels of its codes`, `${told.channels}`);
  }
  const { state, averages, taken } = placeWeights(model, told, await initialState(config, told));
  const scale = model.tensors.get("scale_factor")?.values[0] ?? sources.ldm?.scaleFactor ?? 1;
  for (const [name, tensor] of latentsOf(scale, told.channels)) {
    state.set(`latents.${name}`, tensor);
  }
  const rest = [...whole.tensors.keys()].filter((name) =>
    !name.startsWith(prefix) || !taken.has(name.slice(prefix.length))
  );
  const leftOut = leftOutOf(model, rest, prefix, stage1);
  const loaded = taken.size + (stage1?.loaded ?? 0);
  return { kind: "LDM", config, state, averages, loaded, leftOut, stage1 };
}

/** The tensors of a latent diffusion model, without the prefix of their names. */
interface DiffusionFile {
  /** The name of the file in messages. */
  readonly path: string;
  /** The tensors, by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

function fail({ path }: DiffusionFile, requirement: string, actual: string): never {
  throw new RangeError(`Cannot import ${path}: ${requirement}, got ${actual}`);
}

/** The tensors whose names begin with a prefix, by the rest of their names. */
function under(
  tensors: ReadonlyMap<string, HostTensor>,
  start: string,
): ReadonlyMap<string, HostTensor> {
  return new Map(
    [...tensors].filter(([name]) => name.startsWith(start))
      .map(([name, tensor]) => [name.slice(start.length), tensor]),
  );
}

/** A recognised model: the settings from its tensors, the file beside it and the command line. */
interface RecognisedDiffusion {
  /** The configuration, except its first stage. */
  readonly settings: Settings;
  /** The settings given on the command line. */
  readonly flags: Settings;
  /** The run's folder. */
  readonly out: string;
  /** Number of channels of the latents. */
  readonly channels: number;
  /** Number of classes of the U-Net; null if it is unconditional. */
  readonly classes: number | null;
  /** The name of the class embedding table. */
  readonly table: string;
}

function recognise(model: DiffusionFile, { flags, ldm }: ImportSources): RecognisedDiffusion {
  const { tensors, path } = model;
  const unet = recogniseUNet(path, under(tensors, UNET));
  const attends = unet.model.conditioning === "cross-attention";
  const table = CLASSES[attends ? "cross-attention" : "embedding"];
  const rows = tensors.get(table)?.shape[0];
  if (attends && rows === undefined) {
    fail(
      model,
      `its U-Net must attend to the vector of a class, ${table}`,
      "none: one that attends to a text, for example, is not supported",
    );
  }
  const betas = tensors.get("betas")?.values ??
    fail(model, "it must hold its noise schedule, betas", "none");
  const schedule = scheduleOf(betas) ??
    fail(
      model,
      "its betas must be those of a linear, sqrt-linear or cosine schedule",
      `${betas.length} others`,
    );
  const averages = under(tensors, "model_ema.");
  const objective = {
    ...{ type: "latent-diffusion", scaling: "one", ...schedule },
    ...rows !== undefined && { classes: true, dropClass: rows === IMAGENET ? 0.1 : 0 },
  };
  const training = { batchSize: 1, averageDecay: averages.size === 0 ? null : decayOf(averages) };
  const said = (flags ?? {}) as Settings, out = String(said.out ?? "runs/imported");
  const told = merge({ out, objective, model: unet.model, training }, ldm?.settings ?? {});
  const { dropClass } = merge(told, said).objective as Settings;
  // If classes were dropped in training, the last row is for "no class".
  const classes = rows === undefined ? null : Number(dropClass) > 0 ? rows - 1 : rows;
  return {
    ...{ flags: said, out, channels: unet.channels, classes, table },
    settings: merge({ data: { name: "unknown", classes } }, told),
  };
}

/** Places every tensor of the U-Net, of its averages and of the classes.
 * @param initial the initial state of the run's model, whose tensors are replaced
 */
function placeWeights(
  model: DiffusionFile,
  { table, classes }: RecognisedDiffusion,
  initial: StateDictionary,
): {
  readonly state: Map<string, HostTensor>;
  readonly averages: Map<string, HostTensor> | undefined;
  readonly taken: ReadonlySet<string>;
} {
  const { tensors } = model;
  const state = new Map<string, HostTensor>(), taken = new Set<string>();
  const averages = [...tensors.keys()].some((name) => name.startsWith("model_ema."))
    ? new Map<string, HostTensor>()
    : undefined;
  const place = (theirs: string, into: typeof state, ours: string, tensor: HostTensor) => {
    const wanted = initial.get(`denoiser.${ours}`)?.shape;
    if (wanted === undefined || !sameShape(tensor.shape, wanted)) {
      fail(
        model,
        wanted === undefined
          ? "every tensor of its networks must have a place in the model"
          : `${theirs} must fit ${ours}, ${showShape(wanted)} with channels last`,
        wanted === undefined ? `${theirs} without one` : showShape(tensor.shape),
      );
    }
    into.set(`denoiser.${ours}`, tensor);
    taken.add(theirs);
  };
  for (const name of under(tensors, UNET).keys()) {
    const theirs = `${UNET}${name}`;
    if (theirs === table) continue;
    place(theirs, state, unetName(name), unetLayout(name, tensors.get(theirs)!));
    if (averages === undefined) continue;
    const average = `model_ema.${theirs.slice("model.".length).replaceAll(".", "")}`;
    const tensor = tensors.get(average) ?? fail(model, `it must hold ${average}`, "none");
    place(average, averages, unetName(name), unetLayout(name, tensor));
  }
  const vectors = tensors.get(table);
  if (vectors !== undefined) {
    place(table, state, "classEmbedding.weight", withNoClass(vectors, classes));
  }
  const missing = [...initial.keys()].find((ours) =>
    ours.startsWith("denoiser.") && !state.has(ours)
  );
  if (missing !== undefined) fail(model, `it must hold a tensor for ${missing}`, "none");
  return { state, averages, taken };
}

/** The decay of the averages. */
function decayOf(averages: ReadonlyMap<string, HostTensor>): number {
  const decay = averages.get("decay")?.values[0];
  return decay === undefined ? DECAY : Number(decay.toPrecision(6));
}

/** A class table with a row for "no class" at its end. Models that were always given a class never read that row. */
function withNoClass(tensor: HostTensor, classes: number | null): HostTensor {
  const [rows, width] = tensor.shape;
  if (rows !== classes) return tensor;
  const values = new Float32Array((rows + 1) * width);
  values.set(tensor.values);
  return { shape: [rows + 1, width], values };
}

/** Latent statistics that multiply the features by one number. */
function latentsOf(scale: number, channels: number): Map<string, HostTensor> {
  const diagonal = (value: number) =>
    Float32Array.from(
      { length: channels ** 2 },
      (_, at) => at % (channels + 1) === 0 ? value : 0,
    );
  return new Map<string, HostTensor>([
    ["measured", { shape: [], values: Int32Array.of(1) }],
    ["mean", { shape: [channels], values: new Float32Array(channels) }],
    ["basis", { shape: [channels, channels], values: diagonal(scale) }],
    ["inverse", { shape: [channels, channels], values: diagonal(1 / scale) }],
  ]);
}

/** The state of a configuration's model with its initial weights. */
async function initialState(
  { seed, model }: Config,
  { channels, classes }: RecognisedDiffusion,
): Promise<StateDictionary> {
  using device = await openDevice("reference");
  const own = { channels, classes };
  const denoiser = createModel(UNETS, device, own, model, randomKey(seed, "initial model"));
  using whole = new DiffusionModel(denoiser);
  return await whole.stateDictionary();
}

/** Reasons why tensors of the generator are not imported. */
const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [
    /^(betas|alphas_cumprod|alphas_cumprod_prev|sqrt_\w+|log_one_minus_\w+|posterior_\w+|lvlb_weights|logvar)$/,
    "of the noise schedule, which is recomputed",
  ],
  [/^scale_factor$/, "the latents' scale, which is in the run's latents"],
  [/^model_ema\.(decay|num_updates)$/, "of the averages: their decay is a setting"],
  [/^loss\./, "of the losses, which only training needs"],
];

/** All tensors of the file that are not imported, with the reasons. */
function leftOutOf(
  model: DiffusionFile,
  names: readonly string[],
  prefix: string,
  stage1: ImportedWeights | undefined,
): readonly LeftOut[] {
  const ofFirstStage = new Map(
    (stage1?.leftOut ?? []).flatMap(({ reason, names }) =>
      names.map((name) => [name, reason] as const)
    ),
  );
  const reasons = names.flatMap((name): [string, string][] => {
    if (!name.startsWith(prefix)) return [[name, "of the training, not of the model"]];
    const own = name.slice(prefix.length);
    if (own.startsWith(FIRST_STAGE)) {
      if (stage1 === undefined) return [[name, "of the first stage, whose run was named"]];
      const reason = ofFirstStage.get(name);
      return reason === undefined ? [] : [[name, reason]];
    }
    const reason = REASONS.find(([pattern]) => pattern.test(own))?.[1];
    if (reason !== undefined) return [[name, reason]];
    return fail(
      model,
      "every tensor of its networks must have a place in the model",
      `${name} without one`,
    );
  });
  return [...Map.groupBy(reasons, ([, reason]) => reason)].map(([reason, group]) => ({
    reason,
    names: group.map(([name]) => name),
  }));
}
