import assert from "node:assert/strict";
import sharp, { type Sharp } from "sharp";
import { randomKey } from "../../core/random.ts";
import { BrokenImage, type Decoded, ImageDecoder } from "../../data/decoder.ts";
import { CENTRED, drawPlacement, type EncodedImage } from "../../data/encoded.ts";

/** A picture whose pixel (x, y) is [4x, 4y, 200], and has an alpha channel if asked for. */
function ramp(width: number, height: number, alpha?: number): Sharp {
  const channels = alpha === undefined ? 3 : 4;
  const pixels = Uint8Array.from({ length: width * height * channels }, (_, place) => {
    const pixel = Math.floor(place / channels);
    return [4 * (pixel % width), 4 * Math.floor(pixel / width), 200, alpha ?? 0][place % channels];
  });
  return sharp(pixels, { raw: { width, height, channels } });
}

async function encoded(image: Sharp): Promise<EncodedImage> {
  return { name: "a picture", bytes: new Uint8Array(await image.toBuffer()) };
}

function pixelsOf(decoded: Decoded): Uint8Array {
  assert.ok(decoded instanceof Uint8Array, JSON.stringify(decoded));
  return decoded;
}

const decoder = new ImageDecoder({ size: 8, background: 255 }, 2);
Deno.test.afterAll(() => decoder.close());
const decodeOne = async (image: EncodedImage, placement = CENTRED) =>
  (await decoder.decode([image], [placement]))[0];

Deno.test("the decoder returns the requested square", async () => {
  const image = await encoded(ramp(20, 8).png());
  for (const [left, x] of [[0, 0], [0.5, 6], [0.9999, 12]]) {
    const pixels = pixelsOf(await decodeOne(image, { left, top: 0.3, mirrored: false }));
    assert.deepEqual([...pixels.subarray(0, 6)], [4 * x, 0, 200, 4 * x + 4, 0, 200]);
    assert.deepEqual([...pixels.subarray(-3)], [4 * (x + 7), 28, 200]);
    const mirrored = pixelsOf(await decodeOne(image, { left, top: 0, mirrored: true }));
    assert.deepEqual([...mirrored.subarray(0, 6)], [4 * (x + 7), 0, 200, 4 * (x + 6), 0, 200]);
  }
  const tall = pixelsOf(
    await decodeOne(await encoded(ramp(8, 20).png()), { left: 0, top: 0.5, mirrored: false }),
  );
  assert.deepEqual([...tall.subarray(0, 3)], [0, 24, 200]);
});

Deno.test("the shorter side is resized to the size, in every EXIF orientation", async () => {
  const flat = await sharp({
    create: { width: 64, height: 40, channels: 3, background: "#ff0000" },
  })
    .composite([{ input: await ramp(8, 40).png().toBuffer(), left: 0, top: 0 }]).png().toBuffer();
  const turned = await encoded(sharp(flat).withMetadata({ orientation: 6 }).jpeg({ quality: 95 }));
  // A quarter turn to the right: what was on the left is at the top, out of the centre square.
  const pixels = pixelsOf(await decodeOne(turned, { left: 0, top: 0.9999, mirrored: false }));
  for (let pixel = 0; pixel < 64; pixel++) {
    const [red, green, blue] = pixels.subarray(3 * pixel, 3 * pixel + 3);
    assert.ok(red > 245 && green < 10 && blue < 10, `${pixel}: ${red} ${green} ${blue}`);
  }
});

Deno.test("grey, 16-bit, palette, CMYK and transparent images are all decoded to RGB", async () => {
  const grey = pixelsOf(await decodeOne(await encoded(ramp(8, 8).greyscale().png())));
  assert.equal(grey.length, 8 * 8 * 3);
  assert.ok(grey.every((byte, place) => byte === grey[place - place % 3]));
  const deep = pixelsOf(await decodeOne(await encoded(ramp(8, 8).toColourspace("rgb16").png())));
  assert.deepEqual([...deep.subarray(3, 6)], [4, 0, 200]);
  const palette = pixelsOf(await decodeOne(await encoded(ramp(8, 8).png({ palette: true }))));
  assert.ok(Math.abs(palette[2] - 200) < 8);
  const print = pixelsOf(await decodeOne(await encoded(ramp(8, 8).toColourspace("cmyk").jpeg())));
  assert.equal(print.length, 8 * 8 * 3);
  const glass = pixelsOf(await decodeOne(await encoded(ramp(8, 8, 0).png())));
  assert.ok(glass.every((byte) => byte === 255), "what is transparent shows the background");
});

