/** Imports published first stages. */
import type { HostTensor } from "../../core/host_tensor.ts";
import { openDevice } from "../../core/device.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import type { StateDictionary } from "../../nn/module.ts";
import { constructAutoencoder } from "../../objectives/reconstruction_kind.ts";
import type { Config } from "../config.ts";
import { quantizerOf } from "../construct.ts";
import { resolveUnchecked } from "../resolve.ts";
import { PRETRAINED_KINDS, type PretrainedKind, type PretrainedModel } from "./kinds.ts";
import { fromPyTorch, type NameTable } from "./layout.ts";
import type { LdmConfig } from "./ldm_config.ts";
import type { LeftOut, PretrainedFile } from "./weights.ts";

/** The sources of settings that the weights do not determine. */
export interface ImportSources {
  /** The contents of a configuration file. */
  readonly file?: unknown;
  /** The settings given on the command line; `out` is the run's folder. */
  readonly flags?: unknown;
  /** The number of classes that a transformer is conditioned on; 0, none. */
  readonly classes?: number;
  /** Imports only the first stage of a file that also has a transformer. */
  readonly firstStageOnly?: boolean;
  /** The configuration file beside a latent diffusion model. */
  readonly ldm?: LdmConfig;
}

/** Imported weights. */
export interface ImportedWeights {
  /** The kind of the weights. */
  readonly kind: string;
  /** The run's configuration. */
  readonly config: Config;
  /** The model's whole state, as a run stores it. */
  readonly state: StateDictionary;
  /** The averages of its parameters, if the file has them. */
  readonly averages?: StateDictionary;
  /** For a generator: its first stage, if that is in the same file. */
  readonly stage1?: ImportedWeights;
  /** The number of imported tensors of the file, including those of the first stage. */
  readonly loaded: number;
  /** The tensors that were not imported. */
  readonly leftOut: readonly LeftOut[];
}

/** Imports the first stage in a file.
 * @throws {RangeError} the file has no first stage of a known kind, or a tensor is missing, unknown or of another shape
 */
export async function importFirstStage(
  given: PretrainedFile,
  { file, flags }: ImportSources,
): Promise<ImportedWeights> {
  const whole = withOldNames(given), { path } = whole;
  const { kind, prefix } = recognise(whole);
  const own = [...whole.tensors].filter(([name]) => name.startsWith(prefix));
  const model: PretrainedModel = {
    path,
    config: whole.config,
    tensors: new Map(own.map(([name, tensor]) => [name.slice(prefix.length), tensor])),
  };
  const { settings, channels, names } = kind.recognise(model);
  const config = resolveUnchecked({ saved: settings, file, flags });
  const state = await stateOf(config, channels);
  const taken = new Set<string>();
  const loaded = new Map([...state].map(([ours, tensor]): [string, HostTensor] => {
    return [ours, take(model, names, ours, tensor, taken)];
  }));
  const rest = [...whole.tensors.keys()].filter((name) =>
    !name.startsWith(prefix) || !taken.has(name.slice(prefix.length))
  );
  const reasons = Map.groupBy(rest, (name) => reasonOf(model, name, prefix));
  const leftOut = [...reasons].map(([reason, names]) => ({ reason, names }));
  return { kind: kind.name, config, state: loaded, loaded: taken.size, leftOut };
}

/** The state of a configuration's model with its initial weights. */
async function stateOf(config: Config, channels: number): Promise<StateDictionary> {
  using device = await openDevice("reference");
  const { seed, model } = config;
  using network = constructAutoencoder(device, {
    seed,
    model,
    quantizer: quantizerOf(config),
    channels,
  });
  return await network.stateDictionary();
}

