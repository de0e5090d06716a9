/** encode, decode and reconstruct as a user calls them, with the committed run and with one of colour. */
import assert from "node:assert/strict";
import { decode } from "fast-png";
import { decodeNpy } from "../../files/npy.ts";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { readSampleGrid } from "../../objectives/sample_grid.ts";
import { writeFiles } from "../data/pictures.ts";
import { FIXTURE, makeRun, noisePng } from "../training/made_run.ts";
import { folderForTests, lastLine, runTask, snapshot, taskCommand } from "./child.ts";

const folder = folderForTests();
const DEVICE = ["--device", "cpu", "--cpu.blas", "off"];
const COLOUR = `${folder}/colour`;
await makeRun(
  COLOUR,
  { type: "residual", depth: 2, inner: { codebookSize: 8, codebookDim: 4 } },
  3,
);
const squares = `${folder}/squares`, mixed = `${folder}/mixed`;
await writeFiles(squares, {
  "a.png": noisePng(28, 28, 1, 1),
  "b.png": noisePng(28, 28, 3, 2),
  "sub/a.png": noisePng(28, 28, 1, 3),
});
await writeFiles(mixed, {
  "grid.png": noisePng(28, 28, 1, 4),
  "wide.png": noisePng(8, 20, 1, 5),
  "z/z.png": noisePng(28, 28, 1, 6),
});

async function run(task: string, ...args: readonly string[]) {
  const { code, stdout, stderr } = await runTask(task, [...args, ...DEVICE, "--json"]);
  assert.equal(code, 0, stderr);
  // deno-lint-ignore no-explicit-any -- each task's own.
  return { result: lastLine(stdout) as any, stderr };
}

/** The pictures of a folder, by name. */
const pictures = (path: string) =>
  new Map(
    snapshot(path).map((line) => line.slice(path.length + 1)).map((line) =>
      [line.slice(0, line.indexOf(" ")), line] as const
    ),
  );

for (
  const [name, [path, images]] of Object.entries({
    "one size": [FIXTURE, squares],
    "several sizes": [FIXTURE, mixed],
    "colour and a residual quantiser": [COLOUR, mixed],
  })
) {
  Deno.test(`decoded codes give the same pictures as reconstruct, byte for byte: ${name}`, async () => {
    const place = `${folder}/${name}`, codes = `${place}.safetensors`;
    const encoded = await run("encode", path, images, "--out", codes);
    const decoded = await run("decode", path, codes, "--out", `${place} decoded`);
    const rebuilt = await run("reconstruct", path, images, "--out", `${place} rebuilt`);
    const [left, right] = [pictures(`${place} decoded`), pictures(`${place} rebuilt`)];
    const grid = right.get("grid.png");
    assert.ok(grid !== undefined);
    right.delete("grid.png");
    if (images === mixed) { // The image grid.png makes way for the grid.
      right.set("grid.png", right.get("grid.png.png")!.replace("grid.png.png", "grid.png"));
      right.delete("grid.png.png");
    }
    assert.deepEqual(new Map([...left].sort()), new Map([...right].sort()));
    assert.equal(left.size, 3);
    assert.deepEqual(decoded.result.bits, encoded.result.bits);
    assert.deepEqual(rebuilt.result.bits, encoded.result.bits);
    assert.ok(rebuilt.result.mse > 0 && rebuilt.result.psnr < 40);
    const { bits, images: count } = encoded.result;
    const pixels = images === squares ? 28 * 28 : (2 * 28 * 28 + 8 * 20) / 3;
    const places = pixels / 16, each = path === FIXTURE ? 4 : 2 * 3;
    assert.ok(Math.abs(bits.uniform.image / (places * each) - 1) < 1e-9);
    assert.ok(Math.abs(bits.uniform.pixel - each / 16) < 1e-9);
    assert.ok(bits.entropy.image > 0 && bits.entropy.image < bits.uniform.image);
    assert.equal(count, 3);
    const wide = decode(
      Deno.readFileSync(`${place} rebuilt/${images === mixed ? "wide" : "b"}.png`),
    );
    const channels = path === FIXTURE ? 1 : 3;
    assert.deepEqual(
      [wide.height, wide.width, wide.channels],
      images === mixed ? [8, 20, channels] : [28, 28, channels],
    );
    const shown = images === mixed ? 2 : 3;
    const png = Deno.readFileSync(`${place} rebuilt/grid.png`);
    assert.equal(readSampleGrid(png, shown, [28, 28, channels]).imageShape[2], channels);
    if (images === squares) {
      for (const { stderr } of [encoded, rebuilt]) {
        assert.match(stderr, /of grey images: 1 of 3 are in colour, and are converted to grey/);
      }
    }
  });
}

