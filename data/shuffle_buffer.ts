/** Shuffles what comes in a row and is too much to hold. */
import { philox, type RandomKey } from "../core/random.ts";

/** Gives items in an order that the key determines, holding at most so many: each time one of those held, drawn
 * uniformly, whose place the next item takes. A buffer as long as the row shuffles it uniformly; of one item, it keeps
 * the order.
 *
 * ```ts
 * import { shuffled } from "./shuffle_buffer.ts";
 * import { randomKey } from "../core/random.ts";
 * import assert from "node:assert/strict";
 * async function* row() {
 *   yield* [1, 2, 3, 4, 5];
 * }
 * const order = await Array.fromAsync(shuffled(row(), 3, randomKey(7, "order")));
 * assert.deepEqual(order.toSorted(), [1, 2, 3, 4, 5]);
 * ```
 */
export async function* shuffled<Item>(
  items: AsyncIterable<Item>,
  capacity: number,
  key: RandomKey,
): AsyncGenerator<Item> {
  const held: Item[] = [];
  const words = new Uint32Array(4);
  let drawn = 0;
  const draw = () => {
    if (drawn % 4 === 0) philox(key, drawn >>> 2, 0, words);
    return Math.floor(words[drawn++ % 4] * 2 ** -32 * held.length);
  };
  for await (const item of items) {
    if (held.length < capacity) {
      held.push(item);
    } else {
      const place = draw();
      yield held[place];
      held[place] = item;
    }
  }
  while (held.length > 0) {
    const place = draw();
    const [item, last] = [held[place], held.pop()!];
    if (place < held.length) held[place] = last;
    yield item;
  }
}
