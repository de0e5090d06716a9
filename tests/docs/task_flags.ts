/** The flags of a task, as its help names them. */
import { existsSync, readFileSync } from "node:fs";

const known = new Map<string, readonly string[]>();

/** What a task prints when it is asked for help. */
async function helpOf(task: string, args: readonly string[]): Promise<string> {
  const { main } = await import(new URL(`../../tasks/${task}.ts`, import.meta.url).href) as {
    readonly main: (args: readonly string[]) => Promise<number>;
  };
  const { log } = console;
  const lines: string[] = [];
  console.log = (...words: unknown[]) => lines.push(words.join(" "));
  try {
    await main(args);
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

/** Whether a task has a help. */
function hasHelp(task: string): boolean {
  const file = new URL(`../../tasks/${task}.ts`, import.meta.url);
  return existsSync(file) && readFileSync(file, "utf8").includes("export async function main(");
}

/** The flags of a task of `deno.json`, without their dashes; undefined for one that prints no help. */
export async function flagsOf(task: string): Promise<readonly string[] | undefined> {
  if (!hasHelp(task)) return undefined;
  if (!known.has(task)) {
    const helps = await Promise.all(
      [["--help", "all"], ["--images", "--help"]].map((args) => helpOf(task, args).catch(() => "")),
    );
    const names = [...helps.join("\n").matchAll(/^ +--([\w.:-]+)/gm)].map(([, name]) => name);
    known.set(task, ["help", "version", ...names]);
  }
  return known.get(task);
}
