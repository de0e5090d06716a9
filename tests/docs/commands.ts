/** The pages for users and what they tell one to type. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the project. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** The text of a page, by its path in the project. */
export const textOf = (page: string): string => readFileSync(join(ROOT, page), "utf8");

/** The paths of the pages below a folder. */
export const pagesIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md")).map((name) => join(folder, name)).sort();

/** The blocks of a language in a page. */
export const blocksOf = (page: string, language: string): string[] =>
  [...textOf(page).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))]
    .map(([, block]) => block);

/** The lines of a page's shell blocks, without comments, continued lines as one. */
export const commandsOf = (page: string): string[] =>
  blocksOf(page, "sh").flatMap((block) =>
    block.replaceAll(/\\\n\s*/g, "").split("\n").map((line) =>
      line.replace(/(^|\s)#.*$/, "").trim()
    ).filter((line) => line !== "")
  );

/** The calls of tasks inside a page's sentences; a task's mere name is none. */
export const inlineCommandsOf = (page: string): string[] =>
  textOf(page).replaceAll(/^```.*?^```/gms, "").split(/\n\s*\n/)
    .flatMap((paragraph) => [...paragraph.matchAll(/`([^`]+)`/g)])
    .map(([, code]) => code.replaceAll("\n", " "))
    .filter((code) => /\bdeno task [a-z:]+ \S/.test(code) || /^\w+=.*\bdeno task/.test(code));
