import assert from "node:assert/strict";
import { assign, withoutGradients } from "../../core/execute.ts";
import { zeros } from "../../core/functions/creation.ts";
import { square, sub } from "../../core/functions/elementwise.ts";
import { mean } from "../../core/functions/reductions.ts";
import { randomKey } from "../../core/random.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import { memoryDataset } from "../../data/memory.ts";
import { readSafetensors } from "../../files/safetensors.ts";
import { Lpips } from "../../metrics/lpips.ts";
import { Discriminator } from "../../models/discriminator.ts";
import { VQGAN } from "../../models/vqgan/vqgan.ts";
import { Module } from "../../nn/module.ts";
import { Adam, type Optimizer } from "../../nn/optimizers.ts";
import { AdversarialObjective, type AdversarialOptions } from "../../objectives/adversarial.ts";
import { ADVERSARIAL_LOSSES, softplus } from "../../objectives/adversarial_losses.ts";
import { objectiveKind } from "../../objectives/registry.ts";
import { VanillaQuantizer } from "../../quantizers/vanilla.ts";
import { fromPyTorch, type NameTable } from "../../training/pretrained/layout.ts";
import { tamingNames } from "../../training/pretrained/vqgan_names.ts";
import { resolveUnchecked } from "../../training/resolve.ts";
import { constructObjective } from "../../training/construct.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { SEEDED } from "../metrics/seeded_weights.ts";
import { discriminatorNames, fixture, loadTheirs } from "../pytorch_weights.ts";
import { assertClose } from "../tolerances.ts";

const devices = await openTestDevices();
const [reference] = devices;
const key = randomKey(1, "adversarial");
/** The requirement: a whole step in float32 against the same in float64. */
const STEP = 1e-4;
/** Mathematically 0: softmax does not see what shifts all of a query's products alike. */
const KEY_BIAS = /\bkey\.bias$/, NOTHING = { absolute: 1e-5 };

/** Keeps the gradients that it is given, and steps nothing. */
class Recorder extends Module implements Optimizer {
  readonly gradients: ReadonlyMap<string, Tensor>;
  rates: number[] = [];

  constructor(parameters: ReadonlyMap<string, Tensor>) {
    super();
    this.gradients = new Map(
      [...parameters].map(([name, { device, shape }]) => [name, zeros(device, shape)]),
    );
  }

  step(gradients: readonly Tensor[], learningRate: number): void {
    this.rates.push(learningRate);
    [...this.gradients.values()].forEach((own, index) => assign(own, gradients[index]));
  }

  forget(): void {}
}

/** The mean squared difference of each image: what the fixture has in place of LPIPS. */
const PERCEPTUAL = {
  forward: (a: Tensor, b: Tensor) => mean(square(sub(a, b)), [1, 2, 3]),
  [Symbol.dispose]: () => {},
};

const noise = draw([4, 8, 16, 3], "images");
const dataset = memoryDataset({ name: "noise", imageShape: [8, 16, 3], train: noise, test: noise });

interface Players {
  readonly objective: AdversarialObjective;
  readonly model: VQGAN;
  readonly discriminator: Discriminator;
}

function makeObjective(
  device: Device,
  options: Partial<AdversarialOptions> = {},
  Method: new (parameters: ReadonlyMap<string, Tensor>) => Optimizer = Adam,
  recompute = false,
): Players {
  const quantizer = new VanillaQuantizer(device, { codebookSize: 12, codebookDim: 4, key });
  const model = new VQGAN(device, quantizer, {
    channels: 3,
    ch: 4,
    chMult: [1, 2],
    numResBlocks: 1,
    resolution: 8,
    attnResolutions: [4],
    groups: 2,
    zChannels: 6,
    recompute,
    key,
  });
  const discriminator = new Discriminator(device, { channels: 3, width: 4, layers: 1, key });
  const objective = new AdversarialObjective(device, {
    model,
    optimizer: new Method(model.namedParameters()),
    discriminator,
    discriminatorOptimizer: new Method(discriminator.namedParameters()),
    perceptual: "none",
    dataset,
    stepsPerEpoch: 2,
    learningRate: () => 1e-3,
    ...options,
  });
  return { objective, model, discriminator };
}

