/** Run by mpirun: every objective of the registry trained over the ranks, against one process. */
import assert from "node:assert/strict";
import { reshape } from "../../../core/functions/movement.ts";
import { mean } from "../../../core/functions/reductions.ts";
import { openDevice } from "../../../core/device.ts";
import { randomKey } from "../../../core/random.ts";
import type { Tensor } from "../../../core/tensor.ts";
import { evaluationBatches } from "../../../data/batches.ts";
import type { Dataset } from "../../../data/dataset.ts";
import { FeatureExtractor, type LearntFeatures } from "../../../metrics/feature_metrics.ts";
import { modelSchema } from "../../../models/registry.ts";
import { type Replicas, SINGLE } from "../../../nn/replicas.ts";
import { Generator } from "../../../objectives/generator.ts";
import type { FirstStageObjective } from "../../../objectives/first_stage.ts";
import type { Objective } from "../../../objectives/objective.ts";
import { OPTIMIZER_SETTINGS } from "../../../objectives/optimizer_settings.ts";
import { OBJECTIVE_TYPES, objectiveKind } from "../../../objectives/registry.ts";
import { Trace } from "../../../objectives/trace.ts";
import type { QuantizerConfig } from "../../../quantizers/registry.ts";
import { shareConfig } from "../../../tasks/train_ranks.ts";
import { DivergedError } from "../../../training/diverged.ts";
import { openMpi } from "../../../training/distributed/mpi.ts";
import { replicasOver } from "../../../training/distributed/replicas.ts";
import { SingleCommunicator } from "../../../training/distributed/single.ts";
import { evaluateGenerator } from "../../../training/generator_evaluation.ts";
import { ImageEvaluation } from "../../../training/image_evaluation.ts";
import { ReadOnlyRunFolder } from "../../../training/read_only_run_folder.ts";
import { type PartialConfig, resolveConfig } from "../../../training/resolve.ts";
import { evaluateRun } from "../../../training/run_evaluation.ts";
import { RunFolder } from "../../../training/run_folder.ts";
import { train, type TrainingProgress, type TrainOptions } from "../../../training/trainer.ts";
import { stripes, tinyFirstStage } from "../../objectives/second_stage.ts";

/** Of a scalar's size; rounding is all that may differ. */
const TOLERANCE = 1e-4;
/** What is 0 but for rounding may be any small number. */
const ROUNDING = 1e-6;

interface Case {
  readonly type: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly model?: Readonly<Record<string, unknown>>;
  readonly quantizer?: QuantizerConfig;
  /** The first stage that it uses, as `tinyFirstStage` takes it. */
  readonly stage1?: number | readonly number[];
  readonly accumulate?: number;
  readonly averageDecay?: number;
  readonly steps?: number;
  readonly clipNorm?: number;
  /** Of the test numbers, where it is not that of the steps. */
  readonly tolerance?: number;
}

const small = { hidden: 8, residualHidden: 4 };
const codes = { codebookSize: 8, codebookDim: 4 };
const unet = { width: 8, groups: 4, headChannels: 8, multipliers: [1, 1], dropout: 0.1 };
const transformer = { width: 16, layers: 1, heads: 2, dropout: 0.1 };
const told = { conditional: true, classDropout: 0.3 };

const CASES: readonly Case[] = [
  {
    type: "reconstruction",
    model: small,
    quantizer: { type: "vanilla", ...codes },
    steps: 50,
    clipNorm: 1,
  },
  {
    type: "reconstruction",
    model: small,
    quantizer: { type: "clustered-ema", ...codes },
    steps: 20,
    averageDecay: 0.9,
    // A bias before a batch normalisation has no gradient but rounding, of which Adam makes whole steps: the running mean
    // comes after it.
    tolerance: 0.05,
  },
  {
    type: "reconstruction",
    model: small,
    quantizer: { type: "sq", ...codes },
    accumulate: 3,
  },
  {
    type: "adversarial",
    settings: { perceptual: "none", discLayers: 1, discChannels: 4, discWarmupSteps: 2 },
    model: {
      type: "vqgan",
      ...{
        ch: 8,
        chMult: [1, 1],
        numResBlocks: 1,
        resolution: 12,
        attnResolutions: [6],
        groups: 4,
      },
      dropout: 0.1,
    },
    quantizer: { type: "clustered", ...codes },
  },
  {
    type: "adversarial",
    settings: { perceptual: "none", discLayers: 1, discChannels: 4, discAugment: true },
    model: { type: "vqvae", ...small },
    quantizer: { type: "vanilla", ...codes },
  },
  { type: "diffusion", settings: { classes: true, dropClass: 0.3, times: 20 }, model: unet },
  {
    type: "latent-diffusion",
    settings: { classes: true, cache: "flips", times: 20 },
    model: unet,
    averageDecay: 0.9,
  },
  {
    type: "autoregression",
    settings: { ...told, cache: "flips", cacheIn: "file" },
    model: transformer,
  },
  { type: "masking", settings: told, model: transformer },
  {
    type: "residual-autoregression",
    settings: { ...told, softening: 0.5 },
    model: { ...transformer, depthLayers: 1 },
    stage1: 2,
  },
  {
    type: "imagebart",
    settings: { ...told, steps: 2 },
    model: { ...transformer, encoderLayers: 1 },
  },
  {
    type: "next-scale",
    settings: { ...told, exchange: 0.5 },
    model: transformer,
    stage1: [1, 3],
  },
];
assert.deepEqual([...new Set(CASES.map(({ type }) => type))], OBJECTIVE_TYPES);

