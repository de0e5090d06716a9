import assert from "node:assert/strict";
import { decode } from "fast-png";
import { openDataset } from "../../data/registry.ts";
import { emoji as byGoogle } from "../../data/emoji_google.ts";
import { emoji as byTwitter } from "../../data/emoji_twitter.ts";

Deno.test("the emoji are 3,415 training and 371 test images, and skin tones of one emoji are in the same part", async () => {
  const emoji = await openDataset({ name: "emoji", size: 64 });
  assert.equal(emoji.name, "emoji");
  assert.deepEqual(emoji.imageShape, [64, 64, 3]);
  const tenth = (_: unknown, position: number) => position % 10 === 9;
  const files = byGoogle;
  const parts = {
    train: files.filter((_, position) => !tenth(_, position)).flatMap(({ files }) => files),
    test: files.filter(tenth).flatMap(({ files }) => files),
  };
  assert.deepEqual(emoji.sizes, { train: 3415, test: 371 });
  assert.deepEqual([parts.train.length, parts.test.length], [3415, 371]);

  const { classes, labels } = emoji;
  assert.equal(classes!.length, 10);
  const classOf = (split: "train" | "test", file: string) => {
    const index = parts[split].findIndex((path) => path.endsWith(`/${file}.png`));
    return classes![labels![split][index]];
  };
  assert.equal(classOf("train", "1f600"), "Smileys & Emotion");
  assert.equal(classOf("train", "1f436"), "Animals & Nature");
  assert.equal(
    classOf("train", "1f91a-1f3fd"),
    "People & Body",
    "a skin tone has its emoji's class",
  );
  assert.equal(labels!.test.length, 371);

  // At their own size the pictures are those of the files, laid over white; rounding differs by one level of 255.
  for (const split of ["train", "test"] as const) {
    for (const index of [0, 100, 370]) {
      const { data, channels } = decode(await Deno.readFile(parts[split][index]));
      assert.equal(channels, 4);
      const values = await emoji.images(split, Int32Array.of(index));
      values.forEach((value, place) => {
        const pixel = 4 * Math.floor(place / 3);
        const alpha = data[pixel + 3] / 255;
        const level = alpha * data[pixel + place % 3] / 255 + 1 - alpha;
        assert.ok(Math.abs(value - (2 * level - 1)) < 2.02 / 255, `${split} ${index} ${place}`);
      });
    }
  }
  assert.ok(Math.abs(emoji.variance - 0.0972) < 0.001, `${emoji.variance}`);
});

Deno.test("with both vendors each emoji has two pictures, in the same part and of the same class", async () => {
  const codes = (emoji: typeof byGoogle) =>
    emoji.map(({ files }) => files.map((file) => file.split("/").at(-1)));
  assert.deepEqual(codes(byTwitter), codes(byGoogle));
  const open = (vendor: string) => openDataset({ name: "emoji", size: 16, vendor });
  const [twitter, both] = await Promise.all(["twitter", "both"].map(open));
  assert.deepEqual([twitter.sizes.test, both.sizes.train, both.sizes.test], [371, 6830, 742]);
  assert.deepEqual([twitter.name, both.name], ["emoji by Twitter", "emoji by Google and Twitter"]);
  const own = await both.images("test", Int32Array.of(5));
  const other = await twitter.images("test", Int32Array.of(5));
  assert.notDeepEqual(own, other);
  assert.deepEqual(await both.images("test", Int32Array.of(371 + 5)), other);
  const labels = [...twitter.labels!.test];
  assert.deepEqual([...both.labels!.test], [...labels, ...labels]);
  await assert.rejects(open("apple"), /vendor must be google, twitter or both, got "apple"/);
});