const imagesOn = (device: Device) => device.tensor(noise.subarray(0, 768), [2, 8, 16, 3]);

const stepAt = (step: number) => ({ training: true, key: { ...key, step }, step });

async function numbers(scalars: Readonly<Record<string, Tensor>>): Promise<Record<string, number>> {
  const entries = Object.entries(scalars).map(async (
    [name, tensor],
  ) => [name, await tensor.item()]);
  return Object.fromEntries(await Promise.all(entries));
}

for (const discLoss of ["hinge", "non-saturating"] as const) {
  testOnEach(
    devices,
    `a ${discLoss} step agrees with PyTorch in losses, adaptive weight and gradients of both networks`,
    async (device) => {
      const { tensors } = await readSafetensors(fixture("adversarial.safetensors"));
      const { objective, model, discriminator } = makeObjective(device, {
        perceptual: PERCEPTUAL,
        perceptualWeight: 0.5,
        discLoss,
      }, Recorder);
      const critic = discriminatorNames(1);
      await loadTheirs(model, tensors, tamingNames, "weight.");
      await loadTheirs(discriminator, tensors, critic, "critic.");
      const { shape, values } = tensors.get("images")!;
      const images = device.tensor(values as Float32Array<ArrayBuffer>, shape);
      const scalars = objective.step({ images }, stepAt(0));
      assert.deepEqual(Object.keys(scalars).sort(), objective.scalars.toSorted());
      const compared = Object.keys(scalars).filter((name) => tensors.has(`${discLoss}.${name}`));
      assert.ok(compared.length >= 9, "loss, its parts, the discriminator's, λ and the logits");
      for (
        const [name, tensor] of Object.entries(scalars)
      ) {
        const expected = tensors.get(`${discLoss}.${name}`);
        if (expected === undefined) continue;
        assertClose([await tensor.item()], expected.values, STEP, name);
      }
      const check = async (optimizer: Optimizer, names: NameTable, prefix: string) => {
        for (const [name, gradient] of (optimizer as Recorder).gradients) {
          const { name: theirs, layout } = names(name)!;
          const expected = fromPyTorch(tensors.get(`${discLoss}.${prefix}.${theirs}`)!, layout);
          const tolerance = KEY_BIAS.test(name) ? NOTHING : STEP;
          assertClose(await gradient.floats(), expected.values, tolerance, `${prefix} ${theirs}`);
        }
      };
      await check(objective.optimizer, tamingNames, "gradient");
      await check(objective.discriminatorOptimizer, critic, "criticGradient");
      for (const [name, buffer] of discriminator.namedBuffers()) {
        const expected = tensors.get(`${discLoss}.after.${critic(name)!.name}`)!;
        assertClose(await buffer.floats(), expected.values, STEP, `${name} after three passes`);
      }
    },
  );
}

testOnEach(
  devices,
  "softplus and its gradient neither overflow nor vanish at 0",
  async (device) => {
    const x = device.tensor([-200, -1, 0, 1, 200], [5]);
    const expected = [0, Math.log1p(Math.exp(-1)), Math.LN2, Math.log1p(Math.E), 200];
    assertClose(await softplus(x).floats(), expected, 1e-6, "softplus");
    const { generator } = ADVERSARIAL_LOSSES["non-saturating"];
    assert.ok(Math.abs(await generator(zeros(device, [4])).item() - Math.LN2) < 1e-6);
  },
);

testOnEach(
  devices,
  "a zero gradient of the generator term does not change the other gradients",
  async (device) => {
    const blind = makeObjective(device, {}, Recorder),
      without = makeObjective(device, {
        discWarmupSteps: 5,
      }, Recorder);
    // Where the last filters are 0, no image changes a logit.
    for (const { discriminator } of [blind, without]) {
      discriminator.last.weight.write(new Float32Array(discriminator.last.weight.size));
    }
    const images = imagesOn(device);
    const scalars = await numbers(blind.objective.step({ images }, stepAt(0)));
    assert.ok(scalars.adaptiveWeight > 0 && scalars.adaptiveWeight <= 0.8e4, "λ stays finite");
    without.objective.step({ images }, stepAt(0));
    const gradients = [blind, without].map(({ objective }) =>
      (objective.optimizer as Recorder).gradients
    );
    for (const [name, gradient] of gradients[0]) {
      assert.deepEqual(await gradient.floats(), await gradients[1].get(name)!.floats(), name);
    }
  },
);

