/** The kinds of published weights that can be imported, and how their tensors determine the model. */
import type { HostTensor } from "../../core/host_tensor.ts";
import { showShape } from "../../core/shape.ts";
import type { Settings } from "../presets.ts";
import type { NameTable } from "./layout.ts";
import { referenceNames } from "./reference_names.ts";
import { diffusersNames, tamingGumbelNames, tamingNames } from "./vqgan_names.ts";

/** The tensors of one model in a file, without the prefix of their names. */
export interface PretrainedModel {
  /** The name of the file in messages. */
  readonly path: string;
  /** The tensors, by name. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** The settings found beside the file. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A recognised model. */
export interface Recognised {
  /** The sections `model` and `quantizer` of the configuration. */
  readonly settings: Settings;
  /** Number of image channels. */
  readonly channels: number;
  /** Where the file has our tensors. */
  readonly names: NameTable;
}

/** A kind of published weights. */
export interface PretrainedKind {
  /** The name of the kind. */
  readonly name: string;
  /** The name of a tensor that only this kind has. */
  readonly sign: string;
  /** Reads the settings from the tensors.
   * @throws {RangeError} a tensor is missing, or the model has no codes
   */
  recognise(model: PretrainedModel): Recognised;
}

/** The image side that public VQGANs were trained with. It only affects how attention resolutions are named. */
const RESOLUTION = 256;
/** The number of groups of every norm in taming and LDM; it is in the code, not in the file. */
const GROUPS = 32;

function fail({ path }: PretrainedModel, requirement: string, actual: string): never {
  throw new RangeError(`Cannot import ${path}: ${requirement}, got ${actual}`);
}

function shapeOf(model: PretrainedModel, name: string, axes: number): readonly number[] {
  const shape = model.tensors.get(name)?.shape;
  if (shape?.length === axes) return shape;
  return fail(
    model,
    `it must hold ${name} of ${axes} axes`,
    shape === undefined ? "none" : showShape(shape),
  );
}

/** Counts tensors that are numbered from 0; `name` has N in place of the number. */
function countOf({ tensors }: PretrainedModel, name: string): number {
  let count = 0;
  while (tensors.has(name.replace("N", `${count}`))) count++;
  return count;
}

/** K and D of a codebook. */
function codes(model: PretrainedModel, name: string) {
  if (!model.tensors.has(name)) {
    fail(
      model,
      `it must hold the codebook ${name}`,
      "none: an autoencoder without codes, such as a KL autoencoder, is not supported",
    );
  }
  const [codebookSize, codebookDim] = shapeOf(model, name, 2);
  return { codebookSize, codebookDim };
}

/** The widths of the levels as multiples of the first convolution's. */
function multiples(model: PretrainedModel, ch: number, widths: readonly number[]): number[] {
  const odd = widths.find((width) => width % ch !== 0);
  if (odd !== undefined) fail(model, `each level's channels must be a multiple of ${ch}`, `${odd}`);
  return widths.map((width) => width / ch);
}

/** The settings of a VQGAN, determined from the names of its layers. */
function vqgan(
  model: PretrainedModel,
  { level, attention, spatial, resolution, groups }: {
    /** Name of a residual block's first convolution; I is the level, N the block. */
    readonly level: string;
    /** Name of a level's first attention. */
    readonly attention: string;
    /** Name of a tensor of a modulated norm. */
    readonly spatial: string;
    readonly resolution: number;
    readonly groups: number;
  },
): { readonly model: Settings; readonly channels: number; readonly levels: number } {
  const [ch, channels] = shapeOf(model, "encoder.conv_in.weight", 4);
  const levels = countOf(model, level.replace("N", "0").replace("I", "N"));
  const range = [...new Array(levels).keys()];
  const named = (name: string, index: number) => name.replace("I", `${index}`);
  const widths = range.map((index) => shapeOf(model, named(level, index).replace("N", "0"), 4)[0]);
  const [zChannels] = shapeOf(model, "encoder.conv_out.weight", 4);
  return {
    channels,
    levels,
    model: {
      type: "vqgan",
      ch,
      chMult: multiples(model, ch, widths),
      numResBlocks: countOf(model, named(level, 0)),
      resolution,
      attnResolutions: range.filter((index) => model.tensors.has(named(attention, index)))
        .map((index) => resolution / 2 ** index),
      zChannels,
      groups,
      norm: model.tensors.has(spatial) ? "spatial" : "group",
    },
  };
}

/** The image side for naming attention resolutions: that in the file, if the levels can halve it often enough. */
function sideOf(said: unknown, levels: number): number {
  const factor = 2 ** (levels - 1);
  const fits = typeof said === "number" && Number.isInteger(said) && said > 0 &&
    said % factor === 0;
  return fits ? said : Math.max(RESOLUTION, factor);
}

const taming: PretrainedKind = {
  name: "taming",
  sign: "encoder.down.0.block.0.norm1.weight",
  recognise(model) {
    const level = "encoder.down.I.block.N.conv1.weight";
    const levels = countOf(model, "encoder.down.N.block.0.conv1.weight");
    const made = vqgan(model, {
      level,
      attention: "encoder.down.I.attn.0.q.weight",
      spatial: "decoder.norm_out.norm_layer.weight",
      resolution: sideOf(undefined, levels),
      groups: GROUPS,
    });
    const isGumbel = model.tensors.has("quantize.embed.weight");
    const quantizer = isGumbel
      ? { type: "gumbel", ...codes(model, "quantize.embed.weight") }
      : { type: "vanilla", ...codes(model, "quantize.embedding.weight") };
    return {
      settings: { model: made.model, quantizer },
      channels: made.channels,
      names: isGumbel ? tamingGumbelNames : tamingNames,
    };
  },
};

const diffusers: PretrainedKind = {
  name: "diffusers",
  sign: "encoder.down_blocks.0.resnets.0.norm1.weight",
  recognise(model) {
    const levels = countOf(model, "encoder.down_blocks.N.resnets.0.conv1.weight");
    const { norm_num_groups: groups, sample_size: side } = model.config;
    const made = vqgan(model, {
      level: "encoder.down_blocks.I.resnets.N.conv1.weight",
      attention: "encoder.down_blocks.I.attentions.0.to_q.weight",
      spatial: "decoder.conv_norm_out.norm_layer.weight",
      resolution: sideOf(side, levels),
      groups: typeof groups === "number" ? groups : GROUPS,
    });
    const quantizer = { type: "vanilla", ...codes(model, "quantize.embedding.weight") };
    const settings = { model: made.model, quantizer };
    return { settings, channels: made.channels, names: diffusersNames(levels) };
  },
};

const reference: PretrainedKind = {
  name: "CVQ-VAE",
  sign: "_encoder._conv_1.weight",
  recognise(model) {
    const [hidden] = shapeOf(model, "_encoder._conv_2.weight", 4);
    const [, channels] = shapeOf(model, "_encoder._conv_1.weight", 4);
    const block = "_encoder._residual_stack._layers.N._block.1.weight";
    const residualLayers = countOf(model, block);
    const inside = residualLayers === 0 ? {} : {
      residualHidden: shapeOf(model, block.replace("N", "0"), 4)[0],
    };
    const type = model.tensors.has("_vq_vae.embed_prob") ? "clustered" : "vanilla";
    return {
      settings: {
        model: { type: "vqvae", hidden, residualLayers, ...inside },
        quantizer: { type, ...codes(model, "_vq_vae.embedding.weight") },
      },
      channels,
      names: referenceNames,
    };
  },
};

/** All kinds. */
export const PRETRAINED_KINDS: readonly PretrainedKind[] = [reference, taming, diffusers];
