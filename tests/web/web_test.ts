/** The browser's entry: how large it is, and that a browser computes what Deno computes. */
import assert from "node:assert/strict";
import { findBrowser, visit } from "../browser.ts";
import { operationCases } from "../core/operation_cases.ts";
import { answerWith, buildProgram, bundle } from "./bundles.ts";
import { FOLDING_ROWS, OTHER_ROWS } from "./gpu_rows.ts";
import type { Pass } from "./passes.ts";
import { compute, type Computed, trainCheckpoint } from "./program.ts";

/** How far the numbers of a browser may be from those of the device `reference` in Deno: nothing on the same device, whose
 * numbers are JavaScript's; else what float32 sums in another order differ by. */
const TOLERANCE: Readonly<Record<string, number>> = { reference: 0, cpu: 1e-5, webgpu: 1e-5 };

/** The most bytes that the whole entry may have, minified, every device included. */
const MOST_BYTES = 410_000;

const folder = await Deno.makeTempDir({ prefix: "codebook-web-" });
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

Deno.test("the bundle of the whole web entry point is limited in size", async () => {
  const bytes = await bundle("web.ts", `${folder}/entry`);
  console.log(`web.ts, minified: ${(bytes / 1000).toFixed(0)} kB`);
  assert.ok(bytes < MOST_BYTES, `at most ${MOST_BYTES} bytes, got ${bytes}`);
});

function close(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  assert.equal(actual.length, expected.length);
  const furthest = Math.max(...actual.map((value, at) => Math.abs(value - expected[at])));
  assert.ok(furthest <= tolerance, `at most ${tolerance} apart, got ${furthest}`);
}

/** Fails unless the operations passed with subgroups, if the browser's adapter has them, and without. */
function assertPasses(answer: unknown, operations: readonly string[]): void {
  const [first, ...others] = answer as readonly Pass[];
  console.log([first, ...others].map(({ device }) => `operations on ${device}`).join("\n"));
  assert.deepEqual([first, ...others].flatMap(({ failures }) => failures), []);
  assert.deepEqual([...first.checked].sort(), [...operations].sort());
  if (!first.subgroups) {
    console.log(`MISSING subgroups on ${first.device}, shaders that use them are not tested`);
    return;
  }
  assert.deepEqual(others.map(({ subgroups }) => subgroups), [false]);
  assert.ok(others[0].checked.length > 0);
}

/** Opens the page of a program of this folder in a browser, and gives what the program sends back. */
async function inBrowser(
  browser: string,
  program: string,
  checkpoint?: Uint8Array<ArrayBuffer>,
): Promise<unknown> {
  const out = `${folder}/${program}`;
  await buildProgram(program, out);
  const { promise, resolve } = Promise.withResolvers<string>();
  await using server = Deno.serve({ port: 0, onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (pathname === "/checkpoint.safetensors") return new Response(checkpoint);
    if (pathname === "/result") {
      resolve(await request.text());
      return new Response();
    }
    return await answerWith(program, out, pathname);
  });
  const flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
  const page = `http://localhost:${server.addr.port}/`;
  return JSON.parse(await visit(browser, page, flags, promise));
}

const browser = await findBrowser();

if (browser !== undefined) {
  const checkpoint = await trainCheckpoint();
  const { results } = await inBrowser(browser, "page", checkpoint) as {
    readonly results: Readonly<Record<string, Computed>>;
  };
  const deno = await compute("reference", checkpoint);
  for (const name of ["reference", "cpu", "webgpu"]) {
    Deno.test(`in a browser on ${name}, a training step and a checkpoint give the same numbers as in Deno`, () => {
      const found = results[name];
      assert.ok(!("failure" in found), JSON.stringify(found));
      assert.ok(found.device.startsWith(name), found.device);
      assert.ok(deno.losses[1] < deno.losses[0]);
      close(found.losses, deno.losses, TOLERANCE[name]);
      close(found.gradients, deno.gradients, TOLERANCE[name]);
      close([found.mse], [deno.mse], TOLERANCE[name]);
      assert.deepEqual(found.indices, deno.indices);
      assert.ok(new Set(found.indices).size > 1, "several codes are chosen");
      assert.equal(found.left, 0, "bytes in use after a step");
    });
  }

  Deno.test("every operation agrees with the reference in a browser on webgpu, forward and backward", async () => {
    assertPasses(await inBrowser(browser, "operations_page"), Object.keys(operationCases));
  });

  Deno.test("the shaders of real GPUs agree with the reference in a browser", async () => {
    const operations = Object.keys({ ...FOLDING_ROWS, ...OTHER_ROWS });
    assertPasses(await inBrowser(browser, "gpu_page"), operations);
  });
}
