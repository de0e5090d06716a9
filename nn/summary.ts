/** A table of a model's layers. */
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Module } from "./module.ts";

/** Lists a model's layers: the path and class of each, its own tensors, and how many parameters these have. The last
 * line has the totals. Tensors in parentheses are state that is not learned, and are not counted.
 *
 * ```ts
 * import { Linear, openDevice, randomKey, Sequential, summarize } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * using device = await openDevice("reference");
 * const layer = (part: string) => new Linear(device, 3, 3, { key: randomKey(1, part) });
 * const table = summarize(new Sequential([layer("first"), layer("second")]));
 * assert.match(table, /layers\.1 +Linear +weight \[3, 3\], bias \[3\] +12\n/);
 * assert.match(table, /24 parameters, 96 bytes$/);
 * ```
 */
export function summarize(model: Module): string {
  const modules = model.namedModules();
  const held = new Map<string, [name: string, tensor: Tensor][]>();
  const parameters = [...model.namedParameters()], buffers = [...model.namedBuffers()];
  for (const [name, tensor] of [...parameters, ...buffers]) {
    const owner = ownerOf(name, modules);
    const own = owner === "" ? name : name.slice(owner.length + 1);
    held.set(owner, [...held.get(owner) ?? [], [own, tensor]]);
  }
  const rows = [...modules].map(([path, module]) => {
    const tensors = held.get(path) ?? [];
    return [
      path === "" ? "(model)" : path,
      module.constructor.name,
      tensors.map(showTensor).join(", "),
      countOf(tensors.flatMap(([, tensor]) => tensor.requiresGradient ? [tensor] : [])),
    ];
  });
  const count = parameters.reduce((sum, [, { size }]) => sum + size, 0);
  const bytes = (4 * count).toLocaleString("en-US");
  return [
    ...alignColumns([["layer", "class", "tensors", "parameters"], ...rows]),
    `${count.toLocaleString("en-US")} parameters, ${bytes} bytes`,
  ].join("\n");
}

/** The innermost module on a tensor's path. */
function ownerOf(name: string, modules: ReadonlyMap<string, Module>): string {
  for (let end = name.lastIndexOf("."); end >= 0; end = name.lastIndexOf(".", end - 1)) {
    if (modules.has(name.slice(0, end))) return name.slice(0, end);
  }
  return "";
}

function showTensor([name, { shape, requiresGradient }]: readonly [string, Tensor]): string {
  const text = `${name} ${showShape(shape)}`;
  return requiresGradient ? text : `(${text})`;
}

function countOf(tensors: readonly Tensor[]): string {
  const count = tensors.reduce((sum, { size }) => sum + size, 0);
  return count === 0 ? "" : count.toLocaleString("en-US");
}

/** Formats rows as lines with aligned columns; the last column is right-aligned. */
function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, column) =>
      column === row.length - 1 ? cell.padStart(widths[column]) : cell.padEnd(widths[column])
    ).join("  ").trimEnd()
  );
}
