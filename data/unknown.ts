/** A placeholder for the unavailable training images of imported weights. */
import { z } from "zod";
import type { Dataset } from "./dataset.ts";
import type { DatasetKind } from "./kind.ts";

/** The settings of `unknown`. */
export interface UnknownSettings {
  /** The side of the images. */
  readonly size: number;
  /** The channels of the images. */
  readonly channels: number;
  /** The number of classes of the images; null without classes. */
  readonly classes: number | null;
}

/** `unknown` in the registry: `[size, size, channels]`, without any images. A generator on this data set can be sampled,
 * but neither trained nor measured. */
export const unknownKind: DatasetKind<UnknownSettings> = {
  schema: z.strictObject({
    size: z.int().min(1).max(4096).default(256).describe("the side of the images, in pixels"),
    channels: z.union([z.literal(1), z.literal(3)]).default(3)
      .describe("the images' channels: 1 for grey, 3 for colour"),
    classes: z.int().min(1).nullable().default(null)
      .describe("the number of classes of the images; none: they have no classes"),
  }),
  imageShape: ({ size, channels }) => [size, size, channels],
  open: async (settings) => await Promise.resolve(openUnknown(settings)),
};

function openUnknown({ size, channels, classes }: UnknownSettings): Dataset {
  const first = Int32Array.of(0);
  return {
    name: "unknown",
    imageShape: [size, size, channels],
    sizes: { train: 1, test: 1 },
    ...classes !== null && {
      classes: Array.from({ length: classes }, (_, number) => String(number)),
      labels: { train: first, test: first },
    },
    variance: 1,
    images: () =>
      Promise.reject(
        new Error(
          "Cannot read images: the run's data set must have images, got unknown, which stands for the data of " +
            "imported weights; import them again with --data.name set to the data set that they were trained on",
        ),
      ),
  };
}
