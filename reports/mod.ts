/** Report pages of runs.
 *
 * @module
 */
export * from "./run_report.ts";
export * from "./generator_report.ts";
export * from "./display_images.ts";
export { type RunDevices } from "./settings_table.ts";
export { drawModelCard, type ModelCardOptions } from "./model_card.ts";
