/** A first stage and images small enough for tests of what stands on it: stripes of two directions, 3×3 codes of 8. */
import type { RandomKey } from "../../core/random.ts";
import { randomKey } from "../../core/random.ts";
import { withoutGradients } from "../../core/execute.ts";
import type { Device } from "../../core/tensor.ts";
import type { Dataset } from "../../data/dataset.ts";
import { memoryDataset } from "../../data/memory.ts";
import { FirstStage } from "../../models/first_stage.ts";
import { VQVAE } from "../../models/vqvae.ts";
import { freeze } from "../../nn/module.ts";
import type { Objective } from "../../objectives/objective.ts";
import { objectiveKind } from "../../objectives/registry.ts";
import { OPTIMIZER_SETTINGS } from "../../objectives/optimizer_settings.ts";
import { MultiScaleQuantizer } from "../../quantizers/multi_scale.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { ResidualQuantizer } from "../../quantizers/residual.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { modelSchema } from "../../models/registry.ts";

/** Codes of the first stages. */
export const CODEBOOK_SIZE = 8;
const SIDE = 12;

/** Stripes across (class 0) and down (class 1): 24 to train on, 12 to test. */
export function stripes(): Dataset {
  const draw = (count: number, first: number) =>
    Float32Array.from({ length: count * SIDE * SIDE }, (_, value) => {
      const image = first + Math.floor(value / SIDE / SIDE);
      const y = Math.floor(value / SIDE) % SIDE, x = value % SIDE;
      return Math.sin((image % 2 === 0 ? y : x) * (0.7 + 0.2 * (image % 3)) + image % 5);
    });
  const labels = (count: number) => Int32Array.from({ length: count }, (_, image) => image % 2);
  return memoryDataset({
    name: "stripes",
    imageShape: [SIDE, SIDE, 1],
    train: draw(24, 0),
    test: draw(12, 3),
    labels: { train: labels(24), test: Int32Array.from(labels(12), (label) => 1 - label) },
    classes: ["across", "down"],
  });
}

/** A first stage with random layers whose codes are features of the images, so that all of them are used.
 * @param codes of a position; a list: the scales of a multi-scale quantiser; none: one, without an axis
 */
export async function tinyFirstStage(
  device: Device,
  codes?: number | readonly number[],
): Promise<FirstStage> {
  const key = randomKey(3, "first stage");
  const books: VanillaQuantizer[] = [];
  const inner = (key: RandomKey) => {
    const book = new VanillaQuantizer(device, { codebookSize: CODEBOOK_SIZE, codebookDim: 4, key });
    books.push(book);
    return book;
  };
  const quantizer: Quantizer = codes === undefined
    ? inner(key)
    : typeof codes === "number"
    ? new ResidualQuantizer({ inner, depth: codes, key })
    : new MultiScaleQuantizer(device, { inner, scales: codes, key });
  const network = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
  freeze(network);
  const dataset = stripes();
  const chosen = Int32Array.from({ length: CODEBOOK_SIZE }, (_, code) => code);
  using _scope = device.scope();
  const images = device.tensor(await dataset.images("train", chosen), [
    CODEBOOK_SIZE,
    ...dataset.imageShape,
  ]);
  const features = await withoutGradients(() => network.encode(images)).floats();
  const vectors = chosen.reduce((vectors, code) => {
    vectors.set(features.subarray(code * 9 * 4 + code * 4, code * 9 * 4 + code * 4 + 4), code * 4);
    return vectors;
  }, new Float32Array(CODEBOOK_SIZE * 4));
  for (const { codebook } of books) codebook.write(vectors);
  return new FirstStage(network, key);
}

/** What a test wants of an objective. */
export interface SecondStageOptions {
  /** The objective's name. */
  readonly type: string;
  /** Its settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The model's name and settings. */
  readonly model?: Readonly<Record<string, unknown>>;
  /** What it stands on. */
  readonly stage1: FirstStage;
  /** Without the classes if false. */
  readonly labels?: boolean;
}

/** An objective on a first stage, with a small transformer and Adam at 3e-3. */
export function makeObjective(
  device: Device,
  { type, settings = {}, model = {}, stage1, labels = true }: SecondStageOptions,
): Objective {
  const kind = objectiveKind(type), dataset = stripes();
  const unlabelled: Dataset = {
    name: dataset.name,
    imageShape: dataset.imageShape,
    sizes: dataset.sizes,
    variance: dataset.variance,
    images: dataset.images.bind(dataset),
  };
  return kind.make(device, {
    seed: 5,
    dataset: labels ? dataset : unlabelled,
    settings: kind.schema.parse(settings),
    model: modelSchema(kind.models, model).parse({ width: 16, layers: 2, heads: 2, ...model }),
    optimizer: OPTIMIZER_SETTINGS.parse({ learningRate: 3e-3 }),
    steps: 100,
    stepsPerEpoch: 6,
    accumulate: 1,
    stage1,
  }) as Objective;
}

/** Trains on all images at once.
 * @returns the losses
 */
export async function trainFor(
  objective: Objective,
  device: Device,
  steps: number,
): Promise<number[]> {
  const key = randomKey(13, "training"), dataset = stripes(), losses: number[] = [];
  const all = Int32Array.from({ length: dataset.sizes.train }, (_, index) => index);
  const values = await dataset.images("train", all);
  await objective.prepare(device);
  for (let step = 0; step < steps; step++) {
    using _scope = device.scope();
    const images = device.tensor(values, [all.length, ...dataset.imageShape]);
    const labels = device.tensor(Int32Array.from(dataset.labels!.train), [all.length]);
    const context = { training: true, key: { ...key, step }, step };
    losses.push(await objective.step({ images, labels, indices: all }, context).loss.item());
  }
  return losses;
}
