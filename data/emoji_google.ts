/** The emoji of the npm package `emoji-datasource-google`; `emoji.ts` loads this module on demand. */
import entries from "emoji-datasource-google/emoji.json" with { type: "json" };
import { type EmojiFiles, emojiFiles } from "./emoji_files.ts";

const list = import.meta.resolve("emoji-datasource-google/emoji.json");

/** The emoji in the order of keyboards. */
export const emoji: readonly EmojiFiles[] = emojiFiles(entries, list, "google");
