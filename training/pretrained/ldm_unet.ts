/** Determines a latent diffusion model's U-Net from its tensors. */
import type { HostTensor } from "../../core/host_tensor.ts";
import { showShape } from "../../core/shape.ts";
import type { Settings } from "../presets.ts";

/** A U-Net as determined from its tensors. */
export interface RecognisedUNet {
  /** The section `model` of the configuration, except the number of heads, which the tensors do not determine. */
  readonly model: Settings;
  /** Number of channels of the latents that it denoises. */
  readonly channels: number;
}

/** The number of groups of every norm; the code of such models defines it, not their files. */
const GROUPS = 32;

/** Determines a U-Net's settings from its tensors.
 * @param path the name of the file in messages
 * @param tensors the tensors by name, without `model.diffusion_model.`
 * @throws {RangeError} a tensor is missing, or this program does not support the U-Net
 */
export function recogniseUNet(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
): RecognisedUNet {
  const fail = (requirement: string, actual: string): never => {
    throw new RangeError(`Cannot import ${path}: ${requirement}, got ${actual}`);
  };
  const shapeOf = (name: string): readonly number[] =>
    tensors.get(name)?.shape ?? fail(`its U-Net must hold ${name}`, "none");
  const names = [...tensors.keys()];
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  const [, width] = shapeOf("time_embed.0.weight");
  const [, channels] = shapeOf("input_blocks.0.0.weight");
  const [outputs] = shapeOf("out.2.weight");
  if (channels !== outputs) {
    fail(
      `its U-Net must have ${outputs} input channels, as many as output channels`,
      `${channels}: it has additional inputs, which this program does not support`,
    );
  }

  const blocks = countBlocks(names, "output_blocks");
  const ups = Array.from({ length: blocks }, (_, block) => block).filter((block) =>
    has(new RegExp(`^output_blocks\\.${block}\\.[1-9]\\.(conv|in_layers\\.2)\\.weight$`))
  );
  const levels = ups.length + 1, each = blocks / levels;
  if (!Number.isInteger(each) || each < 2 || countBlocks(names, "input_blocks") !== blocks) {
    fail(
      `its U-Net must have the same number of blocks at each of its ${levels} levels`,
      `${blocks} in all`,
    );
  }
  const firstOf = (level: number) => `input_blocks.${1 + level * each}`;
  const widths = Array.from(
    { length: levels },
    (_, level) => shapeOf(`${firstOf(level)}.0.in_layers.2.weight`)[0],
  );
  const odd = widths.find((channels) => channels % width !== 0);
  if (odd !== undefined) {
    fail(`each level's channels must be a multiple of ${width}`, showShape([odd]));
  }
  const told = shapeOf(`${firstOf(0)}.0.emb_layers.1.weight`)[0];
  const attends = names.find((name) => /attn2\.to_k\.weight$/.test(name));
  return {
    channels,
    model: {
      ...{ type: "unet", width, groups: GROUPS, residualBlocks: each - 1 },
      multipliers: widths.map((channels) => channels / width),
      attentionAt: widths.map((_, level) => 2 ** level).filter((_, level) =>
        tensors.has(`${firstOf(level)}.1.norm.weight`)
      ),
      scaleShift: told === 2 * widths[0],
      resample: levels > 1 && !has(/^input_blocks\.\d+\.0\.op\.weight$/)
        ? "residual"
        : "convolution",
      ...attends !== undefined && {
        conditioning: "cross-attention",
        contextWidth: shapeOf(attends)[1],
      },
    },
  };
}

/** Counts blocks that are numbered from 0. */
function countBlocks(names: readonly string[], list: string): number {
  const numbers = names.flatMap((name) => name.match(`^${list}\\.(\\d+)\\.`)?.[1] ?? []);
  return new Set(numbers).size;
}
