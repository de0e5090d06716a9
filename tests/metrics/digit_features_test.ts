/** The classifier behind `FID (digit features)`. */
import assert from "node:assert/strict";
import { argmax } from "../../core/functions/reductions.ts";
import { digitLabels, openDigits } from "../../data/digits.ts";
import { trainDigitClassifier } from "../../metrics/digit_features.ts";
import { FeatureExtractor, FrechetMetric } from "../../metrics/feature_metrics.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const cpu = (await openTestDevices()).filter(({ name }) => name === "cpu");

testOnEach(
  cpu,
  "the classifier recognises digits, is reproducible, and distinguishes noise from digits",
  async (device) => {
    const digits = await openDigits();
    const take = async (split: "train" | "test", count: number, every: number, offset = 0) => {
      const indices = Int32Array.from({ length: count }, (_, at) => at * every + offset);
      const labels = await digitLabels(split);
      return {
        images: { values: await digits.images(split, indices), shape: [count, 28, 28, 1] as const },
        labels: Int32Array.from(indices, (index) => labels[index]),
      };
    };
    const train = await take("train", 1800, 5), test = await take("test", 300, 3);
    using classifier = await trainDigitClassifier(device, train.images, train.labels);
    const logits = classifier.classify(device.tensor(test.images.values, [300, 28, 28, 1]));
    const guesses = await argmax(logits).integers();
    const right = guesses.filter((digit, at) => digit === test.labels[at]).length;
    assert.ok(right >= 240, `${right} of 300 are right`);

    const distance = async (images: typeof test.images) => {
      using metric = new FrechetMetric({
        name: "FID (digit features)",
        definition: "",
        better: "lower",
        decimals: 3,
      }, new FeatureExtractor(device, classifier));
      await metric.add(test.images, images);
      return await metric.result();
    };
    const blurred = test.images.values.map((value, at, all) => (value + (all[at + 1] ?? -1)) / 2);
    const [same, near, far] = [
      await distance(test.images),
      await distance({ ...test.images, values: blurred }),
      await distance({ ...test.images, values: test.images.values.map((value) => -value) }),
    ];
    assert.ok(same < 1e-4 && near > 10 * same && far > 2 * near, `${same}, ${near}, ${far}`);

    const few = await take("train", 128, 70);
    const hashes: string[] = [];
    for (const { images, labels } of [few, few]) {
      using small = await trainDigitClassifier(device, images, labels);
      hashes.push(await small.hash());
    }
    assert.equal(hashes[0], hashes[1]);
  },
);
