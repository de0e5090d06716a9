/** Codebook: vector-quantised representation learning on Deno, with WebGPU and WebAssembly compute cores.
 *
 * @module
 */
export * from "./core/mod.ts";
export * from "./files/mod.ts";
export { type Setting } from "./settings/settings.ts";
export * from "./nn/mod.ts";
export * from "./quantizers/mod.ts";
export * from "./models/mod.ts";
export * from "./metrics/mod.ts";
export * from "./data/mod.ts";
export * from "./objectives/mod.ts";
export * from "./training/mod.ts";
export * from "./reports/mod.ts";
export * from "./studies/mod.ts";
