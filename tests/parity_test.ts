/** The numbers of the reference implementation, reproduced on every device.
 *
 * Takes every `.safetensors` file of the folder that the environment variable CODEBOOK_FIXTURES names (by default
 * `tests/fixtures`); a file's tensors tell whether it is of a quantiser or of a whole model, its metadata gives the
 * settings. `../shared/fixtures/README.md` describes the form.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { HostArray } from "../core/backend.ts";
import { assign, backward, parameter } from "../core/execute.ts";
import { zeros } from "../core/functions/creation.ts";
import { add, mul } from "../core/functions/elementwise.ts";
import { toRows } from "../core/functions/movement.ts";
import { sum } from "../core/functions/reductions.ts";
import { randomKey } from "../core/random.ts";
import type { HostTensor } from "../core/host_tensor.ts";
import { readSafetensors } from "../files/safetensors.ts";
import { showShape } from "../core/shape.ts";
import type { Device, Tensor } from "../core/tensor.ts";
import { codebookUse } from "../metrics/codebook.ts";
import { VQVAE } from "../models/vqvae.ts";
import { meanSquaredError } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { Adam } from "../nn/optimizers.ts";
import { ClusteredQuantizer } from "../quantizers/clustered.ts";
import { contrastiveLoss } from "../quantizers/contrastive.ts";
import type {
  Assignment,
  Move,
  QuantizeContext,
  Quantized,
  Quantizer,
} from "../quantizers/quantizer.ts";
import { runningShare } from "../quantizers/codebook_losses.ts";
import { VanillaQuantizer } from "../quantizers/vanilla.ts";
import { trainingStep } from "../objectives/training_step.ts";
import { modelSettings, type QuantizerSettings, quantizerSettings } from "./fixture_settings.ts";
import { openTestDevices } from "./helpers.ts";
import { ourTensors } from "./pytorch_layout.ts";
import { AFTER_ANCHORED_STEPS, AFTER_STEPS, assertClose, SINGLE_CALL } from "./tolerances.ts";

const FOLDER = Deno.env.get("CODEBOOK_FIXTURES") ??
  fileURLToPath(new URL("fixtures", import.meta.url));
const KEY = randomKey(1, "parity");

type Tensors = ReadonlyMap<string, HostTensor>;

/** A quantity that was computed, and what the file says it is. */
interface Comparison {
  readonly what: string;
  readonly got: HostArray;
  readonly expected: HostArray;
  readonly tolerance: number;
}

function findFiles(): string[] {
  try {
    const names = Array.from(Deno.readDirSync(FOLDER), ({ name }) => name);
    return names.filter((name) => name.endsWith(".safetensors")).sort();
  } catch (cause) {
    throw new Error(
      `Cannot test parity: CODEBOOK_FIXTURES must name a folder that can be read, got ${FOLDER}`,
      { cause },
    );
  }
}

function take(tensors: Tensors, name: string): HostTensor {
  const tensor = tensors.get(name);
  if (tensor !== undefined) return tensor;
  throw new RangeError(`Cannot test parity: the file must hold ${name}, got none`);
}

/** Where the clustered quantiser keeps the running usage. */
class RunningUsage extends Module {
  readonly runningUsage: Tensor;

  constructor(device: Device, size: number) {
    super();
    this.runningUsage = zeros(device, [size]);
  }
}

/** The plain quantiser as the reference implementation has it (anchor "none"): it keeps the running usage though it
 * does not re-anchor, and may add the contrastive loss. */
class PlainQuantizer extends VanillaQuantizer {
  readonly reanchoring: RunningUsage;
  readonly #settings: QuantizerSettings;

  constructor(device: Device, size: number, width: number, settings: QuantizerSettings) {
    const { distance, beta } = settings;
    super(device, {
      codebookSize: size,
      codebookDim: width,
      distance,
      commitmentWeight: beta,
      key: KEY,
    });
    this.reanchoring = new RunningUsage(device, size);
    this.#settings = settings;
  }

  override quantize(features: Tensor, context: QuantizeContext): Quantized {
    const result = super.quantize(features, context);
    const { contrastive, distance, temperature } = this.#settings;
    if (!contrastive || !context.training) return result;
    const rows = toRows(features, this.codebookDim, "quantize");
    const loss = contrastiveLoss(this.codebook, rows, distance, temperature);
    return { ...result, losses: { ...result.losses, contrastive: loss } };
  }

