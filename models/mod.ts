/** The networks around a quantiser.
 *
 * @module
 */
export * from "./vqvae.ts";
