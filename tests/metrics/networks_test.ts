/** The networks of the metrics, layer by layer against PyTorch's numbers, made by tests/fixtures/metrics/networks.py. */
import assert from "node:assert/strict";
import { backward, parameter, withoutGradients } from "../../core/execute.ts";
import { sum } from "../../core/functions/reductions.ts";
import type { Device, Tensor } from "../../core/tensor.ts";
import type { Images } from "../../metrics/images.ts";
import { Lpips, LPIPS_NETWORKS, type LpipsNetwork } from "../../metrics/lpips.ts";
import { InceptionV3 } from "../../metrics/networks/inception.ts";
import { resizeBilinear } from "../../metrics/networks/resize.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { imagePair, readExpected } from "./formula.ts";
import { SEEDED } from "./seeded_weights.ts";

interface Summary {
  readonly name: string;
  readonly shape: readonly number[];
  readonly mean: number;
  readonly rms: number;
  readonly places: readonly number[];
  readonly values: readonly number[];
}

interface Pictures {
  readonly shape: Images["shape"];
  readonly seed: number;
}

const { lpips, inception } = await readExpected<{
  lpips: Readonly<
    Record<
      LpipsNetwork,
      Pictures & { layers: Summary[]; distances: number[]; gradient: Summary }
    >
  >;
  inception: {
    small: Pictures & { layers: Summary[] };
    whole: Pictures & { resized: Summary; features: Summary; logits: Summary };
  };
}>("networks");

/** Of the largest values: float32 sums over up to 4,608 products in another order, through up to 40 layers. */
const TOLERANCE = 1e-4;

/** Only there: the reference and software adapters take minutes, and the operations are checked on every device by
 * tests/core/operations_test.ts. */
const cpu = (await openTestDevices()).filter(({ name }) => name === "cpu");

async function assertSummary(tensor: Tensor, expected: Summary): Promise<void> {
  assert.deepEqual(tensor.shape, expected.shape, expected.name);
  const values = await tensor.floats();
  const allowed = TOLERANCE * expected.rms;
  const near = (got: number, wanted: number, what: string) =>
    assert.ok(
      Math.abs(got - wanted) <= allowed,
      `${expected.name}: ${what} ${got} instead of ${wanted}`,
    );
  near(values.reduce((total, value) => total + value, 0) / values.length, expected.mean, "mean");
  const squares = values.reduce((total, value) => total + value * value, 0);
  near(Math.sqrt(squares / values.length), expected.rms, "root mean square");
  expected.places.forEach((place, at) =>
    near(values[place], expected.values[at], `value ${place}`)
  );
}

/** Both images of a pair in [−1, 1]. */
function pictures(device: Device, { shape, seed }: Pictures): [Tensor, Tensor] {
  const [a, b] = imagePair(shape, seed, (value) => Math.fround(2 * value) - 1);
  return [
    device.tensor(a.values as Float32Array<ArrayBuffer>, shape),
    device.tensor(b.values as Float32Array<ArrayBuffer>, shape),
  ];
}

for (const name of LPIPS_NETWORKS) {
  testOnEach(
    cpu,
    `LPIPS with ${name} agrees with PyTorch, layer by layer and backward`,
    async (device) => {
      const { layers, distances, gradient, ...given } = lpips[name];
      using metric = new Lpips(device, name, SEEDED, SEEDED);
      const [a, b] = pictures(device, given);
      const maps = withoutGradients(() => metric.backbone.forward(a));
      assert.equal(maps.length, layers.length);
      for (const [index, summary] of layers.entries()) await assertSummary(maps[index], summary);
      const measured = metric.forward(parameter(a), b);
      (await measured.floats()).forEach((distance, image) =>
        assert.ok(Math.abs(distance - distances[image]) <= 1e-5 * distances[image], `${distance}`)
      );
      await assertSummary(backward(sum(measured), [a])[0], gradient);
    },
  );
}

testOnEach(
  cpu,
  "LPIPS of equal images is 0 with a gradient of 0, and grey images are treated as three equal channels",
  async (device) => {
    using metric = new Lpips(device, "alex", SEEDED, SEEDED);
    const flat = parameter(device.tensor(new Float32Array(2 * 40 * 40), [2, 40, 40, 1]));
    const same = metric.forward(flat, device.tensor(new Float32Array(2 * 40 * 40), [2, 40, 40, 1]));
    assert.deepEqual([...await same.floats()], [0, 0]);
    const [gradient] = backward(sum(same), [flat]);
    assert.ok((await gradient.floats()).every((value) => value === 0));
    const colour = device.tensor(new Float32Array(2 * 40 * 40 * 3), [2, 40, 40, 3]);
    assert.deepEqual([...await metric.forward(colour, colour).floats()], [0, 0]);
    assert.throws(() => metric.forward(flat, colour), TypeError);
  },
);

testOnEach(
  cpu,
  "Inception agrees with pytorch-fid, layer by layer and with its resizing",
  async (device) => {
    using network = new InceptionV3(device, SEEDED);
    const { layers, ...small } = inception.small;
    let [x] = pictures(device, small);
    for (const [index, [name, layer]] of [...network.layers].entries()) {
      x = layer.forward(x);
      assert.equal(name, layers[index].name);
      await assertSummary(x, layers[index]);
    }
    const { resized, features, logits, ...whole } = inception.whole;
    const [image] = pictures(device, whole);
    await assertSummary(resizeBilinear(image, 299, 299), resized);
    const found = network.forward(image);
    await assertSummary(found, features);
    await assertSummary(network.logits(found), logits);
  },
);
