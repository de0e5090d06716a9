/** Evaluates a trained model: codebook usage, reconstruction quality, and the data for its report. */
import { withoutGradients } from "../core/execute.ts";
import type { RandomKey } from "../core/random.ts";
import { sizeOf } from "../core/shape.ts";
import type { Device } from "../core/tensor.ts";
import type { Batch } from "../data/batches.ts";
import type { Dataset, Split } from "../data/dataset.ts";
import { type CodebookReport, codebookReport } from "../metrics/codebook.ts";
import type { Autoencoder } from "../models/autoencoder.ts";
import { type Replicas, SINGLE } from "../nn/replicas.ts";
import { evaluate } from "../objectives/evaluate_model.ts";
import { joinParts } from "../objectives/gather_rows.ts";
import type { ImageEvaluation, Measurements } from "./image_evaluation.ts";
import { SharedEvaluation } from "./shared_evaluation.ts";
import {
  evaluationProtocol,
  measuredImages,
  type TestNumbers,
  testNumbers,
} from "../objectives/protocol.ts";
import type { EvaluationProtocol, MetricProtocol } from "../objectives/protocol.ts";
import type { Samples } from "../objectives/sample_grid.ts";

/** Options of `evaluateRun`. */
export interface RunEvaluationOptions {
  /** The device to compute on. */
  readonly device: Device;
  /** The model to evaluate. */
  readonly model: Autoencoder;
  /** The data set to evaluate on. */
  readonly dataset: Dataset;
  /** The part of the data set. */
  readonly split: Split;
  /** The maximum number of images to measure. */
  readonly limit: number;
  /** Batches with all images of the part; where several processes measure them, those of this one. */
  readonly batches: AsyncIterable<Batch>;
  /** Key for random choices of the quantiser, if it makes any in evaluation. */
  readonly key: RandomKey;
  /** Training steps since each code was last chosen, `[K]`, if known. */
  readonly ages?: ArrayLike<number>;
  /** The processes that evaluate the model together, by default one. The first gets the measurements and the features of
   * all; the others get their numbers and samples only. */
  readonly replicas?: Replicas;
}

/** Result of `evaluateRun`. */
export interface RunEvaluation extends Omit<Measurements, "protocols"> {
  /** The test numbers that every run has. */
  readonly numbers: TestNumbers;
  /** The usage of the codebook. */
  readonly codebook: CodebookReport;
  /** The protocols, by hash. */
  readonly protocols: Readonly<Record<string, EvaluationProtocol | MetricProtocol>>;
  /** Some images with their reconstructions. */
  readonly samples: Samples;
  /** The codes among the features; null if the codebook has no vectors of the features' length. */
  readonly space: CodeSpace | null;
}

/** Codes and some encoded features, in the space in which they are compared. */
export interface CodeSpace {
  /** Length of a vector. */
  readonly width: number;
  /** The code vectors, `[K, width]`. */
  readonly codes: Float32Array;
  /** How often each code was chosen, `[K]`. */
  readonly counts: Int32Array;
  /** Features, `[n, width]`. */
  readonly features: Float32Array;
}

/** The largest numbers of images and of features in a report. */
const SAMPLES = 12, FEATURES = 1200;

/** Metrics that the test numbers also contain, there for values that are not clipped. */
const TWICE: ReadonlySet<string> = new Set(["mse", "psnr", "psnr-of-mse"]);

/** Evaluates a model on images of a data set.
 * @throws {RangeError} there are no images
 */
