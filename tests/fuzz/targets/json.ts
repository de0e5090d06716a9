/** JSON that is read back: what is nested, repeated, or cut short. */
import { parseJson } from "../../../files/bounded_json.ts";
import { text } from "../build.ts";
import type { Draw } from "../draw.ts";
import type { FuzzTarget } from "../target.ts";

function value(draw: Draw, depth: number): string {
  const kind = draw.below(depth > 5 ? 4 : 8);
  if (kind < 3) {
    return draw.pick(["0", "-1.5e300", "null", "true", '"text"', '"\\u0000\\""', "1e999"]);
  }
  if (kind === 3) return draw.pick(["{}", "[]", '""']);
  const count = draw.chance(0.05) ? draw.repeats() : draw.below(4);
  const inner = value(draw, depth + 1);
  if (kind < 6) return `[${Array.from({ length: count }, () => inner).join(",")}]`;
  return `{${
    Array.from({ length: count }, (_, at) => `"${draw.chance(0.9) ? at : "a"}":${inner}`)
  }}`;
}

const target: FuzzTarget = {
  name: "json",
  sample: () => text('{"step": 1, "loss": 0.5}'),
  make(draw) {
    const depth = draw.chance(0.1) ? draw.repeats() : 0;
    const one = "[".repeat(depth) + value(draw, 0).slice(0, 2 ** 16) + "]".repeat(depth);
    const many = draw.chance(0.2) ? draw.repeats(2 ** 21 / one.length) : 1;
    const whole = many === 1 ? one : `[${Array.from({ length: many }, () => one).join(",")}]`;
    return text(draw.chance(0.1) ? whole.slice(0, draw.below(whole.length)) : whole);
  },
  read(file, path) {
    try {
      return parseJson(new TextDecoder().decode(file), path);
    } catch (error) {
      // Whoever reads a file says which was no JSON.
      if (error instanceof SyntaxError) {
        throw new RangeError(`Cannot read ${path}: ${error.message}`);
      }
      throw error;
    }
  },
};
export default target;
