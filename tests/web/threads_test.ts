/** Threads of the device `cpu` in a browser: where they run, and that they change no result. */
import assert from "node:assert/strict";
import { launch } from "puppeteer-core";
import { findBrowser } from "../browser.ts";
import { operationCases } from "../core/operation_cases.ts";
import { answerWith, buildProgram } from "./bundles.ts";
import type { Computed } from "./program.ts";

const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

const PROGRAM = "threads_page";

const name = await findBrowser();

if (name !== undefined) {
  const { stdout } = await new Deno.Command("which", { args: [name] }).output();
  const executablePath = new TextDecoder().decode(stdout).trim();
  const folder = await Deno.makeTempDir({ prefix: "codebook-web-threads-" });
  const browser = await launch({ executablePath, args: ["--no-sandbox"] });
  Deno.test.afterAll(async () => {
    await browser.close();
    await Deno.remove(folder, { recursive: true });
  });
  await buildProgram(PROGRAM, folder);

  /** Opens the page with these headers. */
  const open = async (headers: Readonly<Record<string, string>>) => {
    const server = Deno.serve({ port: 0, onListen() {} }, async (request) => {
      return await answerWith(PROGRAM, folder, new URL(request.url).pathname, headers);
    });
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(`http://localhost:${server.addr.port}/`, { waitUntil: "load" });
    return {
      page,
      [Symbol.asyncDispose]: async () => {
        await page.close();
        await server.shutdown();
      },
    };
  };

  Deno.test("in an isolated page, two threads give the same bits as one", async () => {
    await using visit = await open(ISOLATED);
    const { page } = visit;
    const [one, two] = [
      await page.evaluate("train(1)") as Computed,
      await page.evaluate("train(2)") as Computed,
    ];
    assert.equal(one.device, "cpu: WebAssembly SIMD on 1 thread");
    assert.deepEqual(two, { ...one, device: "cpu: WebAssembly SIMD on 2 threads" });
    const { names, different } = await page.evaluate("compare(2)") as Readonly<
      Record<"names" | "different", readonly string[]>
    >;
    assert.deepEqual(different, []);
    assert.deepEqual(names, Object.keys(operationCases));
  });

  Deno.test("in an isolated page there is a thread per core, and they end with the device", async () => {
    await using visit = await open(ISOLATED);
    const { page } = visit;
    let started = 0, ended = 0;
    page.on("workercreated", () => started++);
    page.on("workerdestroyed", () => ended++);
    await page.evaluate(
      `Object.defineProperty(navigator, "hardwareConcurrency", { get: () => 3 })`,
    );
    const description = await page.evaluate("describe()");
    assert.equal(description, "cpu: WebAssembly SIMD on 3 threads");
    const deadline = AbortSignal.timeout(60_000);
    while (ended < 2 && !deadline.aborted) await new Promise((done) => setTimeout(done, 10));
    assert.deepEqual([started, ended], [2, 2]);
  });

  Deno.test("in an isolated page a kernel that traps throws, all later kernels throw, and nothing hangs", async () => {
    await using visit = await open(ISOLATED);
    for (let times = 0; times < 5; times++) { // The main thread's task or the worker's.
      assert.deepEqual(await visit.page.evaluate("trap()"), ["ran", "trapped", "trapped"]);
    }
  });

  Deno.test("a page that is not isolated has one thread, and an error says what more threads need", async () => {
    await using visit = await open({});
    const { page } = visit;
    assert.equal(await page.evaluate("describe()"), "cpu: WebAssembly SIMD on 1 thread");
    assert.equal(
      await page.evaluate("describe(2)"),
      "RangeError: Cannot open the cpu device: threads must be 1 in a page that is not cross-origin isolated " +
        "(by the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp), got 2",
    );
  });

  Deno.test("if a page's policy forbids the workers, an error says what to allow", async () => {
    const policy = "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' 'unsafe-eval'";
    await using visit = await open({ ...ISOLATED, "content-security-policy": policy });
    assert.match(
      String(await visit.page.evaluate("describe(2)")),
      /^Error: Cannot run on the cpu device: thread 1 must live .*Content-Security-Policy must allow worker-src blob:/,
    );
    assert.equal(
      await visit.page.evaluate("describe(1)"),
      "cpu: WebAssembly SIMD on 1 thread",
    );
  });
}
