/** TensorBoard's event files, read back as their formats' specifications say. */
import assert from "node:assert/strict";
import { encode } from "fast-png";
import { EventFile, scalarsOf } from "../../training/tensorboard/events.ts";
import { readMessage } from "../../training/tensorboard/protobuf.ts";
import { crc32c, decodeRecords, encodeRecord } from "../../training/tensorboard/records.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { withFolder } from "./tiny.ts";

const text = (bytes: unknown) => new TextDecoder().decode(bytes as Uint8Array);
const inside = (message: Map<number, number | Uint8Array>, field: number) =>
  readMessage(message.get(field) as Uint8Array);
const double = (bytes: unknown) =>
  new DataView((bytes as Uint8Array).slice().buffer).getFloat64(0, true);

/** An event's step, and its one value. */
function read(record: Uint8Array) {
  const event = readMessage(record);
  const value = event.has(5) ? inside(inside(event, 5), 1) : undefined;
  return { event, step: event.get(2), value, tag: value === undefined ? "" : text(value.get(1)) };
}

Deno.test("checksums are CRC-32C", () => {
  // RFC 3720, B.4.
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at)), 0x46dd794e);
});

Deno.test("a scalar event has the bytes that the formats prescribe", () =>
  withFolder(async (path) => {
    const file = `${path}/events`;
    const events = new EventFile(file, () => 1500);
    await events.begin(0);
    await events.scalars(300, { a: 0.5 });
    const [version, scalar] = decodeRecords(await Deno.readFile(file));
    // 09 double wall time 1.5; 10 varint step; 1a text; 2a summary { 0a value { 0a tag, 15 float } }
    const time = [0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f];
    assert.deepEqual([...version.subarray(0, 13)], [...time, 0x10, 0, 0x1a, 13]);
    assert.equal(text(version.subarray(13)), "brain.Event:2");
    const value = [0x0a, 1, 0x61, 0x15, 0, 0, 0, 0x3f];
    assert.deepEqual([...scalar], [...time, 0x10, 0xac, 0x02, 0x2a, 10, 0x0a, 8, ...value]);
  }));

Deno.test("a text event names its plugin, and is a tensor of one string", () =>
  withFolder(async (path) => {
    const file = `${path}/events`;
    const events = new EventFile(file);
    await events.begin(0);
    await events.text(0, "settings", "| a | 1 |");
    const { step, value, tag } = read([...decodeRecords(await Deno.readFile(file))].at(-1)!);
    assert.deepEqual([step, tag], [0, "settings"]);
    assert.equal(text(inside(inside(value!, 9), 1).get(1)), "text");
    const tensor = inside(value!, 8);
    assert.equal(tensor.get(1), 7);
    assert.equal(text(tensor.get(8)), "| a | 1 |");
  }));

Deno.test("training and test curves have the same names in separate folders, without constants", () =>
  withFolder(async (path) => {
    const folder = new RunFolder(path);
    await folder.writeConfig({ model: { hidden: 8 }, levels: [2, 3] });
    await folder.begin(0);
    await folder.log({ kind: "step", step: 1, epoch: 1, mse: 2, codebook: { perplexity: 3 } });
    const test = { images: 9, mse: 1, protocol: "x" };
    await folder.log({ kind: "epoch", step: 1, epoch: 1, train: { mse: 2 }, test });
    const tags = async (name: string) =>
      [...decodeRecords(await Deno.readFile(`${path}/${name}events.out.tfevents.codebook`))]
        .flatMap((record) => read(record).tag);
    const all = await Promise.all(["", "test/"].map(tags));
    assert.deepEqual(all, [["", "settings", "codebook/perplexity"], ["", "mse"]]);
    const bytes = await Deno.readFile(`${path}/events.out.tfevents.codebook`);
    assert.ok(text(bytes).includes("| model.hidden | 8 |\n| levels | [2,3] |"));
    assert.ok(text(bytes).includes("mse"));
  }));

Deno.test("images and histograms are read back", () =>
  withFolder(async (path) => {
    const file = `${path}/events`;
    const events = new EventFile(file);
    await events.begin(0);
    for (const channels of [1, 3]) {
      const png = encode({ width: 5, height: 3, channels, data: new Uint8Array(15 * channels) });
      await events.image(7, "samples", png);
      const { step, value, tag } = read([...decodeRecords(await Deno.readFile(file))].at(-1)!);
      assert.deepEqual([step, tag], [7, "samples"]);
      const image = inside(value!, 4);
      assert.deepEqual([1, 2, 3].map((field) => image.get(field)), [3, 5, channels]);
      assert.deepEqual(image.get(4), new Uint8Array(png));
    }
    await events.histogram(8, "codes", [4, 0, 2]);
    const { step, value } = read([...decodeRecords(await Deno.readFile(file))].at(-1)!);
    const histogram = inside(value!, 5);
    const doubles = (
      field: number,
    ) => [...new Float64Array((histogram.get(field) as Uint8Array).slice().buffer)];
    assert.equal(step, 8);
    assert.deepEqual([1, 2, 3, 4, 5].map((field) => double(histogram.get(field))), [0, 2, 6, 4, 8]);
    assert.deepEqual([doubles(6), doubles(7)], [[0, 1, 2], [4, 0, 2]]);
  }));

Deno.test("a resumed run keeps the events up to its step, and drops a truncated record", () =>
  withFolder(async (path) => {
    const file = `${path}/events`;
    const events = new EventFile(file);
    await events.begin(0);
    for (const step of [10, 20, 30]) await events.scalars(step, { loss: step });
    const whole = await Deno.readFile(file);
    await Deno.writeFile(file, whole.subarray(0, whole.length - 1));
    const steps = async () =>
      [...decodeRecords(await Deno.readFile(file))].map((one) => read(one).step);
    await events.begin(25);
    assert.deepEqual(await steps(), [0, 10, 20]);
    await events.scalars(30, { loss: 1 });
    await events.begin(30);
    assert.deepEqual(await steps(), [0, 10, 20, 30]);
    await events.begin(0);
    assert.deepEqual(await steps(), [0]);
  }));

Deno.test("reading stops at a damaged record", () => {
  const record = encodeRecord(Uint8Array.of(1, 2, 3));
  const bytes = Uint8Array.from([...record, ...record]);
  assert.equal([...decodeRecords(bytes)].length, 2);
  for (let at = record.length; at < bytes.length; at++) {
    const damaged = bytes.slice();
    damaged[at] ^= 1;
    assert.equal([...decodeRecords(damaged)].length, 1, `byte ${at}`);
  }
});

Deno.test("the tags of a record are the paths of its numbers", () => {
  const record = { loss: 1, name: "x", none: null, test: { mse: 2, inner: { k: 3 } } };
  assert.deepEqual(scalarsOf(record), { loss: 1, "test/mse": 2, "test/inner/k": 3 });
});
