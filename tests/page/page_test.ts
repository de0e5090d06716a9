/** Uses every part of the page in a browser and checks what it shows. */
import assert from "node:assert/strict";
import { Site, type Visit } from "./visit_page.ts";

/** Limit for the whole page in bytes. */
const MOST_BYTES = 3_700_000;
/** Limit for the weights in bytes. */
const MOST_WEIGHTS = 3_000_000;

const site = await Site.open();
Deno.test.afterAll(async () => await site?.[Symbol.asyncDispose]());

const SEVEN = [[0.25, 0.25], [0.75, 0.25], [0.5, 0.8]] as const;

/** True once the current drawing has been encoded. */
const ENCODED = `document.querySelector("#draw-codes").ariaBusy === "false"`;

/** Draws a seven, replaces one of its codes and undoes that. */
async function drawAndChange(visit: Visit): Promise<void> {
  const { page } = visit;
  const codes = () => visit.texts("#draw-codes .codes > *");
  await page.click("#clear");
  await visit.stroke(SEVEN);
  await visit.until(ENCODED);
  const marked = await visit.marked("#pad");
  assert.ok(marked > 0.05 && marked < 0.4, `a share of ${marked} is drawn`);
  const drawn = await codes();
  assert.equal(drawn.length, 49);
  assert.ok(drawn.every((code) => Number(code) >= 0 && Number(code) < 512), drawn.join(" "));
  assert.ok(new Set(drawn).size > 10, "a digit is of many codes");
  const [, error] = (await visit.text("#draw-error")).match(/^error (\d\.\d+)$/)!;
  assert.ok(Number(error) < 0.15, `the seven is rebuilt, got an error of ${error}`);

  const before = await visit.pixels("#rebuilt");
  await page.click("#draw-codes .codes > :nth-child(11)");
  assert.match(await visit.text("#chosen"), new RegExp(`^Code ${drawn[10]}row 2, column 4$`));
  await visit.until(`document.querySelector("#any").value === "${drawn[10]}"`);
  const last = await visit.text("#palette button:last-child");
  await page.click("#palette button:last-child");
  await visit.until(`!document.querySelector("#undo").disabled`);
  assert.deepEqual(await codes(), drawn.with(10, last));
  const after = await visit.pixels("#rebuilt");
  assert.ok(after.some((value, at) => Math.abs(value - before[at]) > 20), "the picture changes");
  await page.click("#undo");
  await visit.until(`document.querySelector("#undo").disabled`);
  assert.deepEqual(await visit.pixels("#rebuilt"), before);
}

/** The number of codes in use on each side. */
async function used(visit: Visit): Promise<readonly number[]> {
  return (await visit.texts(".used")).map(Number);
}

/** Makes the first training step, and gives what the page shows of it. */
async function firstStep(visit: Visit): Promise<unknown> {
  assert.equal(await visit.text("#steps"), "0");
  await visit.page.click("#step");
  await visit.until(`document.querySelector("#steps").value === "1"`);
  const digits = ["left", "right"].map((side) => visit.pixels(`#${side} .strip canvas:last-child`));
  return [await used(visit), await visit.texts(".error"), await Promise.all(digits)];
}

/** Generates a digit and returns its codes. */
async function generate(visit: Visit, digit: string): Promise<readonly string[]> {
  const { page } = visit;
  const before = (await page.$$("#gallery button")).length;
  await page.select("#class", digit);
  await page.click("#sample");
  await visit.until(`document.querySelectorAll("#gallery button").length === ${before + 1}`);
  const codes = await visit.texts("#sample-codes .codes > *");
  assert.ok(codes.every((code) => /^\d+$/.test(code)), codes.join(" "));
  assert.match(await visit.text("#drawn"), /^49 of 49$/);
  const bits = parseInt(await visit.text("#note"));
  assert.ok(bits > 20 && bits < 400, `${bits} bits`);
  assert.ok((await page.$$("#guesses .drawn")).length <= 1);
  return codes;
}

/** Starts an eight by diffusion, and gives its picture after the first step. */
async function firstGuess(visit: Visit, seed: string): Promise<readonly number[]> {
  const { page } = visit;
  await page.select("#by", "diffusion");
  await page.select("#class", "8");
  await page.$eval("#seed", (input, seed) => {
    (input as unknown as HTMLInputElement).value = seed;
    input.dispatchEvent(new Event("change"));
  }, seed);
  await visit.until(`document.querySelector("#drawn").textContent === "step 0 of 20"`);
  assert.equal(await visit.marked("#film canvas"), 0);
  await page.click("#one-step");
  await visit.until(`document.querySelector("#drawn").textContent === "step 1 of 20"`);
  assert.match(await visit.text("#note"), /^\d+ % noise left$/);
  assert.equal(await visit.text("#sample"), "Continue");
  return await visit.pixels("#film canvas");
}

