/** The pictures of the npm package `emoji-datasource-google`; `emoji.ts` loads this module on demand. */
import { fileURLToPath } from "node:url";
import emoji from "emoji-datasource-google/emoji.json" with { type: "json" };

/** Where the pictures lie: of each emoji its plain form first, then its skin tones; the emoji in the order in which
 * keyboards show them. */
export function emojiFiles(): string[][] {
  const list = import.meta.resolve("emoji-datasource-google/emoji.json");
  const folder = fileURLToPath(new URL("img/google/64/", list));
  return emoji
    .filter((one) => one.has_img_google)
    .toSorted((a, b) => a.sort_order - b.sort_order)
    .map(({ image, skin_variations: tones = {} }) => [
      `${folder}${image}`,
      ...Object.values(tones).map((tone) => `${folder}${tone.image}`),
    ]);
}
