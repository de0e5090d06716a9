/** Records the animated picture of the page for the README.
 *
 *     deno run -A tests/page/animate.ts docs/images/page.gif
 */
import sharp from "sharp";
import { writeAtomically } from "../../files/atomic_write.ts";
import { Site, type Visit } from "./visit_page.ts";

/** Size of the window and width of the picture, in pixels. */
const WINDOW = { width: 900, height: 740 }, WIDTH = 640;

/** A three in one stroke, relative to the size of the drawing area. */
const THREE = [
  ...[[0.28, 0.24], [0.38, 0.17], [0.52, 0.15], [0.64, 0.2], [0.67, 0.3], [0.6, 0.41], [
    0.47,
    0.46,
  ]],
  ...[[0.6, 0.5], [0.7, 0.6], [0.69, 0.73], [0.58, 0.83], [0.43, 0.85], [0.29, 0.78]],
] as const;
/** The codes to replace, by position, and the index of each replacement on offer. */
const CHANGES = [[10, 14], [17, 13], [24, 12]] as const;
/** Number of training steps. */
const STEPS = 300;

/** Frames and their durations in milliseconds. */
class Film {
  readonly frames: Uint8Array[] = [];
  readonly delays: number[] = [];
  readonly #visit: Visit;

  constructor(visit: Visit) {
    this.#visit = visit;
  }

  /** Scrolls to a part of the page. */
  async turnTo(part: string): Promise<void> {
    await this.#visit.page.evaluate((id) => {
      document.documentElement.style.scrollBehavior = "auto";
      const section = document.getElementById(id)!;
      scrollTo(0, section.getBoundingClientRect().top + scrollY + 12);
    }, part);
  }

  /** Records a frame. */
  async take(delay: number): Promise<void> {
    this.frames.push(await this.#visit.page.screenshot());
    this.delays.push(delay);
  }

  /** Encodes the frames as an animated GIF. */
  async gif(): Promise<Uint8Array> {
    const frames = await Promise.all(
      this.frames.map((frame) => sharp(frame).resize(WIDTH).removeAlpha().png().toBuffer()),
    );
    return await sharp(frames, { join: { animated: true } })
      .gif({ delay: this.delays, loop: 0, dither: 0, colours: 64, interFrameMaxError: 6 })
      .toBuffer();
  }
}

async function draw(visit: Visit, film: Film): Promise<void> {
  const { page } = visit, pause = () => new Promise((resolve) => setTimeout(resolve, 400));
  await page.click("#clear");
  await film.turnTo("draw");
  await pause();
  await film.take(500);
  for (let points = 2; points <= THREE.length; points++) {
    await visit.stroke(THREE.slice(points - 2, points));
    await film.turnTo("draw");
    await pause();
    await film.take(100);
  }
  await film.take(1200);
  for (const [place, offered] of CHANGES) {
    await page.click(`#draw-codes .codes > :nth-child(${place + 1})`);
    await pause();
    await film.take(700);
    await page.click(`#palette button:nth-child(${offered + 1})`);
    await pause();
    await film.take(900);
  }
}

async function collapse(visit: Visit, film: Film): Promise<void> {
  const { page } = visit;
  await film.turnTo("collapse");
  await film.take(900);
  for (let step = 1; step <= STEPS; step++) {
    await page.click("#step");
    await visit.until(`Number(document.querySelector("#steps").value) === ${step}`);
    if (step % 20 === 0) await film.take(200);
  }
  await film.take(2500);
}

async function generate(visit: Visit, film: Film): Promise<void> {
  const { page } = visit;
  await film.turnTo("generate");
  await page.select("#class", "3");
  await page.evaluate(() => {
    // A screenshot takes longer than a code, so the page must wait for each frame.
    const waiting: FrameRequestCallback[] = [];
    globalThis.requestAnimationFrame = (callback) => waiting.push(callback);
    Object.assign(globalThis, { nextFrame: () => waiting.shift()?.(performance.now()) });
  });
  await page.click("#sample");
  for (let drawn = 1; drawn <= 49; drawn++) {
    await visit.until(`document.querySelector("#drawn").textContent === "${drawn} of 49"`);
    if (drawn % 2 === 1) await film.take(110);
    await page.evaluate("nextFrame()");
  }
  await film.take(1500);
  await page.select("#by", "diffusion");
  for (let step = 1; step <= 20; step++) {
    await page.click("#one-step");
    await visit.until(`document.querySelector("#drawn").textContent === "step ${step} of 20"`);
    await film.take(step === 20 ? 2500 : 110);
  }
}

const [path] = Deno.args;
await using site = await Site.open();
if (path === undefined || site === undefined) {
  console.error("Cannot make the picture: a file for it and a browser must be there");
  Deno.exit(2);
}
await using visit = await site.visit();
await visit.page.setViewport(WINDOW);
const film = new Film(visit);
for (const act of [draw, collapse, generate]) {
  await act(visit, film);
  console.log(`${act.name}: ${film.frames.length} frames so far`);
}
const gif = await film.gif();
await writeAtomically(path, gif);
console.log(`${path}: ${(gif.length / 1000).toFixed(0)} kB`);