  override update({ indices, usage }: Assignment): readonly Move[] {
    const { decay } = this.#settings;
    const { runningUsage } = this.reanchoring;
    using _scope = runningUsage.device.scope();
    assign(runningUsage, runningShare(runningUsage, usage, indices.size, decay));
    return [];
  }
}

function makeQuantizer(
  device: Device,
  size: number,
  width: number,
  settings: QuantizerSettings,
): PlainQuantizer | ClusteredQuantizer {
  const { distance, anchor, contrastive, beta, decay, epsilon, temperature } = settings;
  if (anchor === "none") return new PlainQuantizer(device, size, width, settings);
  return new ClusteredQuantizer(device, {
    codebookSize: size,
    codebookDim: width,
    distance,
    anchor,
    contrastive,
    commitmentWeight: beta,
    decay,
    epsilon,
    temperature,
    key: KEY,
  });
}

function totalLoss({ losses }: Quantized): Tensor {
  return Object.values(losses).reduce((total, loss) => add(total, loss));
}

async function reproduceQuantizer(
  device: Device,
  tensors: Tensors,
  settings: QuantizerSettings,
): Promise<Comparison[]> {
  using _scope = device.scope();
  const put = (name: string): Tensor => {
    const { values, shape } = take(tensors, name);
    return device.tensor(values, shape);
  };
  const [size, width] = take(tensors, "codebook").shape;
  const quantizer = makeQuantizer(device, size, width, settings);
  assign(quantizer.codebook, put("codebook"));
  assign(quantizer.reanchoring.runningUsage, put("usage"));

  const features = parameter(put("z"));
  const context = { training: true, key: KEY };
  const result = quantizer.quantize(features, context);
  const loss = totalLoss(result);
  const judged = add(loss, sum(mul(result.quantized, put("upstream"))));
  const [byFeatures, byCodebook] = backward(judged, [features, quantizer.codebook]);
  quantizer.update({ features, ...result }, context);

  const { perplexity } = codebookUse(await result.usage.integers());
  const got: Readonly<Record<string, HostArray>> = {
    indices: await result.indices.integers(),
    quantized: await result.quantized.floats(),
    loss: await loss.floats(),
    perplexity: Float32Array.of(perplexity),
    grad_z: await byFeatures.floats(),
    grad_codebook: await byCodebook.floats(),
    codebook_after: await quantizer.codebook.floats(),
    usage_after: await quantizer.reanchoring.runningUsage.floats(),
  };
  return Object.entries(got).map(([what, values]) => ({
    what,
    got: values,
    expected: take(tensors, what).values,
    tolerance: SINGLE_CALL,
  }));
}

/** The state of a model with the file's values in the place of its own. */
async function stateFrom(model: VQVAE, given: Tensors): Promise<Map<string, HostTensor>> {
  const state = new Map(await model.stateDictionary());
  const needed = [...model.namedParameters().keys()];
  const missing = needed.filter((name) => !given.has(name));
  assert.deepEqual(missing, [], "the parameters that the file does not give");
  for (const [name, tensor] of given) {
    state.set(name, tensor);
  }
  return state;
}

