/** The pages of docs/ and the README: links lead somewhere, commands exist, messages are those of the code. */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { STUDIES } from "../../tasks/studies/registry.ts";
import { commandsOf, inlineCommandsOf, pagesIn, ROOT, textOf } from "./commands.ts";
import { flagsOf } from "./task_flags.ts";

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "page/weights/README.md",
  ...pagesIn("docs"),
  ...pagesIn("bench"),
];

const sourcesOf = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts")).map((name) => join(folder, name));

/** The anchor of a heading, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");

const anchorsOf = (path: string) =>
  [...textOf(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));

for (const page of PAGES) {
  Deno.test(`every link in ${page} leads to an existing file and heading`, () => {
    for (const [, target] of textOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path, anchor] = target.split("#");
      const file = path === "" ? page : join(dirname(page), path);
      assert.ok(statSync(join(ROOT, file), { throwIfNoEntry: false }), `there is no ${target}`);
      if (anchor !== undefined) {
        assert.ok(anchorsOf(file).includes(anchor), `there is no heading ${target}`);
      }
    }
  });

  Deno.test(`every command in ${page} is an existing task with existing flags`, async () => {
    for (const command of [...commandsOf(page), ...inlineCommandsOf(page)]) {
      const [, task, rest = ""] = command.match(/\btask ([a-z:]+)(.*)$/) ?? [];
      if (task === undefined) continue;
      assert.ok(Object.hasOwn(config.tasks, task), `there is no task ${task}: ${command}`);
      if (task === "ablate") {
        const study = rest.trim().split(" ")[0];
        const isNamed = STUDIES.some(({ name }) => name === study);
        assert.ok(isNamed || /\.json$|^collect$/.test(study), `there is no study ${study}`);
      }
      const flags = await flagsOf(task);
      if (flags === undefined) continue;
      const given = rest.replace(/".*?"/g, '""').split(/ [|>&] /)[0].matchAll(
        /(?<=\s)--([\w.:-]+)/g,
      );
      for (const [, flag] of given) {
        assert.ok(flags.includes(flag), `${task} has no flag --${flag}: ${command}`);
      }
    }
  });
}

Deno.test("every message quoted on the troubleshooting page is in the code", () => {
  const sources = ["core", "data", "files", "objectives", "tasks", "training"]
    .flatMap(sourcesOf).map(textOf).join("\n");
  const quotes = [...textOf("docs/troubleshooting.md").matchAll(/^\*\*`([^`]+)`/gm)];
  assert.ok(quotes.length > 5);
  for (const [, quote] of quotes) {
    const words = quote.replaceAll("…", "").trim();
    assert.ok(sources.includes(words), `no message says "${words}"`);
  }
});
