/** Files of codes: both forms are read again, and what lies is refused. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeNpy } from "../../files/npy.ts";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { checkCodesPath, readCodes, writeCodes } from "../../training/codes_file.ts";
import { checkImageName, pngNames } from "../../training/image_names.ts";
import { testInFolder } from "../data/pictures.ts";

const origin = { run: "0123456789abcdef", codebookSize: 9, downsampling: 4 };
const image = (height: number, width: number, first: number) => ({
  shape: [height, width, 2],
  values: Int32Array.from({ length: height * width * 2 }, (_, at) => (first + at) % 9),
});
const same = [image(2, 3, 0), image(2, 3, 5)], names = ["a.png", "sub/ü b.jpg"];
const different = [image(2, 3, 0), image(1, 2, 5)];

testInFolder(
  "images of one size become one array with metadata, and survive a round trip",
  async (folder) => {
    const path = `${folder}/codes.safetensors`;
    await writeCodes(path, { names, codes: same }, origin);
    const { tensors, metadata } = await readSafetensors(path);
    assert.deepEqual([...tensors.keys()], ["codes"]);
    assert.deepEqual(tensors.get("codes"), {
      shape: [2, 2, 3, 2],
      values: Int32Array.from(same.flatMap(({ values }) => [...values])),
    });
    assert.deepEqual(Object.fromEntries(metadata), {
      format: "codebook codes 1",
      names: JSON.stringify(names),
      run: origin.run,
      codebookSize: "9",
      downsampling: "4",
      imageSize: "[8,12]",
    });
    assert.deepEqual(await readCodes(path), { names, codes: same, origin });
  },
);

testInFolder(
  "images of several sizes become an entry each, and survive a round trip",
  async (folder) => {
    const path = `${folder}/codes.safetensors`;
    await writeCodes(path, { names, codes: different }, origin);
    const { tensors, metadata } = await readSafetensors(path);
    assert.deepEqual([...tensors.keys()], ["codes.0", "codes.1"]);
    assert.equal(metadata.has("imageSize"), false);
    assert.deepEqual(await readCodes(path), { names, codes: different, origin });
    await assert.rejects(
      writeCodes(`${folder}/codes.npy`, { names, codes: different }, origin),
      /all images of a \.npy file must have the same size, got several/,
    );
  },
);

testInFolder("a NumPy array takes names from the file beside it, or numbers", async (folder) => {
  const path = `${folder}/codes.npy`;
  await writeCodes(path, { names, codes: same }, origin);
  assert.deepEqual(
    Deno.readFileSync(path),
    encodeNpy({
      shape: [2, 2, 3, 2],
      values: Int32Array.from(same.flatMap(({ values }) => [...values])),
    }),
  );
  assert.deepEqual(await readCodes(path), { names, codes: same, origin });
  await Deno.remove(`${folder}/codes.json`);
  assert.deepEqual(await readCodes(path), { names: ["0000.png", "0001.png"], codes: same });
});

testInFolder("inconsistent files are rejected by name", async (folder) => {
  const path = `${folder}/codes.safetensors`;
  await writeCodes(path, { names, codes: same }, origin);
  const good = await readSafetensors(path);
  const reads = async (
    change: Readonly<Record<string, string>>,
    message: RegExp,
    tensors = good.tensors,
  ) => {
    await writeSafetensors(path, tensors, new Map([...good.metadata, ...Object.entries(change)]));
    await assert.rejects(readCodes(path), { name: "RangeError", message });
    await assert.rejects(readCodes(path), /^RangeError: Cannot read .*codes\.safetensors: /);
  };
  for (const name of ["../a.png", "/etc/a", "a/../../b", "a//b", "", "./a", "a\n", "a/"]) {
    await reads({ names: JSON.stringify(["x", name]) }, /must be a path within a folder/);
  }
  await reads({ names: '["a"]' }, /a name for each of its 2 images, got 1$/);
  await reads({ names: "[1, 2]" }, /it must be a "codebook codes 1" with names/);
  await reads({ names: "{" }, /must be JSON/);
  await reads({ format: "other" }, /it must be a "codebook codes 1"/);
  await reads({ codebookSize: "-1" }, /codebookSize/);
  const floats = new Map([["codes", { shape: [2, 1, 1], values: new Float32Array(2) }]]);
  await reads({}, /codes must be integers, got floats$/, floats);
  const flat = new Map([["codes", { shape: [2], values: new Int32Array(2) }]]);
  await reads(
    {},
    /codes must be \[N, h, w, …\], or \[N, …\] of whole grids, none of them 0, got shape \[2\]$/,
    flat,
  );
  const one = new Map([["codes.0", { shape: [1, 1], values: new Int32Array(1) }]]);
  await reads({}, /it must hold codes, or codes\.1, got neither$/, one);
  await assert.rejects(
    readCodes(`${folder}/none.npy`),
    /^Error: Cannot read .*none\.npy: the file/,
  );
  await assert.rejects(readCodes(`${folder}/x.pt`), /must end in \.safetensors or \.npy, got /);
});

Deno.test("codes that do not fit into a file are rejected before encoding", () => {
  const many = Array.from({ length: 32769 }, (_, at) => `${at}.png`);
  checkCodesPath("it.safetensors", many, true);
  assert.throws(() => checkCodesPath("it.safetensors", many, false), /at most 32768 images/);
  const long = Array.from({ length: 9000 }, (_, at) => `${"x".repeat(1000)}${at}.png`);
  assert.throws(() => checkCodesPath("it.safetensors", long, true), /at most 8388608 characters/);
  checkCodesPath("it.npy", long, true);
});

Deno.test("picture names are unique and stay inside the folder", () => {
  const part = fc.stringMatching(/^[ABab.]{1,3}$/).filter((text) => !/^\.+$/.test(text));
  const name = fc.array(part, { minLength: 1, maxLength: 2 }).map((parts) => parts.join("/"));
  fc.assert(fc.property(fc.uniqueArray(name, { minLength: 1 }), (names) => {
    let written: string[];
    try {
      written = pngNames(names, ["grid.png"]);
    } catch (error) {
      const folded = new Set(names.map((one) => one.toLowerCase()));
      assert.ok(folded.size < names.length, `${error}`);
      return;
    }
    const folded = written.map((one) => one.toLowerCase());
    assert.equal(new Set([...folded, "grid.png"]).size, names.length + 1);
    written.forEach((one, at) => {
      checkImageName(one, "test");
      assert.ok(one.endsWith(".png"));
      assert.equal(one.split("/").length, names[at].split("/").length);
    });
  }));
  assert.deepEqual(pngNames(["grid.jpg", "x/grid.jpg", ".a", "b"], ["grid.png"]), [
    "grid.jpg.png",
    "x/grid.png",
    ".a.png",
    "b.png",
  ]);
  assert.deepEqual(pngNames(["a.b", "a.c", "a.b.png"]), ["a.b.png", "a.c.png", "a.b.png.png"]);
  assert.deepEqual(pngNames(["a.", "a", "a.."]), ["a..png", "a.png", "a...png"]);
  assert.throws(() => pngNames(["a.b", "A.b"]), /must have a name of its own, got a\.b/i);
});