Deno.test("the discriminator starts at discStart, and the generator term grows after the warm-up", async () => {
  using _scope = reference.scope();
  const { objective, discriminator } = makeObjective(reference, {
    discStart: 2,
    discWarmupSteps: 1,
    generatorRampSteps: 1,
  });
  const images = imagesOn(reference);
  const seen: Record<string, number>[] = [];
  for (let step = 0; step < 5; step++) {
    const before = await discriminator.stateDictionary();
    seen.push(await numbers(objective.step({ images }, stepAt(step))));
    const after = await discriminator.stateDictionary();
    assert.equal(
      String([...before.values()].map(({ values }) => values)) ===
        String([...after.values()].map(({ values }) => values)),
      step < 2,
      `step ${step}: before its start the discriminator stays as it is`,
    );
  }
  const own = ({ pixelLoss, quantizerLoss }: Record<string, number>) => pixelLoss + quantizerLoss;
  const shares = seen.map((now) => {
    const { loss, adaptiveWeight, generatorLoss } = now;
    return adaptiveWeight === 0 ? 0 : (loss - own(now)) / (adaptiveWeight * generatorLoss);
  });
  [0, 0, 0, 0.5, 1].forEach((share, step) => {
    assert.ok(Math.abs(shares[step] - share) < 1e-3, `step ${step}: ${shares[step]}, not ${share}`);
  });
  assert.deepEqual(seen.map(({ discriminatorLoss }) => discriminatorLoss > 0), [
    ...[false, false, true, true, true],
  ]);
  const state = await objective.stateDictionary();
  assert.deepEqual(state.get("discriminatorOptimizer.steps")?.values, Int32Array.of(3));
  assert.deepEqual(state.get("optimizer.steps")?.values, Int32Array.of(5));
});

testOnEach(devices, "steps lower both losses, and leave no memory behind", async (device) => {
  const { objective } = makeObjective(device);
  const images = imagesOn(device);
  const first = await numbers(objective.step({ images }, stepAt(0)));
  const live = device.liveBytes;
  for (let step = 1; step < 8; step++) {
    using _scope = device.scope();
    objective.step({ images }, stepAt(step));
  }
  assert.equal(device.liveBytes, live);
  const last = await numbers(objective.step({ images }, stepAt(8)));
  assert.ok(last.pixelLoss < first.pixelLoss, `${first.pixelLoss} to ${last.pixelLoss}`);
  assert.ok(last.discriminatorLoss < first.discriminatorLoss);
});

Deno.test("LPIPS is the perceptual term: its weights do not train, are not state, and are freed", async () => {
  const before = reference.liveBytes;
  {
    using scope = reference.scope();
    const perceptual = new Lpips(reference, "squeeze", SEEDED, SEEDED);
    for (const tensor of perceptual.namedBuffers().values()) scope.keep(tensor);
    const side = 24, values = draw([2, side, side, 3], "large images");
    const images = reference.tensor(values, [2, side, side, 3]);
    const { objective, model } = makeObjective(reference, { perceptual, perceptualWeight: 2 });
    const context = stepAt(0);
    const { reconstruction } = withoutGradients(() => model.forward(images, context));
    const unlike = await mean(perceptual.forward(reconstruction, images)).item();
    const { loss, pixelLoss, quantizerLoss, perceptualLoss, adaptiveWeight, generatorLoss } =
      await numbers(objective.step({ images }, context));
    assertClose([perceptualLoss], [unlike], 1e-5, "LPIPS of the reconstruction as it was");
    const whole = pixelLoss + 2 * unlike + quantizerLoss + adaptiveWeight * generatorLoss;
    assertClose([loss], [whole], 1e-5, "the loss");
    const state = await objective.stateDictionary();
    assert.ok(![...state.keys()].some((name) => /perceptual|backbone/.test(name)));
    const alive = reference.liveBytes;
    objective.dispose();
    assert.throws(() => perceptual.forward(images, images), /disposed/);
    assert.ok(reference.liveBytes < alive);
  }
  assert.equal(reference.liveBytes, before);
});

