/** Sample images of a generator. */
import type { Shape } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import type { Context } from "../nn/module.ts";
import type { GenerateRequest, Generator } from "./generator.ts";
import { drawImages } from "./image_grid.ts";

/** Options of `drawClassSamples`. */
export interface ClassSamplesOptions extends Pick<GenerateRequest, "count" | "settings"> {
  /** Height, width and channels of an image. */
  readonly imageShape: Shape;
}

/** Generates images and draws them as a PNG. If there are classes, the images take each class in turn. */
export async function drawClassSamples(
  generator: Generator,
  device: Device,
  { key, replicas }: Context,
  { count, settings, imageShape }: ClassSamplesOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { classes } = generator;
  const labels = classes === 0
    ? undefined
    : Int32Array.from({ length: count }, (_, image) => image % classes);
  const { images } = await generator.generate(device, { count, key, labels, settings, replicas });
  return drawImages(images, [count, ...imageShape]);
}