using communicator = openMpi({ timeout: 60 });
using alone = new SingleCommunicator();
const { rank, size } = communicator;
const [shared] = Deno.args;
Deno.env.set("CODEBOOK_CACHE", `${shared}/cache`); // One file for all ranks.
const own = await Deno.makeTempDir({ prefix: "codebook-rank-" });
using device = await openDevice("cpu", { threads: 1, blas: "off", dnn: "off" });

const dataset = stripes();
const BATCH = 12, STEPS_PER_EPOCH = dataset.sizes.train / BATCH, STEPS = 6;

async function make(one: Case, learningRate = 3e-3): Promise<Objective> {
  const { type, settings = {}, model = {}, quantizer, stage1, accumulate = 1, clipNorm = null } =
    one;
  const kind = objectiveKind(type);
  return await kind.make(device, {
    seed: 5,
    dataset,
    settings: kind.schema.parse(settings),
    model: modelSchema(kind.models, model).parse(model),
    quantizer,
    optimizer: OPTIMIZER_SETTINGS.parse({ learningRate, clipNorm }),
    steps: one.steps ?? STEPS,
    stepsPerEpoch: STEPS_PER_EPOCH,
    accumulate,
    stage1: kind.stage1 !== "none" ? await tinyFirstStage(device, stage1) : undefined,
  });
}

/** What a run told of its steps and of its end. */
interface Told {
  readonly steps: readonly TrainingProgress[];
  readonly numbers: Readonly<Record<string, unknown>>;
}

/** Trains by all ranks, or by this one. */
async function run(
  one: Case,
  by: typeof communicator,
  path: string,
  options: Partial<TrainOptions> & { readonly learningRate?: number } = {},
): Promise<Told> {
  using objective = await make(one, options.learningRate);
  const steps: TrainingProgress[] = [];
  const { test } = await train({
    ...{ device, objective, dataset, seed: 7, batchSize: BATCH, epochs: 100 },
    ...{ maxSteps: one.steps ?? STEPS, averageDecay: one.averageDecay },
    ...{ logEverySteps: 1, checkpointEverySteps: by.size === 1 ? 100 : 1, identity: {} },
    communicator: by,
    folder: by.rank === 0 ? new RunFolder(path) : new ReadOnlyRunFolder(path),
    onProgress: (progress) => steps.push(progress),
    ...options,
  });
  return { steps, numbers: test?.numbers ?? {} };
}

function assertNear(got: number, expected: number, what: string, tolerance = TOLERANCE): void {
  const most = Math.max(tolerance * Math.abs(expected), ROUNDING);
  assert.ok(Math.abs(got - expected) <= most, `${what}: ${got}, by one process ${expected}`);
}

function compare(got: Told, expected: Told, { type, quantizer, tolerance }: Case): void {
  const what = `${type} ${quantizer?.type ?? ""}`;
  assert.equal(got.steps.length, expected.steps.length);
  got.steps.forEach(({ step, scalars, inspection: { record } }, index) => {
    const one = expected.steps[index];
    for (const [name, value] of Object.entries(scalars)) {
      assertNear(value, one.scalars[name], `${what}, step ${step}, ${name}`);
    }
    const counted = ({ codebook }: typeof record) => {
      const { codesInUse, deadCodes } = (codebook ?? {}) as Record<string, unknown>;
      return { codesInUse, deadCodes };
    };
    assert.deepEqual(counted(record), counted(one.inspection.record), `${what}, step ${step}`);
  });
  for (const [name, value] of Object.entries(expected.numbers)) {
    if (typeof value !== "number") assert.equal(got.numbers[name], value, name);
    else assertNear(Number(got.numbers[name]), value, `${what}, test ${name}`, tolerance);
  }
}

