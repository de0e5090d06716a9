/** Opening a run: what is enough, what is refused, and what its identity depends on. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Device } from "../../core/tensor.ts";
import { readSafetensors, writeSafetensors } from "../../files/safetensors.ts";
import { openRun, type OpenRunOptions } from "../../training/open_run.ts";
import { RunFolder } from "../../training/run_folder.ts";
import { openTestDevices } from "../helpers.ts";
import { FIXTURE, makeRun } from "./made_run.ts";
import { withFolder } from "./tiny.ts";

const devices = await openTestDevices();
const [device] = devices;
const VANILLA = { type: "vanilla", codebookSize: 8, codebookDim: 4 };

Deno.test("a configuration and a checkpoint suffice to encode and decode images", async () => {
  for (const each of devices) {
    const before = each.liveBytes;
    {
      using run = await openRun(FIXTURE, each);
      const { model, config } = run;
      assert.deepEqual([model.channels, model.downsampling, model.codebookSize], [1, 4, 16]);
      assert.equal(config.quantizer!.type, "clustered-ema");
      assert.equal(run.identity, "6250c7656d75a96b", "codes that were saved name it");
      using _scope = each.scope();
      const images = each.tensor(new Float32Array(2 * 28 * 28).fill(0.5), [2, 28, 28, 1]);
      const { indices, features, codes } = model.encode(images);
      assert.deepEqual([indices.shape, features.shape, codes.shape], [
        [2, 7, 7],
        [2, 7, 7, 4],
        [2, 7, 7, 4],
      ]);
      assert.deepEqual(
        await model.decodeCodes(codes).floats(),
        await model.decode(indices).floats(),
      );
    }
    assert.equal(each.liveBytes, before);
  }
});

Deno.test("the weights alone suffice", () =>
  withFolder(async (path) => {
    await makeRun(path, VANILLA, 1);
    const folder = new RunFolder(path);
    using whole = await openRun(path, device);
    await Deno.rename(folder.checkpoint("last"), folder.checkpoint("weights"));
    using alone = await openRun(path, device);
    assert.equal(alone.identity, whole.identity);
  }));

Deno.test("the number of channels comes from the weights, and the identity is that of the chosen weights", () =>
  withFolder(async (path) => {
    await makeRun(path, VANILLA, 3, "averaged");
    const identities = new Map<string, string>();
    for (const weights of ["auto", "trained", "averaged"] as const) {
      using run = await openRun(path, device, { weights });
      assert.equal(run.model.channels, 3);
      identities.set(weights, run.identity);
    }
    assert.equal(identities.get("auto"), identities.get("averaged"));
    assert.notEqual(identities.get("auto"), identities.get("trained"));
    const elsewhere = join(path, "elsewhere.safetensors");
    await Deno.rename(new RunFolder(path).checkpoint("last"), elsewhere);
    using run = await openRun(path, device, { checkpoint: elsewhere });
    assert.equal(run.identity, identities.get("auto"));
    await assert.rejects(
      openRun(path, device),
      /^Error: Cannot read .*last\.safetensors: the file must/,
    );
    await assert.rejects(openRun(path, device, { checkpoint: "best" }), /best\.safetensors/);
  }));

Deno.test("arguments of the wrong type are rejected before anything is read", async () => {
  // deno-lint-ignore no-explicit-any -- what a caller without types may give.
  const open = (...args: any[]) =>
    openRun(...args as [string, Device, OpenRunOptions]).then(() => assert.fail());
  const cases: [readonly unknown[], string, RegExp][] = [
    [[7, device], "TypeError", /its folder must be a path, got number$/],
    [
      [FIXTURE],
      "TypeError",
      /the second argument must be a device, as openDevice gives it, got und/,
    ],
    [[FIXTURE, "cpu"], "TypeError", /must be a device, as openDevice gives it, got string$/],
    [
      [FIXTURE, device, { checkpoint: 3 }],
      "TypeError",
      /checkpoint must be last, best or a path, got/,
    ],
    [
      [FIXTURE, device, { weights: "ema" }],
      "RangeError",
      /one of auto, trained, averaged, got ema$/,
    ],
  ];
  for (const [args, name, message] of cases) await assert.rejects(open(...args), { name, message });
});

Deno.test("a folder that is not a run, or a broken run, is rejected by name and leaves no memory behind", () =>
  withFolder(async (path) => {
    const before = device.liveBytes;
    await assert.rejects(openRun(path, device), /must hold a run, got none$/);
    await makeRun(path, VANILLA, 1);
    await assert.rejects(
      openRun(path, device, { weights: "averaged" }),
      /^RangeError: Cannot load averaged weights: .*--training\.averageDecay/,
    );
    const file = new RunFolder(path).checkpoint("last");
    const { tensors, metadata } = await readSafetensors(file);
    const broken = async (name: string, message: RegExp) => {
      const state = new Map(tensors);
      if (name === "") state.delete("model.decoder.conv1.weight");
      else {
        const [, { shape, values }] = [...tensors][0];
        state.set(name, { shape, values: values.map(() => NaN) });
      }
      await writeSafetensors(file, state, metadata);
      await assert.rejects(openRun(path, device), message);
    };
    await broken("", /the entry decoder\.conv1\.weight is missing$/);
    await broken([...tensors.keys()][0], /must be finite, got NaN at element 0/);
    await broken("average.values.x", /average\.values\.x must be finite, got NaN/);
    const other = new Map([...metadata, ["identity", JSON.stringify({ seed: 6 })]]);
    await writeSafetensors(file, tensors, other);
    await assert.rejects(
      openRun(path, device),
      /seed must be what the checkpoint was made with, 6/,
    );
    assert.equal(device.liveBytes, before);
  }));