/** Converts the current diffusers names of attention layers to the old ones. */
function withOldNames(file: PretrainedFile): PretrainedFile {
  const today: readonly (readonly [RegExp, string])[] = [
    [/(\.attentions\.\d+)\.query\./, "$1.to_q."],
    [/(\.attentions\.\d+)\.key\./, "$1.to_k."],
    [/(\.attentions\.\d+)\.value\./, "$1.to_v."],
    [/(\.attentions\.\d+)\.proj_attn\./, "$1.to_out.0."],
  ];
  const renamed = [...file.tensors].map(([name, tensor]): [string, HostTensor] => [
    today.reduce((text, [old, now]) => text.replace(old, now), name),
    tensor,
  ]);
  return { ...file, tensors: new Map(renamed) };
}

/** The kind of a file, and the prefix of its model's tensor names. If the file has several models, it chooses the first
 * stage of an LDM, or otherwise the model with the shortest names. */
function recognise({ path, tensors }: PretrainedFile): { kind: PretrainedKind; prefix: string } {
  const found = PRETRAINED_KINDS.flatMap((kind) =>
    [...tensors.keys()].filter((name) => name === kind.sign || name.endsWith(`.${kind.sign}`))
      .map((name) => ({ kind, prefix: name.slice(0, -kind.sign.length) }))
  );
  const rank = ({ prefix }: { readonly prefix: string }): number =>
    prefix.endsWith("first_stage_model.") ? -1 : prefix.length;
  const [first] = found.toSorted((a, b) => rank(a) - rank(b));
  if (first !== undefined) return first;
  const some = [...tensors.keys()].slice(0, 3).join(", ");
  const signs = PRETRAINED_KINDS.map(({ name, sign }) => `${sign} (${name})`).join(" or ");
  throw new RangeError(
    `Cannot import ${path}: it must hold ${signs}, got ${
      some === "" ? "no tensor" : `others, such as ${some}`
    }`,
  );
}

/** The tensor of the file that replaces one of ours; our own tensor if such files do not have it. */
function take(
  { path, tensors }: PretrainedModel,
  names: NameTable,
  ours: string,
  own: HostTensor,
  taken: Set<string>,
): HostTensor {
  const place = names(ours);
  if (place === undefined) return own;
  const theirs = tensors.get(place.name);
  if (theirs === undefined) {
    throw new RangeError(
      `Cannot import ${path}: it must hold ${place.name}, which is ${ours} here, got none`,
    );
  }
  const moved = fromPyTorch(theirs, place.layout);
  if (!sameShape(moved.shape, own.shape) || !(moved.values instanceof Float32Array)) {
    throw new RangeError(
      `Cannot import ${path}: ${place.name} must fit ${ours}, float32 ${
        showShape(own.shape)
      } with channels last, ` +
        `got ${moved.values instanceof Float32Array ? "float32" : "int32"} ${
          showShape(theirs.shape)
        }`,
    );
  }
  taken.add(place.name);
  return moved;
}

/** Reasons why tensors are not imported. */
const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^loss\.discriminator\d?\./, "the discriminator, which only training needs"],
  [/^loss\.perceptual_loss\./, "the perceptual network, which only training needs"],
  [/^loss\./, "of the losses, which only training needs"],
  [
    /^(quantize|_vq_vae)\.(?:.*\.)?(cluster_size|embed_avg|embed_prob|ema_\w+|_ema_\w+)$/,
    "statistics of the codebook, which only training needs",
  ],
  [/(^|\.)num_batches_tracked$/, "a count of batches"],
];

/** @throws {RangeError} the tensor belongs to a part of the networks that this program does not know */
function reasonOf({ path }: PretrainedModel, name: string, prefix: string): string {
  if (!name.startsWith(prefix)) return "not of the first stage";
  const own = name.slice(prefix.length);
  const reason = REASONS.find(([pattern]) => pattern.test(own))?.[1];
  if (reason !== undefined) return reason;
  const isPart =
    /^(_?encoder|_?decoder|quantize|_vq_vae|quant_conv|post_quant_conv|_pre_vq_conv)\b/;
  if (!isPart.test(own)) return "not of the first stage";
  throw new RangeError(
    `Cannot import ${path}: every tensor of its networks must have a place in the model, got ${name} without one`,
  );
}