/** One model, measured by the ranks together and by each alone, in batches of which the last is smaller. */
async function compareMeasured(one: Case): Promise<void> {
  using objective = await make(one);
  await objective.prepare(device);
  const measure = async (replicas: Replicas) => {
    const options = { split: "test", batchSize: 5, part: replicas } as const;
    const context = { training: false, key: randomKey(1, "measured"), replicas };
    return await objective.evaluate("test", evaluationBatches(dataset, options), context);
  };
  const [whole, parts] = [
    await measure(SINGLE),
    await measure(replicasOver(communicator, device)),
  ];
  assert.deepEqual(parts.counts, whole.counts);
  compareNumbers(parts.numbers, whole.numbers, one);
}

function compareNumbers(got: Told["numbers"], expected: Told["numbers"], { type }: Case): void {
  for (const [name, value] of Object.entries(expected)) {
    const found = Number(got[name]);
    assert.ok(Math.abs(found - Number(value)) <= 1e-12, `${type}, ${name}: ${found}, ${value}`);
  }
}

/** Features of the images that take no time: the means of their parts. */
const means = (parts: number) => (images: Tensor) =>
  mean(reshape(images, [images.shape[0], parts, images.size / images.shape[0] / parts]), [2]);

function judge() {
  const extractor = new FeatureExtractor(device, { dimensions: 4, forward: means(4) });
  return { extractor, classifier: { classify: means(2) } };
}

/** Images of one model, by the ranks together and by each alone: batches that the ranks do not divide, the last of one
 * image, and one that only the first rank draws. */
async function compareDrawn(one: Case): Promise<void> {
  using objective = await make(one);
  if (!(objective instanceof Generator)) return;
  await objective.prepare(device);
  for (const parameter of objective.model.parameters()) {
    const values = await parameter.floats(); // Some are 0 at first, and would hide what is drawn.
    parameter.write(values.map((value, at) => value + 0.3 * Math.sin(1.7 * at)));
  }
  const { sampling } = objectiveKind(one.type), few = one.type.endsWith("diffusion");
  const settings = sampling!.parse(few ? { steps: 3 } : {}) as Record<string, unknown>;
  const draw = async (replicas: Replicas, isTraced = false) => {
    const trace = isTraced ? new Trace() : undefined, done: number[] = [];
    const drawn = await objective.generate(device, {
      ...{ count: 11, batchSize: 5, key: randomKey(1, "drawn"), settings, trace, replicas },
      onProgress: (images) => done.push(images),
    });
    return { drawn, frames: trace?.frames ?? [], done };
  };
  const over = replicasOver(communicator, device), drawn = await draw(SINGLE, true);
  const { frames, done } = drawn;
  assert.ok(frames.length > 0 && new Set(drawn.drawn.images).size > 11, `${one.type} draws`);
  const parts = await draw(over), traced = await draw(over, true);
  assert.deepEqual(parts.drawn, drawn.drawn, one.type);
  if (rank === 0) assert.deepEqual(parts.done, done, one.type);
  assert.deepEqual(traced.drawn, drawn.drawn, one.type);
  assert.deepEqual(traced.frames, rank === 0 ? frames : [], one.type);

  const { extractor, classifier } = judge();
  const evaluate = async (replicas: Replicas) => {
    const by = { name: "quarters", extractor, hash: "none", classifier };
    const { test, secondsPerSample: _, ...rest } = await evaluateGenerator({
      ...{ device, generator: objective, dataset, count: 11, seed: 3, sampling: settings },
      ...{ batchSize: 5, by, replicas },
    });
    return { test, rest };
  };
  const expected = await evaluate(SINGLE), measured = await evaluate(over);
  assert.deepEqual(measured.rest, expected.rest, one.type);
  assert.equal(measured.rest.measurements.length, objective.classes === 0 ? 6 : 7);
  compareNumbers(measured.test.numbers, expected.test.numbers, one);

  // A signal to one rank ends the work of both.
  const signal = rank === 1 ? AbortSignal.abort(new Error("enough")) : undefined;
  await assert.rejects(
    objective.generate(device, {
      count: 4,
      key: randomKey(1, "drawn"),
      settings,
      signal,
      replicas: over,
    }),
    rank === 1 ? /^Error: enough$/ : { name: "AbortError" },
  );
}

