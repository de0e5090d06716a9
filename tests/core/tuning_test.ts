/** What was found out about an adapter is kept, and read again, or ignored with a word. */
import assert from "node:assert/strict";
import { cacheFolder } from "../../core/cache_folder.ts";
import { readTuning, writeTuning } from "../../core/webgpu/tuning.ts";

const ADAPTER = "Some GPU (Maker, 2)";
const CANDIDATES = ["64x64x16/4x4", "8x16"];

/** Runs a body with a cache folder of its own. */
async function withCache(body: () => Promise<void>): Promise<void> {
  const before = Deno.env.get("CODEBOOK_CACHE");
  const folder = await Deno.makeTempDir({ prefix: "codebook-" });
  Deno.env.set("CODEBOOK_CACHE", folder);
  try {
    await body();
  } finally {
    if (before === undefined) Deno.env.delete("CODEBOOK_CACHE");
    else Deno.env.set("CODEBOOK_CACHE", before);
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("tilings saved for an adapter are read for that adapter only", () =>
  withCache(async () => {
    assert.deepEqual(await readTuning(ADAPTER, CANDIDATES), {});
    const tilings = { matmul: "8x16", convolution: "64x64x16/4x4" };
    const path = await writeTuning(ADAPTER, tilings);
    assert.match(path, /tilings\/some-gpu-maker-2\.json$/);
    assert.deepEqual(await readTuning(ADAPTER, CANDIDATES), { tilings });
    assert.deepEqual(await readTuning("Another GPU", CANDIDATES), {});
  }));

Deno.test("a broken file, or one with an outdated tiling, is ignored with a message", () =>
  withCache(async () => {
    const path = await writeTuning(ADAPTER, { matmul: "8x16", convolution: "9x9" });
    const stale = await readTuning(ADAPTER, CANDIDATES);
    assert.equal(stale.tilings, undefined);
    assert.match(stale.complaint ?? "", /^ignored .*some-gpu.*tiling that this adapter does not/);
    for (const text of ["{", "null", "[]", "{}"]) {
      await Deno.writeTextFile(path, text);
      const broken = await readTuning(ADAPTER, CANDIDATES);
      assert.equal(broken.tilings, undefined, text);
      assert.match(broken.complaint ?? "", /^ignored .*run `deno task tune` to replace it$/, text);
    }
  }));

Deno.test("the cache folder follows the conventions of the operating system", () => {
  const on = (os: string, variables: Record<string, string>) =>
    cacheFolder((name) => variables[name], os);
  assert.equal(on("linux", { HOME: "/u" }), "/u/.cache/codebook");
  assert.equal(on("darwin", { HOME: "/u" }), "/u/Library/Caches/codebook");
  assert.equal(on("windows", { LOCALAPPDATA: "C:/local" }), "C:/local/codebook");
  assert.equal(on("linux", { HOME: "/u", XDG_CACHE_HOME: "/x" }), "/x/codebook");
  assert.equal(on("linux", { HOME: "/u", XDG_CACHE_HOME: "/x", CODEBOOK_CACHE: "/c" }), "/c");
  assert.equal(on("linux", {}), undefined);
});
