/** PyTorch's files in both forms: tensors that lie about their storages, long and repeated names, shared dictionaries. */
import { decodePyTorch } from "../../../files/pytorch_file.ts";
import { joined, latin, little } from "../build.ts";
import { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";
import { pickledText, sharedDictionaries } from "./pickle.ts";
import { zip, type ZipEntry } from "./zip.ts";

const TYPES: readonly (readonly [string, number])[] = [
  ["FloatStorage", 4],
  ["DoubleStorage", 8],
  ["HalfStorage", 2],
  ["BFloat16Storage", 2],
  ["IntStorage", 4],
  ["LongStorage", 8],
];

const word = (value: number) => String.fromCharCode(...little(value, 4));
const whole = (value: number) => `J${word(Math.min(value, 0x7fffffff))}`;

interface Storage {
  readonly key: string;
  readonly type: string;
  readonly width: number;
  readonly length: number;
}

/** A tensor of all of a storage, or of what the choices say. */
function tensor(draw: Draw, { key, type, length }: Storage): string {
  const axes = draw.chance(0.02) ? draw.repeats(4096) : 1;
  const named = draw.chance(0.02) ? draw.pick(TYPES)[0] : type;
  const id = `(${pickledText(draw, "storage")}ctorch\n${named}\n${pickledText(draw, key)}U\x03cpu` +
    `${whole(draw.lie(length))}tQ`;
  const ones = "K\x01".repeat(axes - 1);
  return `ctorch._utils\n_rebuild_tensor_v2\n((${id.slice(1)}${whole(draw.lie(0))}(` +
    `${ones}${whole(draw.lie(length))}t(${ones}${whole(draw.lie(1, 10))}t\x89NtR`;
}

function stateDictionary(draw: Draw, storages: readonly Storage[]): string {
  const items = storages.map((storage, at) => {
    const name = draw.chance(0.02) ? "n".repeat(draw.repeats()) : `layer.${at}.weight`;
    return `${pickledText(draw, name)}${tensor(draw, storage)}`;
  });
  const state = `}(${items.join("")}u`;
  if (draw.chance(0.1) && storages.length > 0) {
    return sharedDictionaries(draw, tensor(draw, storages[0]));
  }
  if (draw.chance(0.1)) { // A long key before many names.
    const prefix = "p".repeat(draw.repeats());
    return `}(${pickledText(draw, prefix)}${state}u`;
  }
  return state;
}

function make(draw: Draw): Uint8Array<ArrayBuffer> {
  const storages = Array.from({ length: draw.repeats(2048) }, (_, at): Storage => {
    const [type, width] = draw.pick(TYPES);
    const key = draw.chance(0.01) ? "k".repeat(draw.repeats()) : `${at}`;
    return { key, type, width, length: draw.pick([0, 1, 4, 30]) };
  });
  const pickle = `\x80\x02${stateDictionary(draw, storages)}.`;
  if (draw.chance(0.6)) {
    const entries = storages.map(({ key, width, length }): ZipEntry =>
      draw.chance(0.01) ? [`a/data/${key}`, 2 ** 24] : [`a/data/${key}`, draw.bytes(width * length)]
    );
    return zip(draw, [["a/data.pkl", latin(pickle)], ...entries]);
  }
  const keys = storages.map(({ key }) => pickledText(draw, key)).join("");
  return joined([
    latin("\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."),
    latin(`\x80\x02M\xe9\x03.\x80\x02}U\x0dlittle_endian\x88s.${pickle}`),
    latin(`\x80\x02](${keys}e.`),
    ...storages.flatMap(({ width, length }) => [
      little(draw.lie(length), 8),
      draw.bytes(width * length),
    ]),
  ]);
}

const target: FuzzTarget = {
  name: "pytorch",
  sample: () => make(new Draw("pytorch sample", 1)),
  make,
  read: (file, path) => decodePyTorch(file, path),
};
export default target;
