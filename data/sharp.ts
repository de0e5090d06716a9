/** The image decoder: native code of the npm package `sharp` (37 MB). `image_pairs.ts` loads this module on demand. */
export { default as sharp } from "sharp";
