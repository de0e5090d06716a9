/** Tensors, views, scopes and the pool. */
import assert from "node:assert/strict";
import { add, exp, mul } from "../../core/functions/elementwise.ts";
import { reshape } from "../../core/functions/movement.ts";
import { openReferenceBackend } from "../../core/reference/backend.ts";
import type { Backend, Buffer } from "../../core/backend.ts";
import { Device, type Tensor } from "../../core/tensor.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";

const devices = await openTestDevices();

/** A size class of its own: 1024 float32. */
const KILO = 4096;
const kilo = (device: Device): Tensor => device.empty([1024]);

testOnEach(devices, "a scope disposes of the tensors made inside it", (device) => {
  const before = device.liveBytes;
  let inside: Tensor;
  {
    using _scope = device.scope();
    inside = kilo(device);
    exp(exp(inside));
    assert.equal(device.liveBytes, before + 3 * KILO);
  }
  assert.equal(device.liveBytes, before);
  assert.ok(inside.isDisposed);
});

testOnEach(devices, "scopes nest, and each disposes of its own tensors", (device) => {
  const before = device.liveBytes;
  {
    using _outer = device.scope();
    const early = kilo(device);
    {
      using _inner = device.scope();
      kilo(device);
    }
    const late = kilo(device);
    assert.equal(device.liveBytes, before + 2 * KILO);
    assert.ok(!early.isDisposed && !late.isDisposed);
  }
  assert.equal(device.liveBytes, before);
});

testOnEach(
  devices,
  "a kept tensor moves to the enclosing scope, one level at a time",
  async (device) => {
    const before = device.liveBytes;
    let kept: Tensor;
    {
      using outer = device.scope();
      {
        using inner = device.scope();
        kept = inner.keep(device.tensor([1, 2], [2]));
        assert.equal(outer.keep(kept), kept);
      }
      assert.deepEqual([...await kept.floats()], [1, 2]);
    }
    assert.ok(!kept.isDisposed, "the outer scope kept it too");
    kept.dispose();
    assert.equal(device.liveBytes, before);
  },
);

testOnEach(devices, "a tensor kept once is disposed of with the enclosing scope", (device) => {
  using outer = device.scope();
  let kept: Tensor;
  {
    using middle = device.scope();
    {
      using inner = device.scope();
      kept = inner.keep(kilo(device));
      inner.keep(kept);
    }
    assert.ok(!kept.isDisposed);
    assert.ok(middle !== outer);
  }
  assert.ok(kept.isDisposed);
});

testOnEach(
  devices,
  "a tensor kept after the enclosing scope has closed moves further out",
  (device) => {
    const before = device.liveBytes;
    {
      using _outer = device.scope();
      const middle = device.scope();
      const inner = device.scope();
      const kept = inner.keep(kilo(device));
      assert.equal(device.liveBytes, before + KILO);
      middle[Symbol.dispose]();
      assert.ok(kept.isDisposed, "the middle scope owned it");
      const later = inner.keep(kilo(device));
      inner[Symbol.dispose]();
      assert.ok(!later.isDisposed);
    }
    assert.equal(device.liveBytes, before, "the outer scope owned the second one");
  },
);

testOnEach(devices, "a scope can keep a tensor made in an inner scope", (device) => {
  using _outside = device.scope();
  let kept: Tensor, passed: Tensor;
  {
    using outer = device.scope();
    {
      using _middle = device.scope();
      using _inner = device.scope();
      kept = outer.keep(kilo(device));
      passed = kilo(device);
    }
    assert.ok(!kept.isDisposed && passed.isDisposed);
  }
  assert.ok(!kept.isDisposed, "the outer scope kept it");
});

testOnEach(devices, "a tensor from outside a scope is not affected by it", (device) => {
  const before = device.liveBytes;
  const free = kilo(device);
  {
    using _outer = device.scope();
    const owned = kilo(device);
    {
      using inner = device.scope();
      assert.equal(inner.keep(owned), owned);
      assert.equal(inner.keep(free), free);
    }
    assert.ok(!owned.isDisposed && !free.isDisposed);
    assert.equal(device.liveBytes, before + 2 * KILO);
  }
  assert.equal(
    device.liveBytes,
    before + KILO,
    "the outer scope still owns its tensor, nobody the other",
  );
  free.dispose();
});

testOnEach(devices, "a scope rejects tensors that it cannot keep", (device) => {
  using scope = device.scope();
  const gone = kilo(device);
  gone.dispose();
  assert.throws(() => scope.keep(gone), {
    name: "Error",
    message: "Cannot keep the tensor [1024]: it must be alive, got one that was disposed",
  });
  const { device: other } = smallDevice(KILO);
  assert.throws(() => scope.keep(other.empty([1])), {
    name: "TypeError",
    message:
      `Cannot keep a tensor: it must be on the scope's device ${device.name}, got one on ${other.name}`,
  });
});

