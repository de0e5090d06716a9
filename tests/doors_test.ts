/** What each door of the package brings with it, and what it must not. */
import assert from "node:assert/strict";
import config from "../deno.json" with { type: "json" };
import { reached } from "./module_graph.ts";

/** For each door, the project's folders that it may reach, and the packages of npm. */
const DOORS: Readonly<
  Record<string, { readonly folders: readonly string[]; readonly packages: readonly string[] }>
> = {
  ".": {
    folders: [
      ...["core", "files", "settings", "data", "metrics", "nn", "quantizers", "models"],
      ...["objectives", "training", "reports", "studies"],
    ],
    packages: ["fast-png", "ml-matrix", "umap-js", "zod"],
  },
  "./core": { folders: ["core"], packages: [] },
  "./quantizers": { folders: ["core", "nn", "settings", "quantizers"], packages: ["zod"] },
  "./data": { folders: ["core", "files", "settings", "data"], packages: ["zod"] },
  "./metrics": {
    folders: ["core", "files", "settings", "nn", "metrics"],
    packages: ["ml-matrix"],
  },
  "./web": {
    folders: ["core", "files", "settings", "nn", "quantizers", "models", "objectives"],
    packages: ["zod"],
  },
  "./cli": { folders: ["core", "files", "settings", "training", "tasks"], packages: [] },
};

const packageOf = (specifier: string) => specifier.match(/^npm:\/?((?:@[^/]+\/)?[^@/]+)/)?.[1];

Deno.test("every entry point is tested", () => {
  assert.deepEqual(Object.keys(config.exports).sort(), Object.keys(DOORS).sort());
});

for (const [door, { folders, packages }] of Object.entries(DOORS)) {
  Deno.test(`the entry point ${door} loads no more than it needs`, async () => {
    const path = config.exports[door as keyof typeof config.exports];
    const modules = await reached(path);
    const own = modules.filter((module) => module.includes("/") && !module.includes(":"));
    const wrong = own.filter((module) => !folders.includes(module.split("/")[0]));
    assert.deepEqual(wrong, []);
    const found = [...new Set(modules.map(packageOf).filter((name) => name !== undefined))];
    assert.deepEqual(found.sort(), [...packages]);
    assert.ok(own.length > 0);
  });
}

Deno.test("importing training loads neither the image decoder, nor the emoji, nor the digits", async () => {
  const modules = await reached("tasks/train.ts");
  const found = [...new Set(modules.map(packageOf).filter((name) => name !== undefined))];
  assert.deepEqual(found.sort(), ["fast-png", "zod"]);
});

Deno.test("the entry point ./web never imports a Node module, not even later", async () => {
  const modules = await reached("web.ts");
  assert.deepEqual(modules.filter((module) => module.startsWith("node:")), []);
  assert.ok(modules.includes("core/cpu/backend.ts"), "devices are reached");
});
