/** Decodes images on separate threads, so that they are ready when the device needs them. */
import type { Worker } from "node:worker_threads";
import type { EncodedImage, ImageView, Placement } from "./encoded.ts";
import { startThread } from "./thread.ts";

/** A request to a worker. */
export interface DecodeJob {
  /** Its number. */
  readonly job: number;
  /** The image. */
  readonly image: EncodedImage;
  /** Which square of the image to crop. */
  readonly placement: Placement;
}

/** The answer of a worker: the bytes of `[size, size, 3]`, or an error. */
export type DecodeResult =
  | { readonly job: number; readonly pixels: Uint8Array<ArrayBuffer> }
  | { readonly job: number; readonly problem: string };

/** The result for an image: bytes of `[size, size, 3]`, or why it cannot be decoded. */
export type Decoded = Uint8Array<ArrayBuffer> | BrokenImage;

/** An image that cannot be decoded. */
export class BrokenImage {
  /** Records the image and the problem. */
  constructor(readonly name: string, readonly problem: string) {}
}

interface Waiting {
  readonly name: string;
  readonly worker: Worker;
  readonly settle: (decoded: Decoded) => void;
  readonly fail: (error: Error) => void;
}

/** Threads that decode images, all into squares of the same size. They start with the first image, and keep the process
 * alive only while images are being decoded.
 *
 * The result does not depend on the thread. Every thread holds one image at a time, of at most 128 MiB and 10⁸ pixels;
 * larger images count as broken. */
export class ImageDecoder {
  readonly #view: ImageView;
  readonly #threads: number;
  readonly #program: string;
  readonly #workers: Worker[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #jobs = 0;

  /** Does not start any threads yet.
   * @param threads the number of threads; null: one per core
   * @param program the address of the module that a thread runs
   */
  constructor(
    view: ImageView,
    threads: number | null,
    program: string = import.meta.resolve("./decode_worker.ts"),
  ) {
    this.#view = view;
    this.#program = program;
    this.#threads = threads ?? navigator.hardwareConcurrency;
  }

  /** Decodes images, each with its placement. The results are in the order of the images.
   * @throws {Error} a thread cannot run
   */
  async decode(
    images: readonly EncodedImage[],
    placements: readonly Placement[],
  ): Promise<Decoded[]> {
    while (this.#workers.length < Math.min(this.#threads, images.length)) this.#start();
    return await Promise.all(images.map((image, index) => this.#send(image, placements[index])));
  }

  /** Ends the threads. Images being decoded get no answer. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
  }

  #send(image: EncodedImage, placement: Placement): Promise<Decoded> {
    const job = this.#jobs++;
    const worker = this.#workers[job % this.#workers.length];
    if (this.#waiting.size === 0) { for (const each of this.#workers) each.ref(); }
    return new Promise((settle, fail) => {
      this.#waiting.set(job, { name: image.name, worker, settle, fail });
      worker.postMessage({ job, image, placement } satisfies DecodeJob);
    });
  }

  #start(): void {
    const worker = startThread(this.#program, { workerData: this.#view });
    worker.on("message", (result: DecodeResult) => this.#settle(result));
    worker.on(
      "error",
      (error: Error) =>
        this.#fail(worker, `the npm package sharp must run on this machine, got ${error.message}`),
    );
    worker.on("exit", (code) =>
      this.#fail(
        worker,
        `every decoding thread must keep running, got the end of thread ${worker.threadId} with code ${code}; if memory ran ` +
          "out, use fewer threads (--data.workers); --resume continues the run",
      ));
    if (this.#waiting.size === 0) worker.unref();
    this.#workers.push(worker);
  }

  #settle(result: DecodeResult): void {
    const { name, settle } = this.#waiting.get(result.job)!;
    this.#waiting.delete(result.job);
    if (this.#waiting.size === 0) { for (const each of this.#workers) each.unref(); }
    settle("pixels" in result ? result.pixels : new BrokenImage(name, result.problem));
  }

  /** A thread that ended will not answer any more. */
  #fail(worker: Worker, reason: string): void {
    const place = this.#workers.indexOf(worker);
    if (place >= 0) this.#workers.splice(place, 1);
    for (const [job, waiting] of this.#waiting) {
      if (waiting.worker !== worker) continue;
      this.#waiting.delete(job);
      waiting.fail(new Error(`Cannot decode images: ${reason}`));
    }
  }
}