testOnEach(devices, "a scope stays open across await", async (device) => {
  const before = device.liveBytes;
  {
    using _scope = device.scope();
    const x = device.tensor([1, 2, 3], [3]);
    await Promise.resolve();
    const y = add(x, 1);
    assert.deepEqual([...await y.floats()], [2, 3, 4]);
    kilo(device);
    await device.synchronize();
    assert.ok(!x.isDisposed && !y.isDisposed);
  }
  assert.equal(device.liveBytes, before);
});

testOnEach(devices, "a scope that is left by an error still disposes of its tensors", (device) => {
  const before = device.liveBytes;
  assert.throws(() => {
    using _scope = device.scope();
    kilo(device);
    throw new Error("stop");
  }, /stop/);
  assert.equal(device.liveBytes, before);
  {
    using _scope = device.scope();
    kilo(device);
  }
  assert.equal(device.liveBytes, before, "the next scope works");
});

testOnEach(devices, "disposing by hand frees the memory once", (device) => {
  const before = device.liveBytes;
  {
    using _scope = device.scope();
    const x = kilo(device);
    x.dispose();
    x.dispose();
    assert.equal(device.liveBytes, before);
    const y = kilo(device);
    assert.equal(device.liveBytes, before + KILO);
    assert.ok(!y.isDisposed);
  }
  assert.equal(device.liveBytes, before);
  {
    using x = kilo(device);
    assert.equal(x.size, 1024);
  }
  assert.equal(device.liveBytes, before, "a tensor is disposable by using");
});

testOnEach(devices, "an outer tensor can be disposed of by hand in an inner scope", (device) => {
  const before = device.liveBytes;
  using _outer = device.scope();
  const x = kilo(device);
  {
    using _inner = device.scope();
    x.dispose();
    assert.equal(device.liveBytes, before);
  }
  assert.equal(device.liveBytes, before);
});

testOnEach(devices, "the pool reuses memory by size class", (device) => {
  const odd = [1017, 7]; // a size that no other test uses
  device.empty(odd).dispose();
  const pooled = device.pooledBytes, live = device.liveBytes;
  const x = device.empty(odd);
  const bytes = device.liveBytes - live;
  assert.ok(bytes >= 1017 * 7 * 4 && bytes <= 1017 * 7 * 4 * 1.25, `a class of ${bytes} bytes`);
  assert.equal(device.pooledBytes, pooled - bytes);
  x.dispose();
  assert.deepEqual([device.pooledBytes, device.liveBytes], [pooled, live]);
  device.empty([1016, 7]).dispose();
  assert.equal(device.pooledBytes, pooled, "a neighbouring size shares the class");
});

testOnEach(devices, "recycling memory does not affect reads in progress", async (device) => {
  const x = device.tensor(new Float32Array(1024).fill(1), [1024]);
  const reading = add(x, 0).floats();
  const copy = add(x, 0);
  const readingCopy = copy.floats();
  copy.dispose();
  const other = device.tensor(new Float32Array(1024).fill(2), [1024]);
  mul(other, 3);
  assert.ok((await reading).every((value) => value === 1));
  assert.ok((await readingCopy).every((value) => value === 1));
});

testOnEach(devices, "a write does not affect operations issued before it", async (device) => {
  const x = device.tensor([1, 2], [2]);
  const doubled = mul(x, 2);
  x.write(Float32Array.of(10, 20));
  const again = mul(x, 2);
  assert.deepEqual([...await doubled.floats()], [2, 4]);
  assert.deepEqual([...await again.floats()], [20, 40]);
});

testOnEach(devices, "views share memory, which is freed with the last view", async (device) => {
  const x = device.tensor([1, 2, 3, 4, 5, 6], [6]);
  const live = device.liveBytes;
  const view = x.view([2, 3]);
  const viewOfView = reshape(view, [3, 2]);
  assert.equal(device.liveBytes, live, "memory is counted once");
  x.write(Float32Array.of(6, 5, 4, 3, 2, 1));
  assert.deepEqual([...await viewOfView.floats()], [6, 5, 4, 3, 2, 1]);
  x.dispose();
  view.dispose();
  assert.equal(device.liveBytes, live);
  assert.deepEqual([...await viewOfView.floats()], [6, 5, 4, 3, 2, 1]);
  viewOfView.dispose();
  assert.ok(device.liveBytes < live);
});

testOnEach(devices, "a view must have as many elements as its tensor", (device) => {
  const x = device.tensor([1, 2, 3, 4], [4]);
  assert.throws(() => x.view([5]), {
    name: "TypeError",
    message: "Cannot view a tensor: the new shape must hold 4 elements, got [4] as [5]",
  });
  assert.throws(() => x.view([4, 0]), RangeError);
});

testOnEach(devices, "using a disposed tensor gives an error with advice", async (device) => {
  const x = device.tensor([1, 2, 3, 4], [2, 2]), y = device.tensor([1, 2, 3, 4], [2, 2]);
  x.dispose();
  const refused = {
    name: "Error",
    message:
      "Cannot use the tensor [2, 2]: it was disposed, by its scope or by hand; keep it with scope.keep",
  };
  assert.throws(() => x.buffer, refused);
  assert.throws(() => add(x, y), refused);
  assert.throws(() => add(y, x), refused);
  assert.throws(() => reshape(x, [4]), refused);
  assert.throws(() => x.write(new Float32Array(4)), refused);
  await assert.rejects(() => x.floats(), refused);
});