testOnEach(devices, "recomputation changes no bit of either network", async (device) => {
  const images = imagesOn(device);
  const [plain, frugal] = await Promise.all([false, true].map(async (recompute) => {
    const { objective } = makeObjective(device, {}, Adam, recompute);
    for (let step = 0; step < 2; step++) objective.step({ images }, stepAt(step));
    return await objective.stateDictionary();
  }));
  assert.deepEqual(frugal, plain);
});

testOnEach(
  devices,
  "with augmentation the discriminator sees different images in every step, and both networks learn",
  async (device) => {
    const taken = async (discAugment: boolean, step: number) => {
      using objective = makeObjective(device, { discAugment }).objective;
      using _scope = device.scope();
      const { logitsReal, logitsFake } = await numbers(
        objective.step({ images: imagesOn(device) }, stepAt(step)),
      );
      const state = await objective.stateDictionary();
      assert.ok([...state.values()].every(({ values }) => values.every(Number.isFinite)));
      return [logitsReal, logitsFake];
    };
    const plain = await taken(false, 0),
      first = await taken(true, 0),
      second = await taken(true, 1);
    assert.notEqual(first[0], plain[0]);
    assert.notEqual(second[0], first[0]);
    assert.deepEqual(await taken(true, 0), first, "the key decides");
  },
);

Deno.test("an inspection shows both networks, and warns of a weight that ruins reconstructions", async () => {
  using _scope = reference.scope();
  const { objective } = makeObjective(reference);
  const means = await numbers(objective.step({ images: imagesOn(reference) }, stepAt(0)));
  const calm = await objective.inspect({ ...means, adaptiveWeight: 24.9 });
  assert.equal(calm.warning, undefined);
  assert.ok(calm.phrases.some(([text]) => /^discriminator \d/.test(text)));
  assert.ok(
    calm.summary.some((text) => /logits of real and fake .* adaptive weight 24\.9/.test(text)),
  );
  const quiet = await objective.inspect({ ...means, logitsReal: 0, logitsFake: 0 });
  assert.ok(!quiet.phrases.some(([text]) => /discriminator/.test(text)), "it does not learn yet");
  const { warning } = await objective.inspect({ ...means, adaptiveWeight: 31 });
  assert.match(warning!, /the adaptive weight is 31\.0: .*discWarmupSteps .*generatorRampSteps/);
});

Deno.test("LPIPS without weights is rejected, and no perceptual term must be requested explicitly", async () => {
  const flags = {
    device: "reference",
    objective: { type: "adversarial", discLayers: 1, discChannels: 4 },
    model: { type: "vqvae", hidden: 8, residualHidden: 4 },
    quantizer: { type: "vanilla", codebookSize: 8, codebookDim: 4 },
    training: { batchSize: 2 },
  };
  const make = (objective: object, images = dataset) => {
    const config = resolveUnchecked({
      flags: { ...flags, objective: { ...flags.objective, ...objective } },
    });
    return constructObjective(config, reference, images);
  };
  const before = reference.liveBytes;
  await assert.rejects(make({}), {
    name: "RangeError",
    message:
      "Cannot make the perceptual term: --objective.weights must name the folder of LPIPS's weights, got none; " +
      "--objective.perceptual none leaves the term out",
  });
  await assert.rejects(make({ weights: "/nowhere" }), /Cannot load (LPIPS \()?VGG16.*\/nowhere/);
  await assert.rejects(make({ perceptual: "none", discLayers: 2 }), {
    name: "RangeError",
    message:
      "Cannot make a discriminator of 2 layers: the images' sides must be at least 12, got 8×16; " +
      "--objective.discLayers chooses fewer",
  });
  assert.equal(reference.liveBytes, before);
  using objective = await make({ perceptual: "none" });
  assert.ok(!objective.scalars.includes("perceptualLoss"));
  assert.ok(objectiveKind("adversarial").quantizes);
});
