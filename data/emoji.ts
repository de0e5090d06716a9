/** Emoji: the colour pictures of the npm package `emoji-datasource-google` (Noto Color Emoji, 64×64). */
import * as z from "zod";
import { byteDataset } from "./bytes.ts";
import type { Dataset, Split } from "./dataset.ts";
import { BrokenImage, ImageDecoder } from "./decoder.ts";
import { CENTRED } from "./encoded.ts";
import { type DatasetKind, sizeSetting, squareInColour } from "./kind.ts";
import { loadOnDemand } from "./on_demand.ts";

/** The settings of `emoji`. */
export interface EmojiSettings {
  /** The side of the images; 64 is that of the pictures. */
  readonly size: number;
  /** What shows through where a picture is transparent. */
  readonly background: "white" | "grey" | "black";
}

/** One emoji in so many is a test image, with its skin tones: the last of each run of ten. */
const TEST_EVERY = 10;
const GREYS = { white: 255, grey: 128, black: 0 };

/** `emoji` in the registry: `[size, size, 3]`, 3,415 training and 371 test images. The package's 1,911 emoji are
 * counted in the order in which keyboards show them; the one at position p is for testing where p ≡ 9 modulo 10, and
 * its skin tones with it, so that no test image has a sibling among the training images. Their classes are the categories of
 * keyboards. */
export const emojiKind: DatasetKind<EmojiSettings> = {
  schema: z.strictObject({
    size: sizeSetting(32),
    background: z.enum(["white", "grey", "black"]).default("white")
      .describe("what shows through where a picture is transparent"),
  }),
  imageShape: squareInColour,
  open: openEmoji,
};

async function openEmoji({ size, background }: EmojiSettings): Promise<Dataset> {
  const { emojiFiles } = await loadOnDemand("emoji_files.ts") as typeof import("./emoji_files.ts");
  const emoji = emojiFiles();
  const classes = [...new Set(emoji.map(({ category }) => category))];
  const parts: Record<Split, string[]> = { train: [], test: [] };
  const labels: Record<Split, number[]> = { train: [], test: [] };
  for (const [position, { files, category }] of emoji.entries()) {
    const split = position % TEST_EVERY === TEST_EVERY - 1 ? "test" : "train";
    for (const file of files) {
      parts[split].push(file);
      labels[split].push(classes.indexOf(category));
    }
  }
  const decoder = new ImageDecoder({ size, background: GREYS[background] }, null);
  const [train, test] = await Promise.all([
    decodeAll(decoder, parts.train, size),
    decodeAll(decoder, parts.test, size),
  ]);
  await decoder.close();
  const name = background === "white" ? "emoji" : `emoji on ${background}`;
  return byteDataset({
    ...{ name, imageShape: [size, size, 3], train, test, classes },
    labels: { train: Int32Array.from(labels.train), test: Int32Array.from(labels.test) },
  });
}

async function decodeAll(
  decoder: ImageDecoder,
  files: readonly string[],
  size: number,
): Promise<Uint8Array> {
  const images = files.map((path) => ({ name: path, path }));
  const bytes = new Uint8Array(files.length * size * size * 3);
  (await decoder.decode(images, images.map(() => CENTRED))).forEach((decoded, index) => {
    if (decoded instanceof BrokenImage) {
      throw new Error(
        `Cannot open emoji: every picture of the package must be whole, got ${decoded.name}: ${decoded.problem}`,
      );
    }
    bytes.set(decoded, index * size * size * 3);
  });
  return bytes;
}
