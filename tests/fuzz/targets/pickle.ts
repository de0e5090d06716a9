/** Pickles: programs of opcodes that build, remember, repeat and nest. */
import { PickledDictionary, type PickleOwner, readPickle } from "../../../files/pickle.ts";
import { latin, little } from "../build.ts";
import type { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

const word = (value: number) => String.fromCharCode(...little(value, 4));
const byte = (value: number) => String.fromCharCode(value & 255);

/** A text, of a length that may lie. */
export function pickledText(draw: Draw, content: string): string {
  return draw.chance(0.5) && content.length < 256
    ? `U${byte(draw.lie(content.length, 255))}${content}`
    : `X${word(draw.lie(content.length))}${content}`;
}

/** Dictionaries in dictionaries, each of which holds the one before under several keys. */
export function sharedDictionaries(draw: Draw, leaf: string): string {
  const width = draw.repeats(64), depth = 1 + draw.below(15);
  let program = `${leaf}r${word(0)}0`.replace(/0$/, "");
  for (let level = 1; level <= depth; level++) {
    const items = Array.from({ length: width }, (_, key) => `K${byte(key)}j${word(level - 1)}`);
    program += `}r${word(level)}(${items.join("")}u`;
  }
  return program;
}

/** A program of opcodes that mostly find what they need. */
function program(draw: Draw): string {
  let opcodes = "", remembered = 0;
  const length = draw.repeats();
  const value = (): string =>
    draw.pick([
      () => "N",
      () => "}",
      () => "]",
      () => ")",
      () => `K${byte(draw.below(256))}`,
      () => `J${word(draw.lie(1))}`,
      () => `G${"\0".repeat(8)}`,
      () => `\x8a${byte(draw.lie(3, 255))}\x01\x02\x03`,
      () => pickledText(draw, "a".repeat(draw.chance(0.05) ? draw.repeats() : 3)),
      () => remembered > 0 ? `j${word(draw.lie(draw.below(remembered)))}` : "N",
      () => "ccollections\nOrderedDict\n)R",
    ])();
  const one = draw.chance(0.3) ? value() : undefined;
  for (let at = 0; at < length; at++) {
    const next = one ?? value();
    opcodes += draw.pick([
      () => next,
      () => next,
      () => `${next}r${word(draw.lie(remembered++))}`,
      () => `](${next}${next}e`,
      () => `(${next.repeat(draw.below(4))}t`,
      () => `}(K\x01${next}K\x02${next}u`,
      () => `]${next}a`,
      () => `${next}\x85`,
    ])();
  }
  return opcodes;
}

const owner = (path: string): PickleOwner => ({
  fail: (requirement, actual) => {
    throw new RangeError(`Cannot read ${path}: ${requirement}, got ${actual}`);
  },
  reduce: () => new PickledDictionary(),
  persistent: () => null,
});

const target: FuzzTarget = {
  name: "pickle",
  sample: () => latin("\x80\x02}U\x01aK\x05s."),
  make(draw) {
    const body = draw.chance(0.1) ? sharedDictionaries(draw, "N") : program(draw);
    return latin(`\x80\x02${body}${draw.chance(0.9) ? "." : ""}`);
  },
  read: (file, path) => readPickle(file, 0, owner(path)),
};
export default target;