/** Makes the remaining steps, with a pause, and gives the picture after each. */
async function denoise(visit: Visit): Promise<readonly (readonly number[])[]> {
  const { page } = visit;
  const before = (await page.$$("#gallery button")).length;
  await page.click("#sample");
  await visit.until(`parseInt(document.querySelector("#drawn").textContent.slice(5)) >= 3`);
  assert.equal(await visit.text("#sample"), "Pause");
  await page.click("#sample");
  assert.equal(await visit.text("#sample"), "Continue");
  await page.click("#sample");
  await visit.until(`document.querySelectorAll("#gallery button").length === ${before + 1}`);
  assert.equal(await visit.text("#drawn"), "step 20 of 20");
  assert.equal(await visit.text("#note"), "0 % noise left");
  const codes = await visit.texts("#sample-codes .codes > *");
  assert.ok(codes.every((code) => /^\d+$/.test(code)), codes.join(" "));
  const frames = Array.from({ length: 20 }, (_, at) => `#film canvas:nth-child(${at + 1})`);
  const pictures = await Promise.all(frames.map((frame) => visit.pixels(frame)));
  assert.deepEqual(pictures.at(-1), await visit.pixels("#sampled"));
  return pictures;
}

/** The mean absolute difference of two images. */
function difference(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, at) => sum + Math.abs(value - b[at]), 0) / a.length;
}

