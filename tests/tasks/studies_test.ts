import assert from "node:assert/strict";
import { openStudy } from "../../tasks/studies/registry.ts";
import { folderForTests } from "./child.ts";

const folder = folderForTests();
const root = Deno.cwd();

Deno.test("a misspelt study is rejected with the nearest one, built in or in the working directory", async () => {
  for (const file of ["decay.json", "notes.md", "widths.ts"]) {
    Deno.writeTextFileSync(`${folder}/${file}`, "");
  }
  Deno.chdir(folder);
  try {
    const cases: [string, RegExp][] = [
      ["decy", /got decy, did you mean decay\.json\?$/],
      ["decay", /got decay, did you mean decay\.json\?$/],
      ["width", /got width, did you mean widths\.ts\?$/],
      ["quantisers", /got quantisers, did you mean quantizers\?$/],
      ["notes", /got notes, the choices are quantizers, codebook-size, /],
    ];
    for (const [name, message] of cases) {
      await assert.rejects(openStudy(name), { name: "RangeError", message });
    }
  } finally {
    Deno.chdir(root);
  }
});