Deno.test("a NumPy array has the same codes, and without its file of names the pictures are numbered", async () => {
  const [tensors, array] = [`${folder}/same.safetensors`, `${folder}/same.npy`];
  await run("encode", FIXTURE, squares, "--out", tensors, "--batch", "2");
  await run("encode", FIXTURE, squares, "--out", array);
  const { tensors: saved, metadata } = await readSafetensors(tensors);
  assert.deepEqual(decodeNpy(Deno.readFileSync(array), "it"), saved.get("codes"));
  assert.deepEqual(saved.get("codes")!.shape, [3, 7, 7]);
  assert.equal(metadata.get("names"), '["a.png","b.png","sub/a.png"]');
  const named = await run("decode", FIXTURE, array, "--out", `${folder}/named`);
  assert.equal(named.result.images, 3);
  assert.deepEqual([...pictures(`${folder}/named`).keys()], ["a.png", "b.png", "sub/a.png"]);
  Deno.removeSync(`${folder}/same.json`);
  const { stderr } = await run("decode", FIXTURE, array, "--out", `${folder}/numbered`);
  assert.match(stderr, /does not name the run that made it/);
  const numbered = pictures(`${folder}/numbered`);
  assert.deepEqual([...numbered.keys()], ["0000.png", "0001.png", "0002.png"]);
  assert.equal(
    numbered.get("0002.png")!.slice("0002.png".length),
    pictures(`${folder}/named`).get("sub/a.png")!.slice("sub/a.png".length),
  );
});

Deno.test("a single image, --crop and --skip-broken work", async () => {
  const odd = `${folder}/odd`;
  await writeFiles(odd, {
    "a.png": noisePng(30, 41, 1, 7),
    "b.jpg": "no image",
    "c.png": "nor this",
  });
  const flags = ["--crop", "--skip-broken", "--out"];
  const { result, stderr } = await run("encode", FIXTURE, odd, ...flags, `${folder}/odd.npy`);
  assert.deepEqual([result.images, result.broken], [1, 2]);
  assert.match(stderr, /Cannot read .*b\.jpg: it must be an image .*; skipped$/m);
  assert.match(stderr, /^2 broken images were skipped$/m);
  const { shape } = decodeNpy(Deno.readFileSync(`${folder}/odd.npy`), "it");
  assert.deepEqual(shape, [1, 7, 10]);
  const single = await run(
    "reconstruct",
    FIXTURE,
    `${odd}/a.png`,
    "--crop",
    "--out",
    `${folder}/1`,
  );
  assert.equal(single.result.images, 1);
  assert.deepEqual([...pictures(`${folder}/1`).keys()], ["a.png", "grid.png"]);
});

Deno.test("codes of other weights are decoded only with --force", async () => {
  const [codes, out] = [`${folder}/other.safetensors`, `${folder}/other`];
  await run("encode", FIXTURE, squares, "--out", codes);
  const { tensors, metadata } = await readSafetensors(codes);
  await writeSafetensors(codes, tensors, new Map([...metadata, ["run", "0123456789abcdef"]]));
  const { code, stderr } = await runTask("decode", [FIXTURE, codes, "--out", out, ...DEVICE]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^Cannot decode .*: the codes must be made with these weights, 6250c7656d75a96b, got/,
  );
  assert.throws(() => Deno.statSync(out), Deno.errors.NotFound);
  const forced = await run("decode", FIXTURE, codes, "--out", out, "--force");
  assert.match(
    forced.stderr,
    /was made with the weights 0123456789abcdef, and is decoded with 6250c765/,
  );
  assert.equal(pictures(out).size, 3);
});

