import assert from "node:assert/strict";
import fc from "fast-check";
import { backward, parameter } from "../../core/execute.ts";
import { full } from "../../core/functions/creation.ts";
import { transportCost } from "../../quantizers/sinkhorn.ts";
import { draw, testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, CANCELLING, EQUATIONS } from "../tolerances.ts";
import { rowsOf } from "./plain.ts";
import { dot, leaf, plainTransport, slopes, total } from "./slopes.ts";

const devices = await openTestDevices();
const [reference] = devices;

/** The least sum over all assignments of rows to columns. */
function assignment(costs: readonly (readonly number[])[]): number {
  const [first, ...rest] = costs;
  if (first === undefined) return 0;
  return Math.min(
    ...first.map((cost, k) =>
      cost + assignment(rest.map((row) => row.filter((_, other) => other !== k)))
    ),
  );
}

testOnEach(devices, "the transport agrees with float64, converged or not", async (device) => {
  const [N, K] = [7, 4];
  const costs = draw([N, K], "costs", 0, 3);
  const a = softened(draw([N], "rows")), b = softened(draw([K], "columns"));
  for (const iterations of [1, 3, 60]) {
    const got = transportCost(device.tensor(costs, [N, K]), {
      rowShares: device.tensor(a, [N]),
      columnShares: device.tensor(b, [K]),
      epsilon: full(device, [], 0.3),
      iterations,
    });
    const expected = plainTransport(rowsOf(costs, K), a, b, 0.3, iterations);
    assertClose(await got.floats(), [expected], EQUATIONS, `${iterations} passes`);
  }
});

testOnEach(
  devices,
  "the gradient is that of the minimum, for costs and shares",
  async (device) => {
    const [N, K, epsilon, iterations] = [5, 4, 0.5, 200];
    const values = draw([N, K], "costs", 0, 3);
    const a = softened(draw([N], "rows")), b = softened(draw([K], "columns"));
    const costs = leaf(device, values, [N, K]);
    const columnShares = leaf(device, Float32Array.from(b), [K]);
    const cost = transportCost(costs, {
      rowShares: device.tensor(a, [N]),
      columnShares,
      epsilon: full(device, [], epsilon),
      iterations,
    });
    const [byCosts, byShares] = backward(cost, [costs, columnShares]);
    const byCost = slopes((c) => plainTransport(rowsOf(c, K), a, b, epsilon, iterations), values);
    assertClose(await byCosts.floats(), byCost, CANCELLING, "by the costs");
    assert.ok(Math.abs(total([...await byCosts.floats()]) - 1) < 1e-5, "a plan adds up to 1");
    // Shares add up to 1, so that a gradient by them is defined but for a constant.
    const byShare = slopes((c) => {
      const shares = c.map((x) => x / total([...c]));
      return plainTransport(rowsOf(values, K), a, shares, epsilon, iterations);
    }, b);
    const got = [...await byShares.floats()], average = dot(got, b);
    assertClose(got.map((x) => x - average), byShare, CANCELLING, "by the shares");
  },
);

Deno.test("with a small ε the cost equals that of exact transport, found by trying all assignments", async () => {
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 6 }),
    fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 36, maxLength: 36 }),
    async (n, drawn) => {
      using _scope = reference.scope();
      const costs = drawn.slice(0, n * n);
      const epsilon = 2;
      const cost = await transportCost(reference.tensor(costs, [n, n]), {
        rowShares: full(reference, [n], 1 / n),
        columnShares: full(reference, [n], 1 / n),
        epsilon: full(reference, [], epsilon),
        iterations: 250,
      }).item();
      const exact = assignment(rowsOf(costs, n)) / n;
      // W − exact lies between 0 and ε·KL(assignment ‖ a⊗b) = ε·ln n.
      assert.ok(
        cost > exact - 0.05 && cost < exact + epsilon * Math.log(n) + 0.05,
        `${cost} ${exact}`,
      );
    },
  );
  await fc.assert(property, { seed: 7, numRuns: 15 });
});

testOnEach(devices, "a column with twice the share equals two columns", async (device) => {
  const costs = draw([4, 3], "costs", 0, 3), rows = rowsOf(costs, 3);
  const options = { epsilon: full(device, [], 0.02), iterations: 400 };
  const quarter = full(device, [4], 0.25);
  const cost = await transportCost(device.tensor(costs, [4, 3]), {
    ...options,
    rowShares: quarter,
    columnShares: device.tensor([0.5, 0.25, 0.25], [3]),
  }).item();
  const exact = assignment(rows.map(([first, ...rest]) => [first, first, ...rest])) / 4;
  assert.ok(cost > exact - 1e-3 && cost < exact + 0.02 * Math.log(4) + 1e-3, `${cost} ${exact}`);
});

testOnEach(devices, "a row without mass has no effect", async (device) => {
  const costs = parameter(device.tensor([1, 3, 2, 1, 1e6, -1e6], [3, 2]));
  const half = full(device, [2], 0.5);
  const rowShares = device.tensor([0.5, 0.5, 0], [3]);
  const epsilon = full(device, [], 0.5);
  const options = { rowShares, columnShares: half, epsilon, iterations: 50 };
  const cost = transportCost(costs, options);
  const two = transportCost(device.tensor([1, 3, 2, 1], [2, 2]), { ...options, rowShares: half });
  assertClose(await cost.floats(), await two.floats(), EQUATIONS, "cost");
  const [gradient] = backward(cost, [costs]);
  assert.deepEqual([...await gradient.floats()].slice(4), [0, 0]);
});

Deno.test("shares that do not match the costs are rejected", () => {
  using _scope = reference.scope();
  const half = full(reference, [2], 0.5);
  const options = { rowShares: half, columnShares: half, epsilon: full(reference, [], 1) };
  assert.throws(() => transportCost(full(reference, [2, 3], 1), { ...options, iterations: 1 }), {
    name: "TypeError",
    message: "Cannot compute a transport: the costs must be [rows, columns], [2, 2], got [2, 3]",
  });
});

/** Positive numbers that add up to 1, as float32 has them. */
function softened(x: Float32Array): Float32Array<ArrayBuffer> {
  const whole = total(Array.from(x, Math.exp));
  return Float32Array.from(x, (value) => Math.exp(value) / whole);
}
