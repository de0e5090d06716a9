/** Report pages of runs.
 *
 * @module
 */
export * from "./run_report.ts";
export * from "./generator_report.ts";
export * from "./display_images.ts";