/** A first stage measured by the ranks together and by each alone, in batches that the ranks do not divide. */
async function compareEvaluated(): Promise<void> {
  using objective = await make(CASES[0]);
  const model = (objective as FirstStageObjective).model;
  const classifier = { dimensions: 4, forward: means(4), hash: () => Promise.resolve("none") };
  const learnt = {
    classifier: { ...classifier, [Symbol.dispose]() {} },
    scale: { real: 1, independent: 2 },
  };
  const evaluate = async (replicas: Replicas) => {
    using evaluation = await ImageEvaluation.open(["mse", "psnr", "sharpness", "learnt-fid"], {
      ...{ device, weights: null, digitClassifier: () => Promise.reject(new Error("none")) },
      learntFeatures: () => Promise.resolve(learnt as unknown as LearntFeatures),
    }, "8-bit");
    return await evaluateRun(evaluation, {
      ...{ device, model, dataset, split: "test", limit: 11, key: randomKey(1, "run"), replicas },
      batches: evaluationBatches(dataset, { split: "test", batchSize: 5, part: replicas }),
    });
  };
  const whole = await evaluate(SINGLE), parts = await evaluate(replicasOver(communicator, device));
  assert.deepEqual(whole.measurements.map(({ metric }) => metric), [
    ...["mse", "psnr", "psnr-of-mse", "sharpness", "learnt-fid", "learnt-kid"],
  ]);
  assert.deepEqual(parts.samples, whole.samples);
  assert.deepEqual(parts.numbers, whole.numbers);
  if (rank === 0) assert.deepEqual(parts, whole);
}
await compareEvaluated();

for (const [index, one] of CASES.entries()) {
  const expected = await run(one, alone, `${own}/${index}`);
  const got = await run(one, communicator, `${shared}/${index}`);
  compare(got, expected, one);
  await compareMeasured(one);
  await compareDrawn(one);
}

// A run goes on with another number of processes.
{
  const [one] = CASES, whole = { ...one, steps: 20 };
  const { steps, numbers } = await run(whole, alone, `${own}/whole`);
  await run(whole, communicator, `${shared}/resumed`, { maxSteps: 7 });
  if (rank === 0) {
    compare(await run(whole, alone, `${shared}/resumed`, { maxSteps: 13, resume: true }), {
      steps: steps.slice(7, 13),
      numbers: {},
    }, one);
  }
  communicator.barrier("for the first rank", Infinity);
  const rest = await run(whole, communicator, `${shared}/resumed`, { resume: true });
  compare(rest, { steps: steps.slice(13), numbers }, one);
}

// What breaks, or differs, on one rank ends all of them, with the same words.
{
  const [one] = CASES;
  const broken: Dataset = {
    name: dataset.name,
    imageShape: dataset.imageShape,
    sizes: dataset.sizes,
    variance: dataset.variance,
    images: async (split, indices, key) => {
      const images = await dataset.images(split, indices, key);
      if (rank === size - 1 && split === "train") images[0] = NaN;
      return images;
    },
  };
  await assert.rejects(
    run(one, communicator, `${shared}/broken`, { dataset: broken, logEverySteps: 2 }),
    (error: Error) => error instanceof DivergedError && /step 1\b/.test(error.message),
  );
  await assert.rejects(
    run(one, communicator, `${shared}/apart`, { learningRate: rank === 0 ? 1e-3 : 1e-2 }),
    /^Error: Cannot go on after step 1: .* must be the same on all ranks, got another on rank 1 than on rank 0$/,
  );
  await assert.rejects(
    run(one, communicator, `${shared}/uneven`, { batchSize: size + 1 }),
    /^RangeError: Cannot make batches: the batch size must be a multiple of the 2 parts, got 3$/,
  );
}

// What cannot be trained together is refused on all ranks, with the same words.
{
  const config = resolveConfig();
  const share = (flags: PartialConfig) => shareConfig(resolveConfig({ flags }), communicator);
  assert.throws(() => share({ training: { epochs: 3 + rank } }), {
    name: "UsageError",
    message:
      "Cannot train over 2 processes: training.epochs must be the same for all, got 3 of rank 0 and 4 of rank 1",
  });
  assert.throws(() => share({ quantizer: { type: rank === 0 ? "fsq" : "lfq" } }), {
    name: "UsageError",
    message:
      /^Cannot train over 2 processes: quantizer\.type must be the same for all, got "fsq" of/,
  });
  assert.throws(() => share({ device: "webgpu" }), {
    name: "UsageError",
    message:
      /^Cannot train over 2 processes: device must be auto, cpu or reference, .* got webgpu$/,
  });
  assert.throws(() => share({ training: { batchSize: 6, accumulate: 2 } }), {
    name: "UsageError",
    message:
      "Cannot train over 2 processes: training.batchSize must be a multiple of their number times training.accumulate 2, got 6",
  });
  const shared = share({});
  const threads = Math.max(1, Math.floor(navigator.hardwareConcurrency / 2));
  assert.deepEqual(shared, { ...config, device: "cpu", cpu: { ...config.cpu, threads } });
}
await Deno.remove(own, { recursive: true });
console.log(`rank ${rank} of ${size}: ${CASES.length} runs agree`);
