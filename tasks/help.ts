/** What `--help` prints. */
import { suggestName } from "../settings/nearest_name.ts";
import { type Setting, showSetting } from "../settings/settings.ts";
import { UsageError } from "./fail.ts";
import { type Command, showOperands } from "./flags.ts";

/** The settings that are changed most often. */
const USUAL: ReadonlySet<string> = new Set([
  ...["preset", "device", "out", "seed", "data.name", "quantizer.type", "quantizer.codebookSize"],
  ...["training.epochs", "training.batchSize", "optimizer.learningRate"],
]);

/** A task with more settings shows the usual ones first. */
const MOST_SHOWN = 30;

/** Additional help texts, by topic. */
export type Notes = Readonly<Record<string, readonly string[]>>;

/** The help of a task: operands, flags, allowed values and defaults. For a task with many settings, it shows the most
 * common ones, and lists the topics with the rest.
 * @param topic `usual`, `all`, a section of the settings, or a name of the notes
 * @throws {UsageError} there is no such topic
 */
export function showHelp(command: Command, topic: string, notes: Notes = {}): string {
  const { call, summary, operands, options, settings } = command;
  const sections = Map.groupBy(settings, sectionOf);
  const topics = ["all", ...sections.keys(), ...Object.keys(notes)];
  if (Object.hasOwn(notes, topic)) return notes[topic].join("\n");
  const section = sections.get(topic);
  if (section !== undefined) return showFlags(topic, section);
  if (topic !== "usual" && topic !== "all") {
    throw new UsageError(
      `Cannot show help: the topic must be one of ${topics.join(", ")}, got ${topic}, ${
        suggestName(topic, topics)
      }`,
    );
  }
  const isShort = topic === "usual" && settings.length > MOST_SHOWN;
  const flags = `${options.map(showFlag).join("\n")}
  --help <a topic, or nothing>
      prints this help
  --version
      prints the version`;
  return [
    `${
      [call, showOperands(operands), "[flags]"].filter((word) => word !== "").join(" ")
    }\n\n${summary}`,
    operands.map(({ name, description }) => `${name}\n      ${description}`).join("\n"),
    `Flags:\n${flags}`,
    ...isShort
      ? [
        showFlags(
          "The settings that are changed most often",
          settings.filter(({ path }) => USUAL.has(path)),
        ),
        `More settings: \`${call} --help all\`, or one topic of\n${
          [...sections].map(([name, own]) => `  ${name.padEnd(12)} ${own.length} settings`).join(
            "\n",
          )
        }${Object.keys(notes).map((name) => `\n  ${name}`).join("")}`,
      ]
      : [
        ...[...sections].map(([name, own]) => showFlags(name, own)),
        ...Object.values(notes).map((lines) => lines.join("\n")),
      ],
  ].filter((part) => part !== "").join("\n\n");
}

function sectionOf({ path }: Setting): string {
  return path.includes(".") ? path.split(".")[0] : "run";
}

function showFlags(title: string, settings: readonly Setting[]): string {
  return `${title}:\n${settings.map(showFlag).join("\n")}`;
}

function showFlag({ path, description, allowed, ...setting }: Setting): string {
  const usual = typeof setting.default === "string" || Array.isArray(setting.default)
    ? String(setting.default)
    : showSetting(setting.default);
  return `  --${path} <${allowed}>, default ${usual}\n      ${description}`;
}
