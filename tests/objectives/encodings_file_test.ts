/** Encodings in a file of the cache folder: made once, and again where the file cannot be used. */
import assert from "node:assert/strict";
import { randomKey } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { FirstStage } from "../../models/first_stage.ts";
import { CachedEncodings } from "../../objectives/cached_encodings.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { waves } from "../training/tiny.ts";
import { tinyFirstStage } from "./tiny_diffusion.ts";

const devices = await openTestDevices();
const key = randomKey(3, "cached");

/** Runs with a cache folder of its own. */
async function withCache(use: (folder: string) => Promise<void>): Promise<void> {
  const before = Deno.env.get("CODEBOOK_CACHE"), folder = await Deno.makeTempDir();
  Deno.env.set("CODEBOOK_CACHE", folder);
  try {
    await use(folder);
  } finally {
    if (before === undefined) Deno.env.delete("CODEBOOK_CACHE");
    else Deno.env.set("CODEBOOK_CACHE", before);
    await Deno.remove(folder, { recursive: true });
  }
}

const encodedIn = (folder: string) =>
  [...Deno.readDirSync(`${folder}/encodings`)].map(({ name }) => name)
    .filter((name) => !name.endsWith(".lock"));

testOnEach(
  devices,
  "a file is created once, and created again if it cannot be used",
  async (device) => {
    await withCache(async (folder) => {
      const dataset = waves(), stage1 = tinyFirstStage(device);
      const indices = Int32Array.from({ length: dataset.sizes.train }, (_, at) => (at * 7) % 26);
      /** Opens a cache, and tells its values, how many batches were encoded and what was said. */
      const open = async (
        cacheIn: "file" | "memory",
        what: "features" | "codes" = "features",
        first: FirstStage = stage1,
      ) => {
        let batches = 0;
        const messages: string[] = [];
        using cached = await CachedEncodings.open(device, {
          ...{ stage1: first, dataset, cache: "flips", cacheIn },
          onMessage: (message) => messages.push(message),
          encode: (images: Tensor) => {
            batches++;
            return what === "features" ? first.features(images) : first.encode(images).indices;
          },
        });
        using read = cached.read(device, indices, key);
        const values = what === "features" ? await read.floats() : await read.integers();
        return { values, shape: read.shape, batches, messages };
      };
      const memory = await open("memory"), made = await open("file"), found = await open("file");
      assert.deepEqual(
        [memory.batches, made.batches, found.batches],
        [2, 3, 1],
        "one to know them",
      );
      for (const one of [made, found]) {
        assert.deepEqual([one.values, one.shape], [memory.values, memory.shape]);
      }
      assert.match(made.messages.join(), /^keeping the encoded training images in \S+$/);
      assert.match(found.messages.join(), /^reading the encoded training images from \S+$/);
      const [name] = encodedIn(folder), path = `${folder}/encodings/${name}`;
      assert.equal(encodedIn(folder).length, 1, "nothing partial is left");

      const whole = await Deno.readFile(path);
      const other = new TextEncoder().encode(new TextDecoder().decode(whole.slice(0, 60)));
      const damaged: [Uint8Array, RegExp][] = [
        [whole.slice(0, -4), /truncated: the training images are encoded again$/],
        [new Uint8Array(0), /at least 8 bytes, got 0: the training images are encoded again$/],
        [other, /: the training images are encoded again$/],
      ];
      for (const [bytes, message] of damaged) {
        await Deno.writeFile(path, bytes);
        const again = await open("file");
        assert.deepEqual(again.values, memory.values);
        assert.match(again.messages.join(), message);
        assert.deepEqual(await Deno.readFile(path), whole);
      }

      const codes = await open("file", "codes");
      assert.deepEqual(codes.values, (await open("memory", "codes")).values);
      using changed = tinyFirstStage(device);
      const state = new Map(await changed.network.stateDictionary());
      const [[layer, { values, shape }]] = state;
      state.set(layer, { values: values.map((value) => value * 1.01), shape });
      changed.network.loadStateDictionary(state);
      assert.notDeepEqual((await open("file", "features", changed)).values, memory.values);
      assert.equal(encodedIn(folder).length, 3);

      // A file of other encodings under this name, as a copy by hand.
      await Deno.copyFile(
        `${folder}/encodings/${encodedIn(folder).find((one) => one !== name)}`,
        path,
      );
      const replaced = await open("file");
      assert.match(
        replaced.messages.join(),
        /must hold 52 encodings of these images by this first stage, got others/,
      );
      assert.deepEqual(replaced.values, memory.values);
    });
  },
);

testOnEach(
  devices.slice(0, 1),
  "a folder that cannot be written is told, and a first stage that fails",
  async (device) => {
    await withCache(async (folder) => {
      const stage1 = tinyFirstStage(device);
      const open = (encode: (images: Tensor) => Tensor) =>
        CachedEncodings.open(device, {
          ...{ stage1, dataset: waves(), cache: "images", cacheIn: "file", encode },
        });
      let batches = 0;
      await assert.rejects(
        open((images) => {
          if (batches++ > 0) throw new RangeError("no memory");
          return stage1.features(images);
        }),
        /^Error: Cannot keep encodings in \S+: every image must be encoded and fit on the disk, got no memory$/,
      );
      assert.deepEqual(encodedIn(folder), [], "nothing partial is left");
      await Deno.writeTextFile(`${folder}/file`, "");
      Deno.env.set("CODEBOOK_CACHE", `${folder}/file`);
      await assert.rejects(
        open((images) => stage1.features(images)),
        /^Error: Cannot keep encodings in \S+: it must be a folder that can be created and written to/,
      );
    });
  },
);