Deno.test("invalid requests are rejected with a message, and nothing is written", async () => {
  const [odd, codes] = [`${folder}/refused`, `${folder}/escape.safetensors`];
  await writeFiles(odd, { "a.png": noisePng(30, 41, 1, 7) });
  await Deno.mkdir(`${folder}/empty`);
  await run("encode", FIXTURE, squares, "--out", codes);
  const { tensors, metadata } = await readSafetensors(codes);
  const names = '["a.png", "../../escaped.png", "c.png"]';
  await writeSafetensors(codes, tensors, new Map([...metadata, ["names", names]]));
  const out = `${folder}/never`, file = `${folder}/never.npy`;
  const cases: [string, readonly string[], number, RegExp][] = [
    ["encode", [FIXTURE], 2, /must be RUN IMAGES, got/],
    ["encode", [FIXTURE, squares], 2, /--out must name the file of the codes, .* got none$/m],
    ["encode", [FIXTURE, squares, "--out", out], 2, /must end in \.safetensors or \.npy, got/],
    ["encode", [FIXTURE, squares, "--out", file, "--batch", "0"], 2, /batch must be an integer/],
    [
      "encode",
      [FIXTURE, mixed, "--out", file],
      1,
      /images of a \.npy file must have the same size/,
    ],
    ["encode", [FIXTURE, odd, "--out", file], 1, /a\.png: the sides .* by 4, got 30×41 .*--crop/],
    ["encode", [FIXTURE, `${folder}/empty`, "--out", file], 1, /must hold images .*, got none$/m],
    ["encode", [FIXTURE, `${folder}/none`, "--out", file], 1, /must be a folder or an image, got/],
    ["encode", [squares, squares, "--out", file], 1, /the folder must hold a run, got none$/m],
    [
      "reconstruct",
      [FIXTURE, squares, "--out", squares],
      1,
      /no output may replace an input image/,
    ],
    [
      "reconstruct",
      [FIXTURE, squares],
      2,
      /--out must name the folder of the pictures, got none$/m,
    ],
    [
      "decode",
      [FIXTURE, codes, "--out", out],
      1,
      /must be a path within a folder.*escaped\.png"$/m,
    ],
    ["decode", [FIXTURE, `${odd}/a.png`, "--out", out], 1, /must end in \.safetensors or \.npy/],
    [
      "decode",
      [FIXTURE, codes, "--out", out, "--weights", "x"],
      2,
      /weights must be auto, trained/,
    ],
  ];
  const before = snapshot(folder);
  for (let first = 0; first < cases.length; first += 2) {
    await Promise.all(
      cases.slice(first, first + 2).map(async ([task, args, exit, message]) => {
        const { code, stderr } = await runTask(task, [...args, ...DEVICE]);
        assert.match(stderr, message);
        assert.equal(code, exit, stderr);
        assert.match(stderr, /^Cannot /);
        assert.doesNotMatch(stderr, /^ +at /m, "no stack trace");
      }),
    );
  }
  assert.deepEqual(snapshot(folder), before);
});

Deno.test("Ctrl-C stops cleanly: no codes, only complete pictures, and no partial files", async () => {
  const many = `${folder}/many`, png = noisePng(28, 28, 1, 8);
  await writeFiles(
    many,
    Object.fromEntries(Array.from({ length: 600 }, (_, at) => [`${at}.png`, png])),
  );
  for (const [task, out] of [["encode", "stopped.npy"], ["reconstruct", "stopped"]]) {
    const args = [FIXTURE, many, "--out", `${folder}/${out}`, "--batch", "1"];
    const child = taskCommand(task, [...args, "--device", "reference"]).spawn();
    const errors = new Response(child.stderr).text();
    let printed = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      if (printed === "") child.kill("SIGINT");
      printed += text;
    }
    assert.equal((await child.status).code, 130, printed + await errors);
    assert.match(printed, /^stopping after this batch; press Ctrl-C again to stop at once$/m);
    assert.match(printed, task === "encode" ? /was not written$/m : /has \d+ of 600 images$/m);
  }
  const left = snapshot(folder).map((line) => line.split(" ")[0]).filter((path) =>
    path.includes("/stopped")
  );
  assert.ok(left.every((path) => /\/stopped\/\d+\.png$/.test(path)), left.join(" "));
  assert.ok(left.length < 600);
  for (const path of left) assert.equal(decode(Deno.readFileSync(path)).width, 28);
});

Deno.test("large images are processed in tiles, and invalid sizes are rejected", async () => {
  const large = `${folder}/large`, tiles = ["--tile", "32", "--overlap", "8"];
  await writeFiles(large, { "a.png": noisePng(44, 72, 1, 7), "b.png": noisePng(28, 28, 1, 8) });
  const codes = `${folder}/tiles.safetensors`;
  const [{ result }] = await Promise.all([
    run("reconstruct", FIXTURE, large, "--out", `${folder}/tiled`, ...tiles),
    run("encode", FIXTURE, large, "--out", codes, ...tiles),
  ]);
  assert.equal(result.images, 2);
  await run("decode", FIXTURE, codes, "--out", `${folder}/tiles`, ...tiles);
  const rebuilt = pictures(`${folder}/tiled`);
  rebuilt.delete("grid.png");
  assert.deepEqual(pictures(`${folder}/tiles`), rebuilt);
  const refused = await runTask("encode", [
    ...[FIXTURE, large, "--out", codes, "--tile", "30"],
    ...DEVICE,
  ]);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /tile and overlap must be divisible by 4, .* got 30 and 0/);
});
