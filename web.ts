/** Codebook in a browser: tensors, layers, quantisers and models on the devices `webgpu`, `cpu` and `reference`,
 * and checkpoints from bytes. Nothing here reads files, environments or processes.
 *
 * ```sh
 * deno bundle --platform browser --minify --outdir site main.ts     # or any bundler, from npx jsr add @codebook/codebook
 * ```
 *
 * ```ts
 * import { createQuantizer, openDevice, randomKey, uniform, VQVAE } from "@codebook/codebook/web";
 * using device = await openDevice("reference"); // or "auto": webgpu where the browser has a real GPU
 * const key = randomKey(42, "web");
 * const quantizer = createQuantizer(device, { type: "vanilla", codebookSize: 8, codebookDim: 4 }, key);
 * const model = new VQVAE(device, quantizer, { channels: 1, hidden: 8, residualHidden: 4, key });
 * const images = uniform(device, [1, 8, 8, 1], key, -1, 1);
 * const { reconstruction } = model.forward(images, { training: false, key });
 * console.log(reconstruction.shape);
 * ```
 *
 * `cpu` fetches its kernels, `core/cpu/kernels.wasm` of this package, from beside the bundle, and needs a browser with
 * shared memory. It has a thread per core where the page is cross-origin isolated: where its server sends
 * `Cross-Origin-Opener-Policy: same-origin` and `Cross-Origin-Embedder-Policy: require-corp`. Elsewhere it has one thread.
 *
 * @module
 */
export * from "./core/mod.ts";
export * from "./nn/mod.ts";
export * from "./quantizers/mod.ts";
export * from "./models/mod.ts";
export * from "./objectives/web.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type SafetensorsContents,
} from "./files/safetensors_bytes.ts";
