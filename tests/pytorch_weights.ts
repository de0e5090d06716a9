/** PyTorch's numbers for VQGANs (`fixtures/make_vqgan.py`), and their weights in our modules. */
import assert from "node:assert/strict";
import type { HostTensor } from "../core/host_tensor.ts";
import type { Module } from "../nn/module.ts";
import { fromPyTorch, type NameTable } from "../training/pretrained/layout.ts";

/** The path of a file of `fixtures/vqgan`. */
export function fixture(name: string): string {
  return new URL(`fixtures/vqgan/${name}`, import.meta.url).pathname;
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
