/** safetensors: headers that lie about names, shapes and ranges, repeat and nest. */
import { readSafetensors } from "../../../files/safetensors.ts";
import { joined, little, text } from "../build.ts";
import { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

function make(draw: Draw): Uint8Array<ArrayBuffer> {
  let end = 0;
  const entries = Array.from({ length: draw.chance(0.05) ? 40_000 : draw.repeats() }, (_, at) => {
    const length = draw.pick([0, 0, 1, 6]);
    const name = draw.chance(0.99)
      ? `t${at}`
      : draw.chance(0.5)
      ? "t0"
      : "n".repeat(draw.repeats());
    const start = end;
    end += 4 * length;
    const axes = draw.chance(0.01) ? `${"1,".repeat(draw.repeats())}` : "";
    const extra = draw.chance(0.01)
      ? `,"x":${"[".repeat(draw.repeats())}`
      : draw.chance(0.01)
      ? ',"dtype":"F32"'
      : "";
    return `"${name}":{"dtype":"${draw.chance(0.99) ? "F32" : "F64"}","shape":[${axes}${
      draw.lie(length)
    }],"data_offsets":[${draw.lie(start)},${draw.lie(end)}]${extra}}`;
  });
  if (draw.chance(0.2)) {
    const texts = Array.from({ length: draw.repeats() }, (_, at) => `"m${at}":"${draw.name()}"`);
    entries.unshift(`"__metadata__":{${texts}}`);
  }
  if (draw.chance(0.05)) entries.push(`"x":[${"{},".repeat(draw.repeats())}{}]`);
  const header = text(`{${entries.join(",")}}`);
  return joined([
    little(draw.lie(header.length), 8),
    header,
    new Uint8Array(draw.lie(end, 2 ** 20)),
  ]);
}

const target: FuzzTarget = {
  name: "safetensors",
  sample: () => make(new Draw("safetensors sample", 0)),
  make,
  read: async (_, path) => await readSafetensors(path),
};
export default target;
