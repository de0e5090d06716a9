/** The share of images that are what was asked for. */
import assert from "node:assert/strict";
import { digitLabels, openDigits } from "../../data/digits.ts";
import { classShare } from "../../metrics/class_share.ts";
import { trainDigitClassifier } from "../../metrics/digit_features.ts";
import type { Tensor } from "../../core/tensor.ts";
import { reshape } from "../../core/functions/movement.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();

/** Images that are the logits of their classes themselves. */
const plain = { classify: (images: Tensor) => reshape(images, [-1, 3]) };

testOnEach(
  devices,
  "the class share counts the images whose largest logit is the given class",
  async (device) => {
    const count = 600; // More than two batches.
    const classes = Int32Array.from({ length: count }, (_, at) => (at * 7) % 3);
    const values = new Float32Array(count * 3);
    classes.forEach((one, at) => values[at * 3 + one] = 1);
    const images = { values, shape: [count, 1, 3, 1] as const };
    assert.equal(await classShare(device, plain, images, classes), 1);
    const asked = classes.map((one, at) => at % 4 === 0 ? (one + 1) % 3 : one);
    assert.equal(await classShare(device, plain, images, asked), 0.75);
    const flat = { values: new Float32Array(6), shape: [2, 1, 3, 1] as const };
    assert.equal(await classShare(device, plain, flat, Int32Array.of(0, 1)), 0.5, "ties");
  },
);

testOnEach(devices.slice(0, 1), "what cannot be counted is refused", async (device) => {
  const images = { values: new Float32Array(6), shape: [2, 1, 3, 1] as const };
  const share = (asked: readonly number[], of = images) =>
    classShare(device, plain, of, Int32Array.from(asked));
  await assert.rejects(share([0]), { name: "TypeError", message: /got 1 classes and 6 values$/ });
  await assert.rejects(share([0, 3]), {
    name: "RangeError",
    message: "Cannot take a share of classes: each class must be one of 0 to 2, got 3",
  });
  await assert.rejects(share([0, -1]), /got -1$/);
  const none = { values: new Float32Array(0), shape: [0, 1, 3, 1] } as unknown as typeof images;
  await assert.rejects(share([], none), /at least 1 image is needed, got 0$/);
});

testOnEach(
  devices.filter(({ name }) => name === "cpu"),
  "the digit classifier finds real digits to be what they are, and others not",
  async (device) => {
    const digits = await openDigits();
    const take = async (split: "train" | "test", count: number, every: number) => {
      const indices = Int32Array.from({ length: count }, (_, at) => at * every);
      const labels = await digitLabels(split);
      return {
        images: { values: await digits.images(split, indices), shape: [count, 28, 28, 1] as const },
        labels: Int32Array.from(indices, (index) => labels[index]),
      };
    };
    const train = await take("train", 1800, 5), test = await take("test", 300, 3);
    using classifier = await trainDigitClassifier(device, train.images, train.labels);
    assert.ok(await classShare(device, classifier, test.images, test.labels) >= 0.8);
    const others = test.labels.map((digit) => (digit + 5) % 10);
    assert.ok(await classShare(device, classifier, test.images, others) <= 0.1);
  },
);
