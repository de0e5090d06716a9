/** `FID (learnt features)`: features of a classifier of a data set's own classes. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Dataset, Split } from "../../data/dataset.ts";
import { memoryDataset } from "../../data/memory.ts";
import { drawShape, shapeFactors } from "../../data/shapes.ts";
import { classShare } from "../../metrics/class_share.ts";
import { DigitClassifier } from "../../metrics/digit_features.ts";
import type { Images } from "../../metrics/images.ts";
import type { MetricOptions } from "../../metrics/metric_kinds.ts";
import { ImageEvaluation } from "../../training/image_evaluation.ts";
import { learnFeatures } from "../../training/learnt_features.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const cpu = (await openTestDevices()).filter(({ name }) => name === "cpu");

const SIDE = 12, SIZES = { train: 1280, test: 128 };

/** Coloured shapes in the order of their classes, red, green and blue, as data sets often are. */
function colours(labelled: boolean): Dataset {
  const part = (split: Split) => {
    const drawn = Array.from({ length: SIZES[split] }, (_, index) => shapeFactors(split, index))
      .map((factors) => ({ factors, label: Math.floor(factors.hue * 3) }))
      .toSorted((a, b) => a.label - b.label);
    return {
      values: Float32Array.from(drawn.flatMap(({ factors }) => [...drawShape(factors, SIDE)])),
      labels: Int32Array.from(drawn, ({ label }) => label),
    };
  };
  const [train, test] = [part("train"), part("test")];
  return memoryDataset({
    ...{ name: "colours", imageShape: [SIDE, SIDE, 3], train: train.values, test: test.values },
    labels: labelled ? { train: train.labels, test: test.labels } : undefined,
  });
}

testOnEach(
  cpu,
  "distances are within their scale, and the weights are reproducible",
  async (device) => {
    const dataset = colours(true);
    const shape = [SIZES.test, SIDE, SIDE, 3] as const;
    const indices = Int32Array.from({ length: SIZES.test }, (_, index) => index);
    const test: Images = { values: await dataset.images("test", indices), shape };
    const { classifier, scale } = await learnFeatures(device, dataset);
    const share = await classShare(device, classifier, test, dataset.labels!.test);
    assert.ok(share >= 0.9, `${share} are told`);

    const measure = async (images: Images) => {
      const options: MetricOptions = {
        ...{ device, weights: null, learntFeatures: () => learnFeatures(device, dataset) },
        digitClassifier: () => Promise.resolve(new DigitClassifier(device, randomKey(1, "unused"))),
      };
      using evaluation = await ImageEvaluation.open(["learnt-fid"], options, "float");
      await evaluation.add(test, images);
      const result = await evaluation.result({ originals: "colours", imageShape: [SIDE, SIDE, 3] });
      assert.deepEqual(result.measurements.map(({ metric }) => metric), [
        "learnt-fid",
        "learnt-kid",
      ]);
      return { fid: result.measurements[0], protocols: result.protocols };
    };
    const { fid: same, protocols } = await measure(test);
    assert.deepEqual(same.scale, scale);
    assert.equal(protocols[same.protocol].weights, await classifier.hash());
    const blurred = test.values.map((value, at, all) => (value + (all[at + 3] ?? -1)) / 2);
    const { fid: near } = await measure({ values: blurred, shape });
    const inverted = test.values.map((value) => -value);
    const { fid: far } = await measure({ values: inverted, shape });
    const { real, independent } = scale;
    assert.ok(
      same.value < 1e-3 && same.value < near.value && near.value < independent &&
        real < independent / 4 &&
        far.value > near.value,
      `${same.value}, ${real}, ${near.value}, ${independent}, ${far.value}`,
    );
    classifier[Symbol.dispose]();
  },
);

testOnEach(
  cpu,
  "without classes or a data set there are no features, and the reason is given",
  async (device) => {
    const open = async (dataset?: Dataset) => {
      const options = {
        ...{ device, weights: null },
        digitClassifier: () => Promise.reject(new Error("unused")),
        learntFeatures: dataset && (() => learnFeatures(device, dataset)),
      };
      using evaluation = await ImageEvaluation.open(["learnt-fid"], options, "float");
      return evaluation.unmeasured.map(({ reason }) => reason);
    };
    const none = "Cannot learn features: a run on a data set with classes is needed, got none";
    assert.deepEqual(await open(), [none, none]);
    const unlabelled =
      "Cannot learn features: the data set must have classes and images that can be read by index, got colours";
    assert.deepEqual(await open(colours(false)), [unlabelled, unlabelled]);
  },
);