async function reproduceModel(
  device: Device,
  tensors: Tensors,
  metadata: ReadonlyMap<string, string>,
): Promise<Comparison[]> {
  const settings = modelSettings(metadata);
  const images = take(tensors, "images");
  const [batches, ...batchShape] = images.shape;
  assert.ok(
    settings.steps <= batches,
    `images must hold a batch for each of the ${settings.steps} steps, got ${batches}`,
  );
  using _scope = device.scope();
  const quantizer: Quantizer = makeQuantizer(device, settings.codes, settings.dim, settings);
  const model = new VQVAE(device, quantizer, {
    channels: images.shape[4],
    hidden: settings.hidden,
    residualHidden: settings.residualHidden,
    residualLayers: settings.residualLayers,
    key: KEY,
  });
  const before = ourTensors(tensors, "before.");
  model.loadStateDictionary(await stateFrom(model, before));

  const comparisons: Comparison[] = [];
  const compare = (what: string, got: HostArray, expected: HostArray, tolerance: number) =>
    comparisons.push({ what, got, expected, tolerance });
  const batch = (step: number): Tensor => {
    const size = images.values.length / batches;
    const values = images.values.slice(step * size, (step + 1) * size) as HostArray;
    return device.tensor(values, batchShape);
  };

  {
    using _evaluation = device.scope();
    const { features, reconstruction, quantized } = model.forward(batch(0), {
      training: false,
      key: KEY,
    });
    const expected = (name: string) => take(tensors, `eval.${name}`).values;
    compare("eval.latent", await features.floats(), expected("latent"), SINGLE_CALL);
    compare("eval.indices", await quantized.indices.integers(), expected("indices"), 0);
    const rebuilt = await reconstruction.floats();
    compare("eval.reconstruction", rebuilt, expected("reconstruction"), SINGLE_CALL);
    const loss = await totalLoss(quantized).floats();
    compare("eval.vq_loss", loss, expected("vq_loss"), SINGLE_CALL);
  }

  {
    using _gradients = device.scope();
    const originals = batch(0);
    const { reconstruction, quantized } = model.forward(originals, { training: true, key: KEY });
    const error = mul(meanSquaredError(reconstruction, originals), 1 / settings.dataVariance);
    const named = model.namedParameters();
    const gradients = backward(add(error, totalLoss(quantized)), [...named.values()]);
    const expected = ourTensors(tensors, "grad.");
    for (const [index, name] of [...named.keys()].entries()) {
      const { shape, values } = take(expected, name);
      assert.deepEqual(gradients[index].shape, shape, `shape of the gradient of ${name}`);
      compare(`grad.${name}`, await gradients[index].floats(), values, SINGLE_CALL);
    }
  }

  const [beta1, beta2] = settings.betas;
  const optimizer = new Adam(model.namedParameters(), { beta1, beta2, epsilon: settings.eps });
  const losses = { mse: [] as number[], quantizerLoss: [] as number[] };
  for (let step = 0; step < settings.steps; step++) {
    using _step = device.scope();
    const context = { training: true, key: { ...KEY, step } };
    const { scalars } = trainingStep(batch(step), context, {
      model,
      optimizer,
      variance: settings.dataVariance,
      learningRate: settings.lr,
    });
    losses.mse.push(await scalars.mse.item());
    losses.quantizerLoss.push(await scalars.quantizerLoss.item());
  }
  const training = (name: string) => take(tensors, `train.${name}`).values;
  compare("train.mse", Float32Array.from(losses.mse), training("mse"), AFTER_STEPS);
  compare(
    "train.vq_loss",
    Float32Array.from(losses.quantizerLoss),
    training("vq_loss"),
    AFTER_STEPS,
  );

  // Real GPUs differ in their order of sums; the others' is chosen so that the file is reproduced.
  const isRealGpu = device.name === "webgpu" && !device.description.includes("software");
  const tolerance = isRealGpu && settings.anchor !== "none" ? AFTER_ANCHORED_STEPS : AFTER_STEPS;
  const after = await model.stateDictionary();
  for (const [name, { shape, values }] of ourTensors(tensors, "after.")) {
    const entry = after.get(name);
    assert.ok(entry, `the model must have ${name}, which the file gives`);
    assert.deepEqual(entry.shape, shape, `${name} must be of ${showShape(shape)}`);
    compare(`after.${name}`, entry.values, values, tolerance);
  }
  return comparisons;
}

/** Reproduces a file and gives a line for each quantity that disagrees. */
async function disagreements(device: Device, path: string): Promise<string[]> {
  const { tensors, metadata } = await readSafetensors(path);
  const comparisons = tensors.has("z")
    ? await reproduceQuantizer(device, tensors, quantizerSettings(metadata))
    : await reproduceModel(device, tensors, metadata);
  return comparisons.flatMap(({ what, got, expected, tolerance }) => {
    try {
      assertClose(got, expected, tolerance, what);
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
}

const devices = await openTestDevices();
const files = findFiles();

Deno.test("the fixtures folder contains safetensors files", () => {
  assert.ok(files.length > 0, `a .safetensors file must be in ${FOLDER}`);
});

for (const device of devices) {
  for (const file of files) {
    Deno.test(`${file} is reproduced on ${device.name}`, async () => {
      assert.deepEqual(await disagreements(device, `${FOLDER}/${file}`), []);
    });
  }
}

Deno.test("a fixture with an unknown setting is rejected by name", () => {
  const settings = new Map([["distance", "l2"], ["anchor", "none"], ["beta", "0.25"]]);
  assert.equal(quantizerSettings(settings).decay, 0.99);
  assert.throws(() => quantizerSettings(new Map([...settings, ["rotation", "1"]])), /got rotation/);
  assert.throws(
    () => quantizerSettings(new Map([...settings, ["anchor", "random"]])),
    /got random/,
  );
  assert.throws(() => modelSettings(settings), /betas must be a number, got nothing/);
});
