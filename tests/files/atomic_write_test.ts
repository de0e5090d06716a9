/** Files that are replaced in one step. */
import assert from "node:assert/strict";
import { PARTIAL_SUFFIX, writeAtomically } from "../../files/atomic_write.ts";

/** Runs `body` in a folder of its own. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "codebook-atomic-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const namesIn = (folder: string): string[] =>
  Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();

Deno.test("a file is written completely, and no other file remains", () =>
  inFolder(async (folder) => {
    const path = `${folder}/file`;
    await writeAtomically(path, Uint8Array.of(1, 2, 3));
    assert.deepEqual(await Deno.readFile(path), Uint8Array.of(1, 2, 3));
    await writeAtomically(path, "ünï");
    assert.equal(await Deno.readTextFile(path), "ünï");
    await writeAtomically(path, new Uint8Array());
    assert.equal((await Deno.stat(path)).size, 0);
    assert.deepEqual(namesIn(folder), ["file"]);
  }));

Deno.test("a failed write reports the reason and keeps the old file", () =>
  inFolder(async (folder) => {
    await assert.rejects(() => writeAtomically(`${folder}/missing/file`, "x"), {
      name: "Error",
      message: /^Cannot write .*missing\/file: the folder must exist and be writable, got ENOENT/,
    });
    await Deno.mkdir(`${folder}/taken`);
    await Deno.writeTextFile(`${folder}/taken/inside`, "old");
    await assert.rejects(() => writeAtomically(`${folder}/taken`, "x"), /^Error: Cannot write/);
    assert.deepEqual(namesIn(folder), ["taken"], "nothing partial stays behind");
    assert.equal(await Deno.readTextFile(`${folder}/taken/inside`), "old");
  }));

Deno.test("concurrent writers leave one complete file", () =>
  inFolder(async (folder) => {
    const path = `${folder}/file`;
    const contents = Array.from({ length: 8 }, (_, writer) => `${writer}`.repeat(100_000));
    await Promise.all(contents.map((text) => writeAtomically(path, text)));
    assert.ok(contents.includes(await Deno.readTextFile(path)));
    assert.deepEqual(namesIn(folder), ["file"]);
  }));

Deno.test("during replacement, a reader sees the old or the new file", () =>
  inFolder(async (folder) => {
    const path = `${folder}/file`;
    await writeAtomically(path, "0".repeat(100_000));
    let writing = true;
    const writer = (async () => {
      for (let turn = 1; turn < 20; turn++) {
        await writeAtomically(path, `${turn % 10}`.repeat(100_000));
      }
      writing = false;
    })();
    while (writing) {
      const text = await Deno.readTextFile(path);
      assert.ok(text.length === 100_000 && text === text[0].repeat(100_000), "a torn file");
    }
    await writer;
  }));

Deno.test("a kill at any moment leaves the old or the new file", () =>
  inFolder(async (folder) => {
    const path = `${folder}/file`, bytes = 2_000_000;
    const writer = new URL("../../files/atomic_write.ts", import.meta.url).href;
    const script = `
      import { writeAtomically } from "${writer}";
      for (let turn = 0; ; turn++) {
        await writeAtomically(${JSON.stringify(path)}, new Uint8Array(${bytes}).fill(turn % 256));
      }`;
    await writeAtomically(path, new Uint8Array(bytes));
    for (const delay of [3, 11, 27]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["eval", script],
        stdout: "null",
        stderr: "null",
      }).spawn();
      const started = Date.now();
      const before = (await Deno.stat(path)).mtime?.getTime();
      while ((await Deno.stat(path)).mtime?.getTime() === before) {
        assert.ok(Date.now() - started < 60_000, "the writer must start");
        await new Promise((done) => setTimeout(done, 5));
      }
      await new Promise((done) => setTimeout(done, delay));
      child.kill("SIGKILL");
      await child.status;
      const found = await Deno.readFile(path);
      assert.equal(found.length, bytes);
      assert.ok(found.every((byte) => byte === found[0]), "a torn file");
      for (const name of namesIn(folder)) {
        assert.ok(name === "file" || name.endsWith(PARTIAL_SUFFIX), `left behind: ${name}`);
      }
    }
  }));
