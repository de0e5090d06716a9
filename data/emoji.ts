/** Emoji: the colour pictures, 64×64, of two npm packages: `emoji-datasource-google` (Noto Color Emoji) and
 * `emoji-datasource-twitter` (Twemoji). */
import * as z from "zod";
import { byteDataset } from "./bytes.ts";
import type { Dataset, Split } from "./dataset.ts";
import { BrokenImage, ImageDecoder } from "./decoder.ts";
import { CENTRED } from "./encoded.ts";
import { EMOJI_VENDORS, type EmojiFiles, type EmojiVendor } from "./emoji_files.ts";
import { type DatasetKind, sizeSetting, squareInColour } from "./kind.ts";
import { loadOnDemand } from "./on_demand.ts";

/** The settings of `emoji`. */
export interface EmojiSettings {
  /** Whose pictures; with `both`, each emoji has two, in the same part. */
  readonly vendor: EmojiVendor | "both";
  /** The side of the images; the original pictures have 64. */
  readonly size: number;
  /** The background behind transparent parts. */
  readonly background: "white" | "grey" | "black";
}

/** Every tenth emoji, with its skin tones, is for testing: the last of each group of ten. */
const TEST_EVERY = 10;
const GREYS = { white: 255, grey: 128, black: 0 };

/** `emoji` in the registry: `[size, size, 3]`, 3,415 training and 371 test images, or twice as many by both vendors. A
 * package's 1,911 emoji are in the order of keyboards. The emoji at position p, with its skin tones, is for testing if
 * p ≡ 9 modulo 10, so that no test image is a variant of a training image. The classes are the categories of keyboards. */
export const emojiKind: DatasetKind<EmojiSettings> = {
  schema: z.strictObject({
    vendor: z.enum([...EMOJI_VENDORS, "both"]).default("google")
      .describe("whose pictures; both: each emoji once by each"),
    size: sizeSetting(32),
    background: z.enum(["white", "grey", "black"]).default("white")
      .describe("the background behind transparent parts"),
  }),
  imageShape: squareInColour,
  open: openEmoji,
};

/** Loads the emoji of a vendor. */
async function emojiOf(vendor: EmojiVendor): Promise<readonly EmojiFiles[]> {
  const { emoji } = await loadOnDemand(`emoji_${vendor}.ts`) as { emoji: readonly EmojiFiles[] };
  return emoji;
}

async function openEmoji({ vendor, size, background }: EmojiSettings): Promise<Dataset> {
  const vendors = vendor === "both" ? EMOJI_VENDORS : [vendor];
  const emoji = await Promise.all(vendors.map(emojiOf));
  const classes = [...new Set(emoji.flat().map(({ category }) => category))];
  const parts: Record<Split, string[]> = { train: [], test: [] };
  const labels: Record<Split, number[]> = { train: [], test: [] };
  for (const ofVendor of emoji) {
    for (const [position, { files, category }] of ofVendor.entries()) {
      const split = position % TEST_EVERY === TEST_EVERY - 1 ? "test" : "train";
      for (const file of files) {
        parts[split].push(file);
        labels[split].push(classes.indexOf(category));
      }
    }
  }
  const decoder = new ImageDecoder({ size, background: GREYS[background] }, null);
  const [train, test] = await Promise.all([
    decodeAll(decoder, parts.train, size),
    decodeAll(decoder, parts.test, size),
  ]);
  await decoder.close();
  const by = { google: "", twitter: " by Twitter", both: " by Google and Twitter" }[vendor];
  const name = `emoji${by}${background === "white" ? "" : ` on ${background}`}`;
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
        `Cannot open emoji: every picture of the package must be intact, got ${decoded.name}: ${decoded.problem}`,
      );
    }
    bytes.set(decoded, index * size * size * 3);
  });
  return bytes;
}
