/** Opens the project's page in a browser that a test can use. */
import assert from "node:assert/strict";
import { type Browser, launch, type Page } from "puppeteer-core";
import { buildPage, servePage } from "../../tasks/page.ts";
import { findBrowser } from "../browser.ts";

/** How the page is opened. */
export interface VisitOptions {
  /** What follows the address: `?device=webgpu`. */
  readonly query?: string;
  /** The window's width in pixels. */
  readonly width?: number;
  /** Flags of the browser. */
  readonly flags?: readonly string[];
  /** Runs in the page before its own program. */
  readonly before?: string;
  /** Whether the page's parts are waited for; they are. */
  readonly waits?: boolean;
}

/** The page's files on a server of this machine, and the browser that visits them. */
export class Site implements AsyncDisposable {
  readonly #browser: string;
  readonly #folder: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  private constructor(browser: string, folder: string) {
    this.#browser = browser;
    this.#folder = folder;
    this.#server = servePage(folder, { port: 0, hostname: "localhost", onListen() {} });
  }

  /** Builds the page and serves it; none where there is no browser. */
  static async open(): Promise<Site | undefined> {
    const browser = await findBrowser();
    if (browser === undefined) return undefined;
    const folder = await Deno.makeTempDir({ prefix: "codebook-page-" });
    await buildPage(folder);
    return new Site(browser, folder);
  }

  /** Where the files lie. */
  get folder(): string {
    return this.#folder;
  }

  /** Opens the page and waits until its parts are ready. */
  async visit(
    { query = "", width = 1180, flags = [], before, waits = true }: VisitOptions = {},
  ): Promise<Visit> {
    const browser = await launch({
      executablePath: `/usr/bin/${this.#browser}`,
      args: ["--no-sandbox", "--disable-dev-shm-usage", ...flags],
      defaultViewport: { width, height: 900 },
    });
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const visit = new Visit(browser, page);
    if (before !== undefined) await page.evaluateOnNewDocument(before);
    await page.goto(`http://localhost:${this.#server.addr.port}/${query}`);
    if (waits) {
      for (const part of ["draw", "collapse", "generate"]) {
        await page.waitForSelector(`#${part}:not([data-state="loading"])`);
      }
    }
    return visit;
  }

  /** Stops serving and removes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** An open page. */
export class Visit implements AsyncDisposable {
  /** What the page has complained of. */
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

  /** The share of a canvas's pixels that are not of its first pixel's colour. */
  async marked(selector: string): Promise<number> {
    return await this.page.$eval(selector, (element) => {
      const canvas = element as unknown as HTMLCanvasElement;
      const { width, height } = canvas;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, width, height);
      const pixels = new Uint32Array(data.buffer);
      return pixels.filter((pixel) => pixel !== pixels[0]).length / pixels.length;
    });
  }

  /** The values of a canvas's pixels. */
  async pixels(selector: string): Promise<readonly number[]> {
    return await this.page.$eval(selector, (element) => {
      const canvas = element as unknown as HTMLCanvasElement;
      const { width, height } = canvas;
      return [...canvas.getContext("2d")!.getImageData(0, 0, width, height).data];
    });
  }

  /** Draws a stroke in the drawing area, through points in shares of its sides. */
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

  /** Waits until something holds in the page. */
  async until(expression: string): Promise<void> {
    await this.page.waitForFunction(expression, { polling: 50 });
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
