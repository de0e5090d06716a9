import assert from "node:assert/strict";
import config from "../deno.json" with { type: "json" };

Deno.test("the citation and the changelog name the package's version", async () => {
  const read = (name: string) => Deno.readTextFile(new URL(`../${name}`, import.meta.url));
  const escaped = config.version.replaceAll(".", "\\.");
  assert.match(await read("CITATION.cff"), new RegExp(`^version: ${escaped}$`, "m"));
  assert.match(await read("CHANGELOG.md"), new RegExp(`^## ${escaped}$`, "m"));
});
