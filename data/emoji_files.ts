/** The pictures of the npm package `emoji-datasource-google`; `emoji.ts` loads this module on demand. */
import { fileURLToPath } from "node:url";
import emoji from "emoji-datasource-google/emoji.json" with { type: "json" };

/** An emoji of the package. */
export interface EmojiFiles {
  /** The paths of its pictures: the plain form first, then the skin tones. */
  readonly files: readonly string[];
  /** Its category on keyboards, such as "Animals & Nature". */
  readonly category: string;
}

/** The emoji in the order of keyboards. */
export function emojiFiles(): EmojiFiles[] {
  const list = import.meta.resolve("emoji-datasource-google/emoji.json");
  const folder = fileURLToPath(new URL("img/google/64/", list));
  return emoji
    .filter((one) => one.has_img_google)
    .toSorted((a, b) => a.sort_order - b.sort_order)
    .map(({ image, category, skin_variations: tones = {} }) => ({
      files: [image, ...Object.values(tones).map((tone) => tone.image)]
        .map((file) => `${folder}${file}`),
      category,
    }));
}
