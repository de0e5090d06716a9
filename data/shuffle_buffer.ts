/** Shuffles a sequence that is too long to hold in memory. */
import { philox, type RandomKey } from "../core/random.ts";

/** Yields items in an order that the key determines. The buffer holds a limited number of items. Each step draws one of
 * them uniformly, and the next item takes its place. A buffer as long as the sequence shuffles it uniformly; a buffer
 * of one item keeps the order.
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
