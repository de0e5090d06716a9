/** The direction of imports and the absence of cycles, over the module graph that Deno itself sees. */
import assert from "node:assert/strict";
import { modulesFrom, ROOT } from "./module_graph.ts";

/** For each folder, the folders that it may import from besides itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  core: [],
  settings: [],
  files: ["core"],
  data: ["core", "files", "settings"],
  nn: ["core"],
  metrics: ["core", "files", "settings", "nn"],
  quantizers: ["core", "settings", "nn"],
  models: ["core", "settings", "nn", "quantizers"],
  objectives: ["core", "files", "settings", "data", "metrics", "nn", "quantizers", "models"],
  training: [
    ...["core", "files", "settings", "data", "metrics", "nn", "quantizers", "models"],
    "objectives",
  ],
  reports: ["core", "files", "metrics", "objectives", "training"],
  studies: ["core", "files", "settings", "data", "metrics", "objectives", "training", "reports"],
  bench: [
    "core",
    "files",
    "data",
    "metrics",
    "nn",
    "quantizers",
    "models",
    "objectives",
    "training",
  ],
  tasks: [
    ...["core", "files", "settings", "data", "metrics", "nn", "quantizers", "models"],
    ...["objectives", "training", "reports", "studies", "bench", "deno.json"],
  ],
  // As its users have it: what the entry for browsers exports, and nothing else.
  page: ["web.ts"],
};

async function entries(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
    if (isFile && name.endsWith(".ts")) found.push(`${folder}/${name}`);
  }
  return found;
}

/** Every module of the project with the project's modules that it imports, types included. */
async function moduleGraph(): Promise<Map<string, string[]>> {
  const graph = new Map<string, string[]>();
  for (const entry of ["mod.ts", "web.ts", "cli.ts", "page/main.ts", ...await entries("tasks")]) {
    const modules = await modulesFrom(entry);
    for (const { specifier, dependencies = [] } of modules) {
      if (!specifier.startsWith(ROOT.href)) continue;
      const targets = dependencies
        .map(({ code, type }) => code?.specifier ?? type?.specifier ?? "")
        .filter((target) => target.startsWith(ROOT.href));
      graph.set(specifier.slice(ROOT.href.length), targets.map((t) => t.slice(ROOT.href.length)));
    }
  }
  return graph;
}

const graph = await moduleGraph();

Deno.test("layers import only lower layers", () => {
  const wrong: string[] = [];
  for (const [module, targets] of graph) {
    const folder = module.split("/")[0];
    if (!(folder in ALLOWED)) continue;
    for (const target of targets) {
      const other = target.split("/")[0];
      if (other !== folder && !ALLOWED[folder].includes(other)) wrong.push(`${module} → ${target}`);
    }
  }
  assert.ok(graph.size > 40, `the graph must hold the project, got ${graph.size} modules`);
  assert.deepEqual(wrong, []);
});

Deno.test("the training loop imports no model, quantiser or metric", () => {
  const room = /^(?:models|quantizers|metrics)\//;
  assert.deepEqual(graph.get("training/trainer.ts")?.filter((target) => room.test(target)), []);
});

Deno.test("only core/device.ts loads devices", () => {
  const device = /^core\/(reference|cpu|webgpu)\//;
  const wrong = [...graph].flatMap(([module, targets]) =>
    module === "core/device.ts" || device.test(module)
      ? []
      : targets.filter((target) => device.test(target)).map((target) => `${module} → ${target}`)
  );
  assert.deepEqual(wrong, []);
});

Deno.test("devices do not import each other", () => {
  const wrong = [...graph].flatMap(([module, targets]) => {
    const own = module.match(/^core\/(reference|cpu|webgpu)\//)?.[0];
    return own === undefined ? [] : targets
      .filter((target) => /^core\/(reference|cpu|webgpu)\//.test(target) && !target.startsWith(own))
      .map((target) => `${module} → ${target}`);
  });
  assert.deepEqual(wrong, []);
});

Deno.test("no module imports the root module", () => {
  const wrong = [...graph].filter(([, targets]) => targets.includes("mod.ts")).map(([m]) => m);
  assert.deepEqual(wrong, []);
});

Deno.test("the module graph has no cycles", () => {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (module: string): void => {
    if (done.has(module)) return;
    assert.ok(!path.includes(module), `a cycle: ${[...path, module].join(" → ")}`);
    path.push(module);
    for (const target of graph.get(module) ?? []) visit(target);
    path.pop();
    done.add(module);
  };
  for (const module of graph.keys()) visit(module);
});

Deno.test("core imports no Node modules, except in the cpu device, which is loaded on opening", async () => {
  const wrong: string[] = [];
  for (const module of graph.keys()) {
    if (!module.startsWith("core/") || module.startsWith("core/cpu/")) continue;
    const text = await Deno.readTextFile(new URL(module, ROOT));
    if (/^(?:import|export)\b[^;]*from "(?:node|npm):/m.test(text)) wrong.push(module);
  }
  assert.deepEqual(wrong, []);
});
