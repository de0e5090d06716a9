/** The convolutions of the small model, each with its two gradients: 2 operations for each tap of each output. */
import { execute } from "../core/execute.ts";
import { uniform } from "../core/functions/creation.ts";
import type { ConvAttributes, Pair } from "../core/ops.ts";
import { operations } from "../core/ops.ts";
import { randomKey } from "../core/random.ts";
import { type Shape, sizeOf } from "../core/shape.ts";
import { arithmeticRow, type Bench, fastest } from "./row.ts";

/** Images without their batch axis, filter, window. */
type Layer = readonly [images: Shape, filter: Shape, stride: number, padding: number];

const LAYERS: readonly Layer[] = [
  [[28, 28, 1], [4, 4, 1, 64], 2, 1],
  [[14, 14, 64], [4, 4, 64, 128], 2, 1],
  [[7, 7, 128], [3, 3, 128, 128], 1, 1],
  [[7, 7, 128], [3, 3, 128, 32], 1, 1],
  [[7, 7, 32], [1, 1, 32, 128], 1, 0],
];

/** Rows for every layer: the forward pass, and the gradients of the images and of the filter. */
export const convBench: Bench = async function* (device, { batch, runs }) {
  for (const [image, filter, stride, padding] of LAYERS) {
    using _scope = device.scope();
    const window: ConvAttributes = {
      stride: [stride, stride],
      padding: [padding, padding],
      dilation: [1, 1],
    };
    const key = (name: string) => randomKey(1, name);
    const x = uniform(device, [batch, ...image], key("x"), -1, 1);
    const w = uniform(device, filter, key("w"), -1, 1);
    const conv = { ...window, relu: false };
    const [{ shape }] = operations.conv2d.outputs([x, w], conv);
    const g = uniform(device, shape, key("g"), -1, 1);
    const outputSize: Pair = [image[0], image[1]], kernelSize: Pair = [filter[0], filter[1]];
    const parts: readonly (readonly [string, () => void])[] = [
      ["forward", () => execute(device, "conv2d", [x, w], conv)],
      ["images", () => execute(device, "convTranspose2d", [g, w], { ...conv, outputSize })],
      ["filter", () => execute(device, "conv2dFilter", [x, g], { ...window, kernelSize })],
    ];
    for (const [part, body] of parts) {
      const ms = await fastest(device, runs, body);
      const about = `${part} ${[batch, ...image].join("x")} ${filter.join("x")} stride ${stride}`;
      yield arithmeticRow(
        "conv",
        device,
        about,
        ms,
        2 * sizeOf(shape) * sizeOf(filter.slice(0, 3)),
      );
    }
  }
};
