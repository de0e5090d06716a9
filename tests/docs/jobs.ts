/** The documented commands, as they run in a checkout: smaller, and in the order of the pages. */
import { basename } from "node:path";
import { commandsOf, inlineCommandsOf, pagesIn } from "./commands.ts";
import { shrink } from "./shrunk.ts";

/** Commands that do not run here, with the reason. */
export const NOT_RUN: readonly (readonly [command: RegExp, reason: string])[] = [
  [/^(npm i -g|apt-get install) /, "installs a program for the whole machine"],
  [/ task test$/, "is the suite that this belongs to"],
  [
    /^deno task page --serve/,
    "serves until it is stopped; tests/tasks/open_page_test.ts stops it, and tests/page uses the page",
  ],
  [/jsr:@codebook/, "needs the published package; tests/published_test.ts brings a registry"],
  [
    /^mpirun .* task evaluate/,
    "trains a classifier on every rank; tests/training/distributed/tasks_test.ts evaluates so",
  ],
  [/bench:peers/, "downloads the peers; tests/bench/peers_test.ts tests it"],
];

/** What stands for the words that a reader replaces. */
const WORDS: readonly (readonly [words: RegExp, instead: string])[] = [
  [/^npx -y deno@\S+/, "deno"],
  [/^deno task train --resume$/, "deno task train --out runs/vanilla --resume"],
  [/sample RUN/, "sample runs/gpt"],
  [/\b(RUN|CONFIG)\b/, "runs/digits"],
  [/\bPRESET\b/, "digits"],
  [/\bFOLDER\b/, "folder"],
  [/--data\.name (ffhq|imagenet) --data\.path \w+/, "--data.name shapes"], // Their images are not here,
  [/--objective\.weights LPIPS/, "--objective.perceptual none"], // nor are LPIPS and Inception.
  [/--out runs\/imported --data/, "--out runs/imported-faces --data"], // The README has a run there.
  [/--metrics ssim,lpips,fid/, "--metrics ssim"],
  [/--model\.heads N/, "--model.heads 2"],
  [/\bparallel -j 2/, "xargs -r -d '\\n' -n 1 -P 2 sh -c"],
];

/** A command as it runs, what it writes, and what it may read. */
export interface Job {
  /** The line of the shell. */
  readonly line: string;
  /** The file or folder that it writes; empty if it writes none. */
  readonly writes: string;
  /** Its words, among them what it reads. */
  readonly words: readonly string[];
}

const PAGES = ["README.md", "docs/getting-started.md", ...pagesIn("docs")];
/** Every command, once. */
export const TYPED: readonly string[] = [
  ...new Set(PAGES.flatMap((page) => [...commandsOf(page), ...callsOf(page)])),
];

/** The calls of tasks inside a page's sentences; a run that one of them starts gets a folder of its own. */
function callsOf(page: string): string[] {
  return inlineCommandsOf(page).map((command, at) =>
    / train (?!.*--(out|resume|help))/.test(command)
      ? `${command} --out runs/${basename(page, ".md")}-${at}`
      : command
  );
}

/** A documented command, as it runs in a checkout. */
function jobOf(command: string, folder: string): Job {
  const line = shrink(WORDS.reduce(
    (words, [from, to]) => words.replace(from, to),
    command.replaceAll("/scratch/me", `${folder}/scratch`),
  ));
  const preset = line.match(/--preset (\S+)/)?.[1] ?? "digits";
  const isTraining = /\b(task train|train\.ts) (?!--help)/.test(line);
  const study = line.match(/\btask ablate (?!collect)(\S+)/)?.[1];
  const own = isTraining ? preset : study && basename(study, ".json");
  const writes = line.match(/--out (\S+)/)?.[1] ?? (own === undefined ? "" : `runs/${own}`);
  return { line, writes, words: line.split(" ") };
}

/** The commands that run in a checkout, in order. */
export function jobsIn(folder: string, { mpi }: { readonly mpi: boolean }): readonly Job[] {
  const jobs = TYPED.filter((command) => !NOT_RUN.some(([known]) => known.test(command)))
    .filter((command) => mpi || !command.startsWith("mpirun"))
    .map((command) => jobOf(command, folder));
  return jobs.filter(({ line }, at) => jobs.findIndex((other) => other.line === line) === at);
}

/** Whether one job writes what the other writes or reads. */
export function collide(one: Job, other: Job): boolean {
  return one.writes !== "" && (one.writes === other.writes || other.words.includes(one.writes)) ||
    other.writes !== "" && one.words.includes(other.writes);
}
