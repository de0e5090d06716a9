/** PyTorch's numbers for VQGANs (`fixtures/make_vqgan.py`), and their weights in our modules. */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import type { HostTensor } from "../core/host_tensor.ts";
import type { Module } from "../nn/module.ts";
import { fromPyTorch, type NameTable } from "../training/pretrained/layout.ts";

/** The path of a file of `fixtures/vqgan`. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/vqgan/${name}`, import.meta.url));
}

/** Unpacks a fixture into a folder, and gives its path there. */
export async function unpack(name: string, folder: string): Promise<string> {
  const from = fixture(name), to = `${folder}/${name}`;
  const { isDirectory } = await Deno.stat(from).catch(() => ({ isDirectory: false }));
  if (isDirectory) {
    await Deno.mkdir(to);
    for await (const { name: file } of Deno.readDir(from)) {
      await unpack(`${name}/${file.replace(/\.gz$/, "")}`, folder);
    }
    return to;
  }
  const isPlain = await Deno.stat(from).then(() => true, () => false);
  const bytes = isPlain ? await Deno.readFile(from) : gunzipSync(await Deno.readFile(`${from}.gz`));
  await Deno.writeFile(to, bytes);
  return to;
}

/** Gives a module the weights of a file that it has a name for there; its other entries stay. */
export async function loadTheirs(
  module: Module,
  tensors: ReadonlyMap<string, HostTensor>,
  names: NameTable,
  prefix: string,
): Promise<void> {
  const state = await module.stateDictionary();
  const loaded = [...state].map(([ours, own]): [string, HostTensor] => {
    const place = names(ours);
    const theirs = place && tensors.get(prefix + place.name);
    if (place === undefined || ours.startsWith("quantizer.") && theirs === undefined) {
      return [ours, own];
    }
    assert.ok(theirs !== undefined, `the file has ${place.name} for ${ours}`);
    return [ours, fromPyTorch(theirs, place.layout)];
  });
  module.loadStateDictionary(new Map(loaded));
}

/** The names of a discriminator of so many layers. */
export function discriminatorNames(layers: number): NameTable {
  return (ours) => {
    const [room, at, part, field] = ours.startsWith("stages.")
      ? ours.split(".")
      : ["", "", ...ours.split(".")];
    const index = room === "stages"
      ? 2 + 3 * Number(at) + (part === "norm" ? 1 : 0)
      : part === "first"
      ? 0
      : 2 + 3 * layers;
    const name = { runningMean: "running_mean", runningVariance: "running_var" }[field] ?? field;
    const isFilter = part !== "norm" && field === "weight";
    return { name: `main.${index}.${name}`, layout: isFilter ? "filter" : "same" };
  };
}
