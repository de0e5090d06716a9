/** What `--help` prints. */
import { type Setting, showSetting } from "../settings/settings.ts";
import type { Command } from "./flags.ts";

/** Every operand, flag, allowed value and default of a task.
 * @param notes paragraphs that follow
 */
export function showHelp(command: Command, notes: readonly string[] = []): string {
  const { call, summary, operands, options, settings } = command;
  const usage = [call, ...operands.map(({ name }) => name), "[flags]"].join(" ");
  const sections = new Map<string, Setting[]>();
  for (const setting of settings) {
    const title = setting.path.includes(".") ? setting.path.split(".")[0] : "run";
    sections.set(title, [...sections.get(title) ?? [], setting]);
  }
  return [
    `${usage}\n\n${summary}`,
    operands.map(({ name, description }) => `${name}\n      ${description}`).join("\n"),
    `Flags:\n${options.map(showFlag).join("\n")}\n  --help\n      prints this`,
    ...[...sections].map(([title, own]) => `${title}:\n${own.map(showFlag).join("\n")}`),
    ...notes,
  ].filter((part) => part !== "").join("\n\n");
}

function showFlag({ path, description, allowed, ...setting }: Setting): string {
  const usual = typeof setting.default === "string" || Array.isArray(setting.default)
    ? String(setting.default)
    : showSetting(setting.default);
  return `  --${path} <${allowed}>, default ${usual}\n      ${description}`;
}
