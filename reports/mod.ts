/** The pages that show runs.
 *
 * @module
 */
export * from "./run_report.ts";