export async function evaluateRun(
  evaluation: ImageEvaluation,
  { device, model, dataset, split, limit, batches, key, ages, replicas = SINGLE }:
    RunEvaluationOptions,
): Promise<RunEvaluation> {
  const { imageShape } = dataset;
  const measured = measuredImages(dataset, {
    split,
    images: limit,
    precision: device.precision,
  });
  const size = sizeOf(imageShape), shown = Math.min(SAMPLES, measured.images);
  const originals = new Float32Array(shown * size), reconstructions = originals.slice();
  const features: number[] = [];
  let width = 0;
  const shared = new SharedEvaluation(evaluation, device, replicas, (beside) => {
    for (const value of beside) if (features.length < FEATURES * width) features.push(value);
  });
  const test = await evaluate(
    device,
    model,
    upTo(batches, measured.images, () => shared.end()),
    imageShape,
    key,
    async (batch) => {
      const compared = withoutGradients(() =>
        model.quantizer.compared(batch.features, { training: false, key })
      );
      const [rebuilt, found] = await Promise.all([
        batch.reconstruction.floats(),
        compared.floats(),
      ]);
      const count = batch.originals.length / size;
      const shape = [count, ...imageShape] as const;
      for (let sample = 0; sample < shown; sample++) {
        const place = spread(sample, shown, measured.images) - batch.first;
        if (place < 0 || place >= count) continue;
        const from = place * size;
        originals.set(batch.originals.subarray(from, from + size), sample * size);
        reconstructions.set(rebuilt.subarray(from, from + size), sample * size);
      }
      // An equal number from every batch, evenly spaced.
      width = compared.shape[compared.shape.length - 1];
      const rows = found.length / width;
      const wanted = Math.min(rows, Math.ceil(FEATURES * count / measured.images));
      const beside = new Float32Array(wanted * width);
      for (let row = 0; row < wanted; row++) {
        const from = spread(row, wanted, rows) * width;
        beside.set(found.subarray(from, from + width), row * width);
      }
      await shared.add({
        originals: { values: batch.originals, shape, tensor: batch.originalTensor },
        reconstructions: { values: rebuilt, shape, tensor: batch.reconstruction },
        beside,
      });
    },
    replicas,
  );
  await joinParts(device, originals, replicas);
  await joinParts(device, reconstructions, replicas);
  const codes = await codeVectors(device, model);
  const numbers = await testNumbers(test, dataset, measured);
  const { measurements, unmeasured, protocols } = replicas.rank > 0
    ? { measurements: [], unmeasured: [], protocols: {} }
    : await evaluation.result({ originals: `${dataset.name}, ${split}`, imageShape });
  return {
    numbers,
    measurements: measurements.map((one) =>
      TWICE.has(one.metric)
        ? { ...one, name: `${one.name}, ${protocols[one.protocol].values}` }
        : one
    ),
    unmeasured,
    protocols: { [numbers.protocol]: evaluationProtocol(dataset, measured), ...protocols },
    codebook: codebookReport(test.counts, { vectors: codes, ages }),
    samples: { originals, reconstructions, imageShape },
    space: codes === undefined || codes.length !== test.counts.length * width ? null : {
      width,
      codes,
      counts: test.counts,
      features: Float32Array.from(features),
    },
  };
}

/** Position number `index` of `count` positions that are evenly spaced over `total`. */
function spread(index: number, count: number, total: number): number {
  return Math.floor(index * total / count);
}

/** The batches up to this many images of all.
 * @param end called after the last batch
 */
async function* upTo(
  batches: AsyncIterable<Batch>,
  images: number,
  end: () => Promise<void>,
): AsyncGenerator<Batch> {
  let done = 0;
  for await (const { images: values, count, first = done } of batches) {
    const taken = Math.min(images - first, count);
    if (taken <= 0) break;
    done = first + taken;
    yield { images: values.subarray(0, taken * values.length / count), count: taken, first };
    if (done >= images) break;
  }
  await end();
}

/** The vector of every code, `[K, D]`; undefined for a method that has no codebook and gives several codes per
 * feature. */
async function codeVectors(
  device: Device,
  { quantizer }: Autoencoder,
): Promise<Float32Array | undefined> {
  using _scope = device.scope();
  const { codebookSize } = quantizer;
  const kept = withoutGradients(() => quantizer.codes());
  if (kept !== undefined) {
    return kept.shape[0] === codebookSize ? await kept.floats() : undefined;
  }
  if (quantizer.codeAxes.length > 0) return undefined;
  const indices = Int32Array.from({ length: codebookSize }, (_, code) => code);
  return await withoutGradients(() => quantizer.lookup(device.tensor(indices, [codebookSize])))
    .floats();
}
