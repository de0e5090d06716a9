/** The pages of docs/ and the README: links lead somewhere, commands exist, messages are those of the code. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { STUDIES } from "../../tasks/studies/registry.ts";
import { flagsOf } from "./task_flags.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const filesOf = (folder: string, ending: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending)).map((name) => join(ROOT, folder, name));

const PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map((name) => join(ROOT, name))
  .concat(filesOf("docs", ".md"), filesOf("bench", ".md"));

const textOf = (path: string) => readFileSync(path, "utf8");

/** The anchor of a heading, as GitHub makes it. */
const anchorOf = (heading: string) =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");

const anchorsOf = (path: string) =>
  [...textOf(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading));

/** The lines of a page's shell blocks, without comments, continued lines as one. */
const commandsOf = (page: string): string[] =>
  [...textOf(page).matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block]) =>
    block.replaceAll(/\\\n\s*/g, "").split("\n").map((line) =>
      line.replace(/(^|\s)#.*$/, "").trim()
    )
      .filter((line) => line !== "")
  );

for (const page of PAGES) {
  Deno.test(`every link of ${relative(ROOT, page)} leads to a file and a heading`, () => {
    for (const [, target] of textOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path, anchor] = target.split("#");
      const file = path === "" ? page : resolve(dirname(page), path);
      assert.ok(statSync(file, { throwIfNoEntry: false }), `there is no ${target}`);
      if (anchor !== undefined) {
        assert.ok(anchorsOf(file).includes(anchor), `there is no heading ${target}`);
      }
    }
  });

  Deno.test(`every command of ${relative(ROOT, page)} is a task with flags that it has`, async () => {
    for (const command of commandsOf(page)) {
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

Deno.test("every message that the page on troubles quotes is one of the code's", () => {
  const sources = ["core", "data", "files", "objectives", "tasks", "training"]
    .flatMap((folder) => filesOf(folder, ".ts")).map(textOf).join("\n");
  const quotes = [...textOf(join(ROOT, "docs/troubleshooting.md")).matchAll(/^\*\*`([^`]+)`/gm)];
  assert.ok(quotes.length > 5);
  for (const [, quote] of quotes) {
    const words = quote.replaceAll("…", "").trim();
    assert.ok(sources.includes(words), `no message says "${words}"`);
  }
});