Deno.test("an image inside a larger file is read from its position", async () => {
  const path = await Deno.makeTempFile();
  const { bytes } = await encoded(ramp(8, 8).png()) as { bytes: Uint8Array };
  await Deno.writeFile(path, Uint8Array.of(1, 2, 3, ...bytes, 4, 5));
  const part = { name: "a part", path, offset: 3, length: bytes.length };
  assert.deepEqual([...pixelsOf(await decodeOne(part)).subarray(0, 6)], [0, 0, 200, 4, 0, 200]);
  const beyond = await decodeOne({ ...part, length: 1000 });
  assert.match((beyond as BrokenImage).problem, /must have 1000 bytes of it, got \d+/);
  const huge = await decodeOne({ ...part, length: 2 ** 40 });
  assert.match(
    (huge as BrokenImage).problem,
    /it must have 1 to 134217728 bytes, got 1099511627776/,
  );
  const missing = await decodeOne({ name: "nothing", path: `${path}.png` });
  assert.match((missing as BrokenImage).problem, /ENOENT/);
  await Deno.remove(path);
});

Deno.test("broken images are reported, and the others are decoded", async () => {
  const whole = await encoded(ramp(64, 64).jpeg());
  const { bytes } = whole as { bytes: Uint8Array<ArrayBuffer> };
  const png = new Uint8Array(await ramp(8, 8).png().toBuffer());
  const bomb = png.slice();
  new DataView(bomb.buffer).setUint32(16, 1_000_000); // The header's width…
  new DataView(bomb.buffer).setUint32(20, 1_000_000); // … and height.
  const images: EncodedImage[] = [
    { name: "cut short", bytes: bytes.slice(0, bytes.length / 2) },
    { name: "noise", bytes: Uint8Array.from({ length: 999 }, (_, index) => index * 7919 % 256) },
    { name: "nothing", bytes: new Uint8Array(0) },
    { name: "bomb", bytes: bomb },
    { name: "strip", bytes: new Uint8Array(await ramp(20_000, 1).png().toBuffer()) },
    whole,
  ];
  const decoded = await decoder.decode(images, images.map(() => CENTRED));
  const names = decoded.map((one) => one instanceof BrokenImage ? one.name : "whole");
  assert.deepEqual(names, ["cut short", "noise", "nothing", "bomb", "whole", "whole"]);
  assert.ok(decoded.every((one) => !(one instanceof BrokenImage) || one.problem.length > 0));
});

Deno.test("the number of threads does not change the result", async () => {
  const images = await Promise.all(
    Array.from({ length: 12 }, (_, index) => encoded(ramp(20 + index, 30).jpeg())),
  );
  const placements = images.map((_, index) =>
    drawPlacement(randomKey(7, "augment"), index, { crop: "random", flip: true })
  );
  const single = new ImageDecoder({ size: 8, background: 255 }, 1);
  const expected = await single.decode(images, placements);
  await single.close();
  assert.deepEqual(await decoder.decode(images, placements), expected);
});

Deno.test("placements are uniform and depend only on the key and the image", () => {
  const options = { crop: "random", flip: true } as const;
  const draw = (step: number, index: number) =>
    drawPlacement(randomKey(7, "augment", step), index, options);
  assert.deepEqual(draw(1, 5), draw(1, 5));
  assert.notDeepEqual(draw(1, 5), draw(2, 5));
  const all = Array.from({ length: 4000 }, (_, index) => draw(0, index));
  const mirrored = all.filter((placement) => placement.mirrored).length;
  assert.ok(Math.abs(mirrored - 2000) < 4 * Math.sqrt(1000), `${mirrored}`);
  const left = all.reduce((sum, placement) => sum + placement.left, 0) / all.length;
  assert.ok(Math.abs(left - 0.5) < 4 / Math.sqrt(12 * 4000), `${left}`);
  assert.deepEqual(
    drawPlacement(randomKey(7, "augment"), 5, { crop: "centre", flip: false }),
    CENTRED,
  );
});

Deno.test("a thread that ends is reported with its number and advice", async () => {
  // After `process.exit`, Deno's thread waits for its end in a loop, which another's `terminate` can make endless.
  const program =
    "data:text/javascript,import process from 'node:process'; process.exitCode = 3; close()";
  const dying = new ImageDecoder({ size: 8, background: 255 }, 2, program);
  const image = await encoded(ramp(8, 8).png());
  for (let time = 0; time < 2; time++) {
    await assert.rejects(() => dying.decode([image, image, image], [CENTRED, CENTRED, CENTRED]), {
      message:
        /^Cannot decode images: every decoding thread must keep running, got the end of thread \d+ with code 3; .*--data\.workers/,
    });
  }
  await dying.close();
});
