/** Launches matrix products: C(m, n) = Σ_k A(m, k)·B(k, n), where A and B may be matrices, or images viewed as
 * matrices. */
import { type Launcher, workgroupsFor } from "./launch.ts";
import { checkLoops } from "./loop_budget.ts";
import { isHalved, type Product } from "./product.ts";
import {
  REGISTER_THREADS,
  registerDepth,
  registerShader,
  registerWidth,
} from "./register_tiles.ts";
import { fitTiling, tilingName } from "./tilings.ts";
import { storedWidth, workgroupShader } from "./workgroup_tiles.ts";

/** The split of the depth for a launch. */
export interface Cut {
  readonly pieces: number;
  readonly length: number;
}

const LONGEST_PIECE = 4096;
const MOST_PARTS = 2 ** 24;

/** How to split the depth of a product: long sums are split for accuracy, and products with few tiles to fill the
 * device, as far as there is room for the results of the pieces. */
export function cutDepth(product: Product, isSoftware: boolean): Cut {
  const { rows, columns, depth, items, splits, tiling } = product;
  if (!splits) return { pieces: 1, length: Math.max(depth, 1) };
  const tile = fitTiling(tiling, rows, columns);
  const tiles = Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns) * items;
  const wanted = Math.max(
    Math.ceil((isSoftware ? 64 : 256) / tiles),
    Math.ceil(depth / LONGEST_PIECE),
  );
  const room = Math.max(1, Math.floor(MOST_PARTS / (items * rows * columns)));
  const pieces = Math.min(wanted, room, Math.ceil(depth / 256));
  const length = Math.ceil(depth / pieces / 4) * 4;
  return { pieces: Math.ceil(depth / length), length };
}

/** Launches a product with this split of the depth. With several pieces the output is [items, pieces, rows,
 * columns]. */
export function launchProduct(launcher: Launcher, product: Product, cut: Cut): void {
  const { a, b, bias, output, rows, columns, depth, items, numbers } = product;
  const tile = fitTiling(product.tiling, rows, columns);
  const inRegisters = tile.kind === "registers";
  const tiles = Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns) * items *
    cut.pieces;
  checkLoops(launcher, product.key.split("/")[0], cut.length / registerDepth(product));
  const width = inRegisters ? registerWidth(product) : storedWidth(product);
  launcher.launch({
    key: `${product.key}/${tilingName(tile)}/${width}/${a.vectors}/${b.vectors}/${
      isHalved(product)
    }`,
    shader: () => inRegisters ? registerShader(product, tile) : workgroupShader(product, tile),
    inputs: [a.source.buffer, b.source.buffer, a.source.largest, b.source.largest, bias]
      .filter((buffer) => buffer !== undefined),
    outputs: [output],
    numbers: [
      rows,
      columns,
      depth,
      cut.pieces,
      cut.length,
      tiles,
      ...numbers.map(([, word]) => word),
    ],
    workgroups: inRegisters ? workgroupsFor(tiles, REGISTER_THREADS) : tiles,
  });
}