if (site !== undefined) {
  Deno.test("the page and its weights are small", async () => {
    let bytes = 0, weights = 0;
    for await (const { name } of Deno.readDir(site.folder)) {
      const { size } = await Deno.stat(`${site.folder}/${name}`);
      bytes += size;
      if (name.endsWith(".safetensors")) weights += size;
    }
    console.log(
      `the page: ${(bytes / 1e6).toFixed(2)} MB, ${(weights / 1e6).toFixed(2)} of weights`,
    );
    assert.ok(bytes < MOST_BYTES && weights < MOST_WEIGHTS, `${bytes} bytes`);
  });

  Deno.test("on a phone without WebGPU everything works on the CPU, and nothing is too wide", async () => {
    const before = `delete Navigator.prototype.gpu;
      Object.defineProperty(Navigator.prototype, "hardwareConcurrency", { get: () => 2 })`;
    await using visit = await site.visit({ width: 375, before });
    const { page } = visit;
    assert.equal(
      await visit.text("#device"),
      "WebGPU is not available. Computing on the CPU, with WebAssembly SIMD on 2 threads.",
    );
    await visit.checkWidth();
    await drawAndChange(visit);

    for (const side of ["left", "right"]) assert.ok(await visit.marked(`#${side} .arena`) > 0.01);
    const shown = await firstStep(visit);
    await page.click("#train");
    await visit.until(`Number(document.querySelector("#steps").value) >= 160`);
    await page.click("#train");
    const [vanilla, clustered] = await used(visit);
    assert.ok(vanilla <= 24, `vanilla collapses, got ${vanilla} of 128 codes`);
    assert.ok(clustered >= 90, `clustered does not, got ${clustered} of 128 codes`);
    const [left, right] = (await visit.texts(".error")).map(Number);
    assert.ok(right < 0.8 * left && left < 0.5, `errors of ${left} and ${right}`);
    for (const curve of ["usage", "error"]) assert.ok(await visit.marked(`#${curve}-curve`) > 0.01);
    for (const side of ["left", "right"]) {
      assert.ok(await visit.marked(`#${side} .strip canvas:last-child`) > 0.2);
    }
    await page.click("#restart");
    await visit.until(`document.querySelector("#steps").value === "0"`);

    const codes = await generate(visit, "3");
    assert.ok(new Set(codes).size > 10, "a digit is of many codes");
    assert.ok(await visit.marked("#sampled") > 0.2);
    assert.notDeepEqual(await generate(visit, "3"), codes, "no two are the same");
    await visit.checkWidth();

    const guess = await firstGuess(visit, "7"), steps = await denoise(visit);
    assert.deepEqual(steps[0], guess);
    assert.ok(difference(guess, steps[19]) > 2 * difference(steps[9], steps[19]), "it settles");
    assert.deepEqual(await firstGuess(visit, "7"), guess, "a seed makes one picture");
    assert.ok(difference(await firstGuess(visit, "8"), guess) > 5, "another makes another");
    await visit.checkWidth();
    assert.deepEqual(visit.errors, []);

    await using plain = await site.visit({ width: 375, before, isolated: false });
    assert.match(await plain.text("#device"), /on the CPU, with WebAssembly SIMD on 1 thread\.$/);
    assert.deepEqual(await firstStep(plain), shown, "one thread computes the same");
    assert.deepEqual(plain.errors, []);
  });

  Deno.test("with WebGPU every part works with the keyboard alone", async () => {
    const flags = [
      ...["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
      "--disable-gpu-watchdog", // On a busy machine, compiling the shaders takes longer than it allows.
    ];
    await using visit = await site.visit({ query: "?device=webgpu", flags });
    const { page } = visit, { keyboard } = page;
    assert.match(await visit.text("#device"), /^Computing with WebGPU on .*swiftshader/i);
    await page.focus("#clear");
    await keyboard.press("Enter");
    await page.focus("#pad");
    await keyboard.press("Space");
    for (let step = 0; step < 8; step++) await keyboard.press("ArrowDown");
    await keyboard.press("Space");
    await visit.until(ENCODED);
    const error = (await visit.text("#draw-error")).slice("error ".length);
    assert.ok(Number(error) < 0.1, `the stroke is rebuilt, got an error of ${error}`);
    assert.ok(await visit.marked("#pad") > 0.02);
    assert.ok(await visit.marked("#rebuilt") > 0.2);

    await page.focus("#draw-codes .codes > [tabindex='0']");
    await keyboard.press("ArrowRight");
    await keyboard.press("ArrowDown");
    await keyboard.press("Enter");
    assert.match(await visit.text("#chosen"), /row 5, column 5$/);
    const cell = "#draw-codes .codes > :nth-child(33)", code = await visit.text(cell);
    await visit.until(`document.querySelector("#any").value === "${code}"`);
    await page.focus("#any");
    await keyboard.down("Control");
    await keyboard.press("a");
    await keyboard.up("Control");
    await keyboard.type("3");
    await keyboard.press("Enter");
    await visit.until(`!document.querySelector("#undo").disabled`);
    assert.equal(await visit.text(cell), "3");

    for (let step = 1; step <= 2; step++) {
      await page.focus("#step");
      await keyboard.press("Enter");
      await visit.until(`document.querySelector("#steps").value === "${step}"`);
    }
    const errors = (await visit.texts(".error")).map(Number);
    assert.ok(errors.every((error) => error > 0.3 && error < 1.5), `errors of ${errors}`);

    await page.focus("#sample");
    await keyboard.press("Enter");
    await visit.until(`document.querySelectorAll("#gallery button").length === 1`);
    assert.ok(await visit.marked("#sampled") > 0.2);

    await page.focus("#by");
    await keyboard.press("ArrowDown");
    await visit.until(`document.querySelector("#drawn").textContent === "step 0 of 20"`);
    for (let step = 1; step <= 2; step++) {
      await page.focus("#one-step");
      await keyboard.press("Enter");
      await visit.until(`document.querySelector("#drawn").textContent === "step ${step} of 20"`);
    }
    assert.ok(await visit.marked("#film canvas:nth-child(2)") > 0.2);
    await page.focus("#discard");
    await keyboard.press("Enter");
    await visit.until(`document.querySelector("#drawn").textContent === "step 0 of 20"`);
    assert.deepEqual(visit.errors, []);
  });

  Deno.test("a loading error is shown in its part, and loading can be retried", async () => {
    const path = `${site.folder}/transformer.safetensors`;
    await Deno.rename(path, `${path}.away`);
    await using visit = await site.visit();
    try {
      assert.match(
        await visit.text("#generate > .alert"),
        /^This did not work: transformer.safetensors cannot be fetched: the server answers 404/,
      );
      assert.equal(
        await visit.page.$eval("#draw", (part) => part.getAttribute("data-state")),
        "ready",
      );
    } finally {
      await Deno.rename(`${path}.away`, path);
    }
    await visit.page.click("#generate > .alert button");
    await visit.page.waitForSelector(`#generate[data-state="ready"]`);
    assert.match(await visit.text("#guesses li:first-child b"), /^\d+$/);
  });
}
