/** What a console and a notebook show of a tensor. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { parameter } from "../../core/execute.ts";
import { mul } from "../../core/functions/elementwise.ts";
import { openTestDevices } from "../helpers.ts";

for (const device of await openTestDevices()) {
  const { name } = device;
  const excerpt = (text: string) => name === "webgpu" ? "" : `: ${text}`;

  Deno.test(`a tensor on ${name} shows its shape, dtype, device and, if readable at once, its values`, () => {
    using _scope = device.scope();
    const x = device.tensor([1, -2.5, 1 / 3, NaN], [2, 2]);
    const text = `Tensor float32 [2, 2] on ${name}${excerpt("1, -2.5, 0.33333, NaN")}`;
    assert.equal(Deno.inspect(x), text);
    assert.equal(inspect(x), text);
    assert.equal(`${x}`, text);
    const shown = x as unknown as Record<symbol, () => Record<string, string>>;
    assert.deepEqual(shown[Symbol.for("Jupyter.display")](), { "text/plain": text });
    const many = device.tensor(Int32Array.from({ length: 100 }, (_, at) => at), [100]);
    const start = excerpt("0, 1, 2, 3, 4, 5, 6, 7, …");
    assert.equal(Deno.inspect({ many }), `{ many: Tensor int32 [100] on ${name}${start} }`);
  });

  Deno.test(`a tensor on ${name} does not show its tape, and can be shown after disposal`, () => {
    using _scope = device.scope();
    const x = parameter(device.tensor([3], []));
    const y = mul(x, x);
    const head = `Tensor float32 [] on ${name}, requires gradient`;
    assert.equal(Deno.inspect(y), `${head}${excerpt("9")}`);
    y.dispose();
    assert.equal(Deno.inspect(y), `${head}, disposed`);
  });
}