testOnEach(devices, "values can be read only in their own dtype", async (device) => {
  const floats = device.tensor([1.5, -2], [2]);
  const integers = device.tensor(Int32Array.of(7, -8), [2]);
  assert.deepEqual(await floats.floats(), Float32Array.of(1.5, -2));
  assert.deepEqual(await integers.integers(), Int32Array.of(7, -8));
  await assert.rejects(() => integers.floats(), {
    name: "TypeError",
    message: "Cannot read floats: the tensor must be float32, got int32",
  });
  await assert.rejects(() => floats.integers(), {
    name: "TypeError",
    message: "Cannot read integers: the tensor must be int32, got float32",
  });
  assert.equal(await device.tensor([3], [1, 1]).item(), 3);
  assert.equal(await device.tensor(Int32Array.of(4), []).item(), 4);
  await assert.rejects(() => floats.item(), {
    name: "TypeError",
    message: "Cannot read one value: the tensor must have one element, got shape [2]",
  });
});

testOnEach(devices, "a write must match in length and dtype", async (device) => {
  const x = device.tensor([1, 2, 3], [3]);
  assert.throws(() => x.write(new Float32Array(2)), {
    name: "TypeError",
    message: "Cannot write values: 3 of float32 are needed, got 2 of float32",
  });
  assert.throws(() => x.write(new Int32Array(3)), TypeError);
  assert.deepEqual([...await x.floats()], [1, 2, 3]);
});

testOnEach(devices, "shapes without elements are rejected", (device) => {
  const refused = (shape: string) => ({
    name: "RangeError",
    message:
      `Cannot make a tensor: every axis must be a positive integer (empty batches are not allowed), got shape ${shape}`,
  });
  assert.throws(() => device.tensor([], [0, 3]), refused("[0, 3]"));
  assert.throws(() => device.tensor([1], [-1]), refused("[-1]"));
  assert.throws(() => device.empty([2, 1.5]), refused("[2, 1.5]"));
  assert.throws(() => device.empty([NaN]), refused("[NaN]"));
  assert.throws(() => device.tensor([1, 2, 3], [2, 2]), {
    name: "TypeError",
    message: "Cannot make a tensor: shape [2, 2] holds 4 values, got 3",
  });
});

testOnEach(
  devices,
  "an allocation beyond the device's memory is rejected, and the device still works",
  async (device) => {
    assert.throws(() => device.empty([2 ** 40]), RangeError);
    assert.deepEqual([...await add(device.tensor([1], [1]), 1).floats()], [2]);
  },
);

/** The reference device with so many bytes of memory, and the bytes that are not freed. */
function smallDevice(limit: number): { device: Device; taken: () => number } {
  let taken = 0;
  const backend = openReferenceBackend() as unknown as Backend;
  const device = new Device({
    ...backend,
    allocate(bytes) {
      if (taken + bytes > limit) throw new RangeError(`full at ${taken} of ${limit}`);
      taken += bytes;
      return backend.allocate(bytes);
    },
    free(buffer: Buffer) {
      taken -= buffer.bytes;
      backend.free(buffer);
    },
  });
  return { device, taken: () => taken };
}

Deno.test("a full device frees its pool and tries again", () => {
  const { device, taken } = smallDevice(4 * KILO);
  const large = [device.empty([1024]), device.empty([1024])];
  for (const tensor of large) tensor.dispose();
  assert.deepEqual([device.pooledBytes, taken()], [2 * KILO, 2 * KILO]);
  using scope = device.scope();
  device.empty([3 * 1024]);
  assert.equal(device.pooledBytes, 0);
  assert.deepEqual([device.liveBytes, taken()], [3 * KILO, 3 * KILO]);
  assert.throws(() => device.empty([2 * 1024]), /full/);
  assert.equal(device.liveBytes, 3 * KILO, "what failed is not counted");
  scope[Symbol.dispose]();
  assert.deepEqual([device.liveBytes, device.pooledBytes], [0, 3 * KILO]);
});

Deno.test("closing a device frees its pool", () => {
  const { device, taken } = smallDevice(4 * KILO);
  device.empty([1024]).dispose();
  device.close();
  assert.deepEqual([device.pooledBytes, taken()], [0, 0]);
});

Deno.test("the pool wastes at most a fifth of a buffer", () => {
  const { device } = smallDevice(2 ** 40);
  for (const size of [64, 65, 80, 81, 100, 1000, 1024, 1025, 4097, 99_999]) {
    const live = device.liveBytes;
    device.empty([size]);
    const bytes = device.liveBytes - live;
    assert.ok(bytes >= size * 4 && bytes <= size * 5, `${size} elements take ${bytes} bytes`);
    assert.equal(bytes % 4, 0);
  }
});
