/** Opens the page in a browser that tests can control. */
import assert from "node:assert/strict";
import { type Browser, launch, type Page } from "puppeteer-core";
import { buildPage, servePage } from "../../tasks/page.ts";
import { findBrowser } from "../browser.ts";

/** How the page is opened. */
export interface VisitOptions {
  /** The query of the address, such as `?device=webgpu`. */
  readonly query?: string;
  /** Width of the window in pixels. */
  readonly width?: number;
  /** Flags of the browser. */
  readonly flags?: readonly string[];
  /** A script to run before those of the page. */
  readonly before?: string;
  /** Whether the server sends the headers that isolate the page, as `deno task page --serve` does. */
  readonly isolated?: boolean;
}

/** Serves what another server does with no header but the type, as any web server can. */
function servePlainly({ addr }: Deno.HttpServer<Deno.NetAddr>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "localhost", onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const { status, headers, body } = await fetch(`http://localhost:${addr.port}${pathname}`);
    return new Response(body, {
      status,
      headers: { "content-type": headers.get("content-type") ?? "text/plain" },
    });
  });
}

/** A local server with the built page, and the path of the browser. */
export class Site implements AsyncDisposable {
  readonly #browser: string;
  readonly #folder: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #plain: Deno.HttpServer<Deno.NetAddr>;

  private constructor(browser: string, folder: string) {
    this.#browser = browser;
    this.#folder = folder;
    this.#server = servePage(folder, { port: 0, hostname: "localhost", onListen() {} });
    this.#plain = servePlainly(this.#server);
  }

  /** Builds and serves the page, if there is a browser. */
  static async open(): Promise<Site | undefined> {
    const browser = await findBrowser();
    if (browser === undefined) return undefined;
    const folder = await Deno.makeTempDir({ prefix: "codebook-page-" });
    await buildPage(folder);
    const { stdout } = await new Deno.Command("which", { args: [browser] }).output();
    return new Site(new TextDecoder().decode(stdout).trim(), folder);
  }

  /** The folder of the built page. */
  get folder(): string {
    return this.#folder;
  }

  /** Opens the page and waits until its parts are ready or have failed. */
  async visit(
    { query = "", width = 1180, flags = [], before, isolated = true }: VisitOptions = {},
  ): Promise<Visit> {
    const browser = await launch({
      executablePath: this.#browser,
      args: ["--no-sandbox", "--disable-dev-shm-usage", ...flags],
      defaultViewport: { width, height: 900 },
    });
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const visit = new Visit(browser, page);
    if (before !== undefined) await page.evaluateOnNewDocument(before);
    const { addr } = isolated ? this.#server : this.#plain;
    await page.goto(`http://localhost:${addr.port}/${query}`);
    for (const part of ["draw", "collapse", "generate"]) {
      await page.waitForSelector(`#${part}:not([data-state="loading"])`);
    }
    return visit;
  }

  /** Stops serving and removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#plain.shutdown();
    await this.#server.shutdown();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** An open page. */
export class Visit implements AsyncDisposable {
  /** Errors in the console and uncaught exceptions. */
  readonly errors: string[] = [];

  constructor(readonly browser: Browser, readonly page: Page) {
    page.on("console", (message) => {
      if (message.type() === "error") this.errors.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  /** The text of an element. */
  async text(selector: string): Promise<string> {
    return await this.page.$eval(selector, (element) => element.textContent ?? "");
  }

  /** The texts of all such elements. */
  async texts(selector: string): Promise<readonly string[]> {
    return await this.page.$$eval(
      selector,
      (all) => all.map((element) => element.textContent ?? ""),
    );
  }

  /** The share of pixels in a canvas whose colour differs from the first pixel. */
  async marked(selector: string): Promise<number> {
    return await this.page.$eval(selector, (element) => {
      const canvas = element as unknown as HTMLCanvasElement;
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, width, height);
      const pixels = new Uint32Array(data.buffer);
      return pixels.filter((pixel) => pixel !== pixels[0]).length / pixels.length;
    });
  }

  /** The RGBA values of a canvas. */
  async pixels(selector: string): Promise<readonly number[]> {
    return await this.page.$eval(selector, (element) => {
      const canvas = element as unknown as HTMLCanvasElement;
      const { width, height } = canvas;
      return [...canvas.getContext("2d")!.getImageData(0, 0, width, height).data];
    });
  }

  /** Draws a stroke through points, given relative to the size of the drawing area. */
  async stroke(points: readonly (readonly [x: number, y: number])[]): Promise<void> {
    const pad = await this.page.waitForSelector("#pad");
    await pad!.scrollIntoView();
    const { x: left, y: top, width, height } = (await pad!.boundingBox())!;
    const { mouse } = this.page;
    for (const [at, [x, y]] of points.entries()) {
      await mouse.move(left + x * width, top + y * height, { steps: at === 0 ? 1 : 3 });
      if (at === 0) await mouse.down();
    }
    await mouse.up();
  }

  /** Waits until an expression is true in the page.
   * @throws {Error} the page shows an error instead
   */
  async until(expression: string): Promise<void> {
    const alert = `document.querySelector("section .alert:not([hidden])")?.textContent`;
    const found = await this.page.waitForFunction(`(${expression}) || ${alert}`, { polling: 50 });
    const value = await found.jsonValue();
    if (typeof value === "string") throw new Error(`The page shows an error: ${value}`);
  }

  /** Checks that nothing is wider than the window. */
  async checkWidth(): Promise<void> {
    const wide = await this.page.evaluate(() =>
      [...document.querySelectorAll("body *")]
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
        .map((element) => `${element.tagName} ${element.id} ${element.className}`)
    );
    assert.deepEqual(wide, []);
    assert.equal(
      await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
      0,
    );
  }

  /** Closes the browser. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close();
  }
}
