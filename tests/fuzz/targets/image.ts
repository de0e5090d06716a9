/** Pictures as `evaluate --images` reads them; the decoder is native code. */
import { decodePair } from "../../../data/image_pairs.ts";
import { png } from "./png.ts";
import type { FuzzTarget } from "../target.ts";

const SIDE = 64;
/** Bytes that a pixel of a picture that is not refused may take: values of three channels, twice, and the decoder's. */
const BYTES_A_PIXEL = 48;
const MOST_PIXELS = 1e8;

const target: FuzzTarget = {
  name: "image",
  sample: () => png(undefined, SIDE, SIDE),
  make(draw) {
    // Small, or beyond the limit: those between take their pixels, which is slow and says nothing.
    const side = draw.chance(0.8) ? SIDE : draw.pick([512, 16_000, 65_535]);
    return png(draw, side, side > 512 ? 1 : side);
  },
  read: async (_, path) => await decodePair([path, path]),
  extra(file) {
    if (file.length < 24) return 0;
    const view = new DataView(file.buffer, file.byteOffset);
    const pixels = view.getUint32(16) * view.getUint32(20);
    return pixels <= MOST_PIXELS ? BYTES_A_PIXEL * pixels : 0;
  },
};
export default target;
