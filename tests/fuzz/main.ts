/** Attacks every reader of files with inputs that lie, for as long as is asked, and measures each against the promise of
 * docs/security.md.
 *
 *     deno task fuzz --minutes 30
 */
import * as z from "zod";
import { readSettings, settingsOf } from "../../settings/settings.ts";
import { Campaign } from "./campaign.ts";
import { targetModule, TARGETS } from "./target.ts";
import { asUsage, runTask } from "../../tasks/fail.ts";
import { type Command, readCommandLine } from "../../tasks/flags.ts";
import { showHelp } from "../../tasks/help.ts";

const OPTIONS = z.strictObject({
  minutes: z.number().positive().default(1).describe("for how long"),
  seed: z.int().min(0).default(0).describe("the number of the first input of each format"),
  inputs: z.int().min(1).nullable().default(null)
    .describe("how many inputs a format, in place of the time"),
  formats: z.string().min(1).default(TARGETS.join(",")).describe(
    "which formats, with commas between",
  ),
  findings: z.string().min(1).default("fuzz-findings")
    .describe("the folder for inputs that break the promise, each named by its seed and format"),
});

const COMMAND: Command = {
  call: "deno task fuzz",
  summary:
    "Attacks every reader of files with inputs that lie about counts, offsets and lengths, and measures " +
    "each input's time and memory. Ends with an error where one broke the promise.",
  operands: [],
  options: settingsOf(OPTIONS),
  settings: [],
};

/** Milliseconds that a format has before it is the next one's turn. */
const TURN = 20_000;
/** Milliseconds after which a reading hangs. */
const PATIENCE = 30_000;

async function main(): Promise<number> {
  const line = readCommandLine(Deno.args, COMMAND);
  if (line.help !== undefined) {
    console.log(showHelp(COMMAND, line.help));
    return 0;
  }
  const options = asUsage(() => readSettings(OPTIONS, line.options, "read the command line"));
  const { minutes, seed, inputs, formats, findings } = options;
  const folder = await Deno.makeTempDir({ prefix: "codebook-fuzz-" });
  const campaigns = await Promise.all(
    formats.split(",").map((name) =>
      Campaign.open(targetModule(name), { findings, folder, patience: PATIENCE, timed: true })
    ),
  );
  const end = performance.now() + 60_000 * minutes;
  const over = () =>
    inputs === null ? performance.now() > end : campaigns.every((one) => one.inputs >= inputs);
  while (!over()) {
    for (const campaign of campaigns) {
      const turn = Math.min(TURN, 60_000 * minutes / campaigns.length);
      const last = inputs === null ? Math.min(end, performance.now() + turn) : Infinity;
      const most = inputs ?? Infinity;
      while (performance.now() < last && campaign.inputs < most) {
        await campaign.read(seed + campaign.inputs);
      }
      await campaign.close();
      console.log(`${campaign}`);
    }
  }
  console.log("\nin all");
  for (const campaign of campaigns) console.log(`${campaign}`);
  await Deno.remove(folder, { recursive: true });
  const found = campaigns.flatMap((campaign) => campaign.findings);
  for (const { what, path } of found) console.error(`${path}: ${what}`);
  return found.length === 0 ? 0 : 1;
}

await runTask(main);
