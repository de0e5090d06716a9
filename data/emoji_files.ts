/** The pictures of the npm packages `emoji-datasource-google` and `emoji-datasource-twitter`. */
import { fileURLToPath } from "node:url";

/** The vendors whose emoji are available. */
export const EMOJI_VENDORS = ["google", "twitter"] as const;

/** The name of a vendor. */
export type EmojiVendor = typeof EMOJI_VENDORS[number];

/** An emoji of a package. */
export interface EmojiFiles {
  /** The paths of its pictures: the plain form first, then the skin tones. */
  readonly files: readonly string[];
  /** Its category on keyboards, such as "Animals & Nature". */
  readonly category: string;
}

/** An entry of a package's `emoji.json`, as far as it is read. */
interface Entry {
  readonly image: string;
  readonly category: string;
  readonly sort_order: number;
  readonly has_img_google: boolean;
  readonly has_img_twitter: boolean;
  readonly skin_variations?: Readonly<Record<string, { readonly image: string } | undefined>>;
}

/** The emoji of a vendor, in the order of keyboards.
 * @param entries the package's `emoji.json`
 * @param list the address of that file
 */
export function emojiFiles(
  entries: readonly Entry[],
  list: string,
  vendor: EmojiVendor,
): EmojiFiles[] {
  const folder = fileURLToPath(new URL(`img/${vendor}/64/`, list));
  return entries
    .filter((entry) => entry[`has_img_${vendor}`])
    .toSorted((a, b) => a.sort_order - b.sort_order)
    .map(({ image, category, skin_variations: tones = {} }) => ({
      files: [image, ...Object.values(tones).map((tone) => tone!.image)]
        .map((file) => `${folder}${file}`),
      category,
    }));
}
