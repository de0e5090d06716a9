/** How anchors are sampled: the pool, and the probabilities. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { randomKey } from "../../core/random.ts";
import {
  ClosestAnchors,
  DistinctAnchors,
  ErrorAnchors,
  PooledAnchors,
  poolSources,
  ProbabilisticAnchors,
} from "../../quantizers/anchors.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { nearest, rowsOf, similarity } from "./plain.ts";

const devices = await openTestDevices();

const keyOf = (step: number) => randomKey(1, "anchors", step);

const poolCase = fc.integer({ min: 1, max: 30 }).chain((size) =>
  fc.record({
    size: fc.constant(size),
    filled: fc.nat(size),
    features: fc.integer({ min: 1, max: 40 }),
    step: fc.nat(1000),
  })
);

Deno.test("every slot of the pool keeps its content or takes a feature", () => {
  const property = fc.property(poolCase, ({ size, filled, features, step }) => {
    const sources = poolSources(size, filled, features, keyOf(step));
    assert.equal(sources.length, size);
    sources.forEach((source, place) =>
      assert.ok(source === place || (source >= size && source < size + features), `${source}`)
    );
  });
  fc.assert(property, { seed: 7, numRuns: 500 });
});

Deno.test("features that fit are stored once each, in free slots first, then in random ones", () => {
  const property = fc.property(poolCase, ({ size, filled, features, step }) => {
    fc.pre(features <= size);
    const sources = poolSources(size, filled, features, keyOf(step));
    const taken = [...sources].filter((source) => source >= size);
    assert.equal(new Set(taken).size, taken.length, "without replacement");
    const free = size - filled;
    // A feature that found no free place may replace one that was stored in this very call.
    assert.ok(
      taken.length <= features &&
        taken.length >= Math.max(Math.min(features, free), features - free),
    );
    if (features <= free) {
      const expected = Array.from(
        { length: size },
        (_, place) => place >= filled && place < filled + features ? size + place - filled : place,
      );
      assert.deepEqual([...sources], expected);
    } else {
      sources.forEach((source, place) =>
        place >= filled && assert.ok(source >= size, "none is free")
      );
    }
    if (free === 0) assert.equal(taken.length, features);
  });
  fc.assert(property, { seed: 7, numRuns: 500 });
});

Deno.test("a full pool replaces all slots with equal probability", () => {
  const [size, features, draws] = [6, 2, 6000];
  const replaced = new Float64Array(size);
  for (let step = 0; step < draws; step++) {
    poolSources(size, size, features, keyOf(step)).forEach((source, place) => {
      if (source >= size) replaced[place]++;
    });
  }
  const expected = draws * features / size;
  const chiSquare = replaced.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(chiSquare < 25, `chi-square of 5 degrees ${chiSquare}`);
});

Deno.test("more features than slots are sampled uniformly, with replacement", () => {
  const [size, features, draws] = [5, 8, 4000];
  const counts = new Float64Array(features);
  let repeated = 0;
  for (let step = 0; step < draws; step++) {
    const sources = poolSources(size, step % (size + 1), features, keyOf(step));
    assert.ok(sources.every((source) => source >= size), "the whole pool is replaced");
    for (const source of sources) counts[source - size]++;
    if (new Set(sources).size < size) repeated++;
  }
  const expected = draws * size / features;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(chiSquare < 30, `chi-square of 7 degrees ${chiSquare}`);
  // P(all different) = 8·7·6·5·4/8⁵ = 0.205
  assert.ok(Math.abs(repeated / draws - 0.795) < 0.03, `${repeated / draws} hold a feature twice`);
});

testOnEach(
  devices,
  "the pool keeps features of earlier batches, and starts uniform in (−1/K, 1/K)",
  async (device) => {
    const [size, width] = [5, 2];
    const anchors = new PooledAnchors(device, size, width, keyOf(0));
    const start = rowsOf(await anchors.pool.floats(), width);
    assert.ok(start.flat().every((value) => Math.abs(value) <= 1 / size));
    const batch = (count: number, purpose: string) => draw([count, width], purpose, 1, 2);
    const sample = async (values: Float32Array<ArrayBuffer>, step: number) => {
      const features = device.tensor(values, [values.length / width, width]);
      const sampled = await anchors.sample(features, anchors.pool, keyOf(step)).floats();
      assert.deepEqual(sampled, await anchors.pool.floats(), "the anchors are the pool");
      return rowsOf(sampled, width);
    };
    const [first, second, third] = [batch(2, "first"), batch(3, "second"), batch(2, "third")];
    const afterFirst = await sample(first, 1);
    assert.deepEqual(afterFirst, [...rowsOf(first, width), ...start.slice(2)]);
    assert.equal(anchors.filled.value, 2);
    const afterSecond = await sample(second, 2);
    assert.deepEqual(afterSecond, [...rowsOf(first, width), ...rowsOf(second, width)]);
    assert.equal(anchors.filled.value, 5);
    const afterThird = await sample(third, 3);
    const changed = afterThird.filter((row, place) => row[0] !== afterSecond[place][0]);
    assert.deepEqual(changed.toSorted(), rowsOf(third, width).toSorted());
    const many = batch(20, "many");
    for (const row of await sample(many, 4)) {
      assert.ok(
        rowsOf(many, width).some((feature) => feature[0] === row[0] && feature[1] === row[1]),
      );
    }
    assert.equal(anchors.filled.value, 5);
    assert.deepEqual([...(await anchors.stateDictionary()).keys()], ["pool", "filled"]);
  },
);

for (const distance of ["l2", "cos"] as const) {
  testOnEach(
    devices,
    `${distance}: the closest anchor is the most similar feature`,
    async (device) => {
      const e = draw([6, 3], "codes"), z = draw([11, 3], "features");
      const anchors = new ClosestAnchors(distance).sample(
        device.tensor(z, [11, 3]),
        device.tensor(e, [6, 3]),
        keyOf(0),
      );
      const features = rowsOf(z, 3);
      const expected = nearest(rowsOf(e, 3), features, distance).flatMap((n) => features[n]);
      assert.deepEqual([...await anchors.floats()], expected);
    },
  );

  testOnEach(
    devices,
    `${distance}: probrandom draws by the softmax of the similarity`,
    async (device) => {
      // Many codes that are alike are as many draws.
      const [draws, count] = [6000, 5];
      const code = [0.6, -0.3], z = draw([count, 2], "features to draw", -1.5, 1.5);
      const codebook = device.tensor(
        Float32Array.from({ length: 2 * draws }, (_, i) => code[i % 2]),
        [draws, 2],
      );
      const features = rowsOf(z, 2);
      const anchors = new ProbabilisticAnchors(distance).sample(
        device.tensor(z, [count, 2]),
        codebook,
        keyOf(9),
      );
      const drawn = rowsOf(await anchors.floats(), 2).map((row) =>
        features.findIndex((feature) => feature[0] === row[0] && feature[1] === row[1])
      );
      assert.ok(drawn.every((n) => n >= 0), "every anchor is a feature");
      const powers = features.map((feature) => Math.exp(similarity(code, feature, distance)));
      const total = powers.reduce((sum, power) => sum + power, 0);
      const chiSquare = powers.reduce((sum, power, n) => {
        const expected = draws * power / total;
        return sum + (drawn.filter((other) => other === n).length - expected) ** 2 / expected;
      }, 0);
      assert.ok(chiSquare < 25, `chi-square of 4 degrees ${chiSquare}`);
      const again = new ProbabilisticAnchors(distance);
      const same = again.sample(device.tensor(z, [count, 2]), codebook, keyOf(9));
      assert.deepEqual(await same.floats(), await anchors.floats());
      const other = again.sample(device.tensor(z, [count, 2]), codebook, keyOf(10));
      assert.notDeepEqual(await other.floats(), await anchors.floats());
    },
  );
}

testOnEach(devices, "distinct anchors are different features of the batch", async (device) => {
  for (const [features, codes] of [[9, 4], [4, 9]]) {
    const batch = device.tensor(Float32Array.from({ length: features }, (_, n) => n), [
      features,
      1,
    ]);
    const codebook = device.tensor(new Float32Array(codes), [codes, 1]);
    const drawn = await new DistinctAnchors().sample(batch, codebook, keyOf(3)).floats();
    const first = [...drawn].slice(0, features);
    assert.equal(new Set(first).size, Math.min(features, codes), `${drawn}`);
    assert.ok([...drawn].every((value) => Number.isInteger(value) && value < features), `${drawn}`);
    const again = await new DistinctAnchors().sample(batch, codebook, keyOf(4)).floats();
    assert.notDeepEqual(again, drawn, "another step draws others");
  }
});

testOnEach(
  devices,
  "anchors by error are drawn in proportion to the squared error",
  async (device) => {
    // Two codes, and as many features at a squared distance of 3 from the first as at 1 from the second.
    const count = 3000, codes = [0, 0, 100, 0];
    const positions = Float32Array.from({ length: 2 * count }, (_, at) => {
      const n = Math.floor(at / 2), angle = n, length = n % 2 === 0 ? Math.sqrt(3) : 1;
      return at % 2 === 0 ? codes[n % 2 * 2] + length * Math.cos(angle) : length * Math.sin(angle);
    });
    const rows = device.tensor(positions, [count, 2]);
    const codebook = device.tensor(
      Float32Array.from({ length: 2 * count }, (_, at) => codes[at % 4]),
      [count, 2],
    );
    const drawn = rowsOf(
      await new ErrorAnchors("l2").sample(rows, codebook, keyOf(5)).floats(),
      2,
    );
    const far = drawn.filter(([x]) => x < 50).length / count;
    // A code is offered c far features of 16, c binomial, and takes one of them with probability 3c/(3c + 16 − c).
    let expected = 0, ways = 1;
    for (let c = 0; c <= 16; c++) {
      expected += ways / 2 ** 16 * 3 * c / (3 * c + 16 - c);
      ways = ways * (16 - c) / (c + 1);
    }
    const deviation = Math.sqrt(expected * (1 - expected) / count);
    assert.ok(Math.abs(far - expected) < 4 * deviation, `${far} far, ${expected} expected`);
    assert.ok(new Set(drawn.map(String)).size > count / 2, "codes move to different features");
  },
);

for (const distance of ["l2", "cos"] as const) {
  testOnEach(
    devices,
    `${distance}: no anchor by error is a feature that equals its code`,
    async (device) => {
      // The only feature with an error is drawn by every code that is offered it.
      const codebook = device.tensor([1, 0, 0, 1, -1, 0], [3, 2]);
      const features = device.tensor([1, 0, 0, 1, -1, 0, 0.6, 0.8], [4, 2]);
      const sampled = new ErrorAnchors(distance).sample(features, codebook, keyOf(1));
      const expected = [0.6, 0.8, 0.6, 0.8, 0.6, 0.8].map(Math.fround);
      assert.deepEqual([...await sampled.floats()], expected);
    },
  );
}
