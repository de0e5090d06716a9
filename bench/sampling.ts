/** Sampling: steps of DDIM, and the codes of a transformer with and without its KV cache. */
import { randomKey } from "../core/random.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { AutoregressionObjective } from "../objectives/autoregression.ts";
import { CachedTransformer, type NextCodeOptions } from "../objectives/next_code.ts";
import { drawInOrder, type NextCode } from "../objectives/samplers/autoregressive.ts";
import type { CodeTransformer } from "../models/transformer/code_transformer.ts";
import { DDIM_STEPS, makeModel, type ModelName, sampleByDdim, SAMPLED } from "./models.ts";
import type { Bench, BenchRow } from "./row.ts";

/** Predicts each code by processing all codes before it again. */
class UncachedTransformer implements NextCode {
  readonly #make: () => CachedTransformer;
  readonly #columns: Int32Array[] = [];

  constructor(device: Device, model: CodeTransformer, options: NextCodeOptions) {
    this.#make = () => new CachedTransformer(device, model, options);
  }

  next(codes: Int32Array<ArrayBuffer> | undefined): Tensor {
    if (codes !== undefined) this.#columns.push(codes);
    using model = this.#make();
    const columns = this.#columns, rows = SAMPLED;
    if (columns.length === 0) return model.next(undefined);
    const at = (index: number) =>
      columns[index % columns.length][Math.floor(index / columns.length)];
    return model.next(Int32Array.from({ length: rows * columns.length }, (_, index) => at(index)));
  }
}

/** A row for the fastest of several sampling runs. */
async function rowOf(
  device: Device,
  runs: number,
  shape: string,
  steps: number,
  sample: () => Promise<void>,
): Promise<BenchRow> {
  let least = Infinity;
  for (let run = 0; run <= runs; run++) {
    const started = performance.now();
    await sample();
    if (run > 0) least = Math.min(least, performance.now() - started);
  }
  const ms = least / steps, rate = { images_per_second: SAMPLED / ms * 1000 };
  return { bench: "sampling", device: device.name, shape, ms, ...rate };
}

/** Rows for a step of DDIM of each diffusion, and for all codes of a transformer with and without the cache. */
export const samplingBench: Bench = async function* (device, { runs }) {
  const diffusions: readonly (readonly [ModelName, number])[] = [["ldm", 7], ["ddpm", 28]];
  for (const [name, side] of diffusions) {
    using _scope = device.scope();
    const { objective } = await makeModel(device, name);
    const sample = () => sampleByDdim(device, objective, side);
    const about = `a step of DDIM, ${name}, ${SAMPLED} images`;
    yield await rowOf(device, runs, about, DDIM_STEPS, sample);
  }
  using _scope = device.scope();
  const { objective } = await makeModel(device, "gpt");
  if (!(objective instanceof AutoregressionObjective)) return;
  const { model } = objective;
  const options = { count: SAMPLED, labels: new Int32Array(SAMPLED), guidance: 1 };
  const settings = { temperature: 1, topK: null, topP: 1, first: 0, key: randomKey(1, "codes") };
  const draw = async (next: NextCode): Promise<void> => {
    await drawInOrder(next, { ...settings, count: SAMPLED, length: model.length });
  };
  const about = `all ${model.length} codes, gpt, ${SAMPLED} images`;
  yield await rowOf(device, runs, `${about}, KV cache`, 1, async () => {
    using cached = new CachedTransformer(device, model, options);
    await draw(cached);
  });
  yield await rowOf(device, runs, `${about}, no cache`, 1, async () => {
    await draw(new UncachedTransformer(device, model, options));
  });
};
