/** The matrix product kernel. */
import type { Attributes } from "../../ops.ts";
import type { Kernel } from "../../backend.ts";
import type { Launcher } from "../launch.ts";
import { sourcesOf } from "../halves.ts";
import type { Product } from "../product.ts";
import { cutDepth, launchProduct } from "../tiles.ts";
import type { WebGpuBuffer } from "../memory.ts";
import { sumLines } from "./reductions.ts";

/** Runs a product with a plain row-major output, and splits its depth if that helps. */
export function runPlainProduct(launcher: Launcher, product: Product): void {
  const cut = cutDepth(product, launcher.isSoftware);
  if (cut.pieces === 1) {
    launchProduct(launcher, product, cut);
    return;
  }
  const inner = product.rows * product.columns;
  const parts = launcher.scratch(2, product.items * cut.pieces * inner * 4);
  launchProduct(launcher, { ...product, output: parts }, cut);
  const lines = { outer: product.items, count: cut.pieces, inner };
  sumLines(launcher, parts, product.output, lines);
}

/** The matrix product kernel. */
export function matmulKernels(
  launcher: Launcher,
): { readonly matmul: Kernel<Attributes["matmul"], WebGpuBuffer> } {
  return {
    matmul: ([a, b], [output], { transposeA, transposeB, precision = "float32" }) => {
      const [items, rows, columns] = output.shape;
      const [sourceA, sourceB] = sourcesOf(launcher, [a, b], precision);
      const depth = a.shape[transposeA ? 1 : 2];
      const [fromA, fromB] = [a, b].map(({ shape }) => shape[0] === 1 ? 0 : shape[1] * shape[2]);
      // Without transposition a line of A is contiguous in k and a line of B is not. With it, it is the other way round.
      const line = (numbers: string, lies: boolean, length: string) =>
        `return vec4<i32>(i32(item * numbers.${numbers} + i${
          lies ? ` * numbers.${length}` : ""
        }));`;
      const load = (lies: boolean, length: string) =>
        `return fetch(u32(line.x) + k${lies ? "" : ` * numbers.${length}`});`;
      runPlainProduct(launcher, {
        key: `matmul/${transposeA}/${transposeB}`,
        tiling: launcher.tilings.matmul,
        a: {
          source: sourceA,
          contiguous: transposeA ? "line" : "depth",
          vectors: (transposeA ? rows : depth) % 4 === 0,
          line: line("from_a", !transposeA, "depth"),
          load: load(!transposeA, "rows"),
        },
        b: {
          source: sourceB,
          contiguous: transposeB ? "depth" : "line",
          vectors: (transposeB ? depth : columns) % 4 === 0,
          line: line("from_b", transposeB, "depth"),
          load: load(transposeB, "columns"),
        },
        output: output.buffer,
        items,
        rows,
        columns,
        depth,
        splits: true,
        numbers: [["from_a: u32", fromA], ["from_b: u32", fromB]],
      });
    },
  };
}
