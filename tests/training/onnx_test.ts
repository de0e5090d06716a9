/** Exported models, run by ONNX Runtime. */
import assert from "node:assert/strict";
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
import { openDevice } from "../../core/device.ts";
import { execute } from "../../core/execute.ts";
import { uniform, zeros } from "../../core/functions/creation.ts";
import { add } from "../../core/functions/elementwise.ts";
import { reshape } from "../../core/functions/movement.ts";
import { randomKey } from "../../core/random.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Autoencoder } from "../../models/autoencoder.ts";
import { FirstStage } from "../../models/first_stage.ts";
import { VQGAN } from "../../models/vqgan/vqgan.ts";
import { VQVAE } from "../../models/vqvae.ts";
import type { Quantizer } from "../../quantizers/quantizer.ts";
import { createQuantizer } from "../../quantizers/registry.ts";
import { writeOnnx } from "../../training/onnx/export_onnx.ts";
import { writeGraph } from "../../training/onnx/write_graph.ts";
import type { OpenedRun } from "../../training/open_run.ts";
import { VARIANTS } from "../quantizers/variants.ts";
import { assertClose } from "../tolerances.ts";
import { withFolder } from "./tiny.ts";

const device = await openDevice("reference");
Deno.test.afterAll(() => device.close());

const channels = 3, key = randomKey(3, "onnx");

/** Takes up a model that was not trained; its features are enlarged, so that different places become different codes. */
async function open(network: Autoencoder): Promise<Pick<OpenedRun, "model" | "identity">> {
  const state = [...await network.stateDictionary()].map(([name, { shape, values }]) => {
    const factor = /^encoder\..*weight$/.test(name) ? 4 : 1;
    return [name, { shape, values: values.map((value) => factor * value) }] as const;
  });
  network.loadStateDictionary(new Map(state));
  return { model: new FirstStage(network, key), identity: "0123" };
}

const small = (quantizer: Quantizer) =>
  open(new VQVAE(device, quantizer, { channels, hidden: 8, residualHidden: 4, key }));

/** Runs a file and gives what comes out, by name. */
async function runOnnx(path: string, input: string, value: OnnxTensor) {
  const session = await InferenceSession.create(path);
  try {
    return await session.run({ [input]: value });
  } finally {
    await session.release();
  }
}

const shapeOf = ({ shape }: Tensor) => [...shape];

async function check(run: Pick<OpenedRun, "model" | "identity">, out: string): Promise<void> {
  using _scope = device.scope();
  const { model } = run;
  const images = uniform(device, [5, 8, 8, 3], randomKey(1, "images"), -4, 4);
  const { features, indices, codes } = model.encode(images);
  const rebuilt = model.decode(indices);
  await writeOnnx(run, device, [8, 8], out);
  const values = new OnnxTensor("float32", await images.floats(), images.shape);
  const encoded = await runOnnx(`${out}/encoder.onnx`, "images", values);
  const close = async (given: OnnxTensor, wanted: Tensor, name: string) => {
    assert.deepEqual([...given.dims], shapeOf(wanted), name);
    assertClose(given.data as Float32Array, await wanted.floats(), 1e-5, name);
  };
  await close(encoded.features, features, "features");
  assert.deepEqual([...encoded.indices.dims], shapeOf(indices));
  const codesOfImages = await indices.integers();
  assert.ok(new Set(codesOfImages).size > 1, "several codes");
  assert.deepEqual(encoded.indices.data, codesOfImages);
  const looked = await runOnnx(`${out}/lookup.onnx`, "indices", encoded.indices);
  await close(looked.codes, codes, "codes");
  const decoded = await runOnnx(`${out}/decoder.onnx`, "codes", looked.codes);
  await close(decoded.images, rebuilt, "images");
}

for (const { name, make } of VARIANTS) {
  Deno.test(`ONNX Runtime agrees with this library on the small VQ-VAE with ${name}`, () =>
    withFolder(async (out) => {
      using _scope = device.scope();
      await check(await small(make(device)), out);
    }));
}

for (const norm of ["group", "spatial"] as const) {
  Deno.test(`ONNX Runtime agrees with this library on a VQGAN with ${norm} norms`, () =>
    withFolder(async (out) => {
      using _scope = device.scope();
      const quantizer = createQuantizer(
        device,
        { type: "vanilla", codebookSize: 16, codebookDim: 4, distance: "cos" },
        key,
      );
      const network = new VQGAN(device, quantizer, {
        ...{ channels, ch: 4, chMult: [1, 2], numResBlocks: 1, resolution: 8 },
        ...{ attnResolutions: [4], groups: 2, norm, key },
      });
      await check({ model: new FirstStage(network, key), identity: "0123" }, out);
    }));
}

const vanilla = () =>
  small(createQuantizer(device, { type: "vanilla", codebookSize: 4, codebookDim: 2 }, key));

Deno.test("an index out of range gives zeros", () =>
  withFolder(async (out) => {
    using _scope = device.scope();
    await writeOnnx(await vanilla(), device, [8, 8], out);
    const none = new OnnxTensor("int32", new Int32Array(4).fill(-1), [1, 2, 2]);
    const { codes } = await runOnnx(`${out}/lookup.onnx`, "indices", none);
    assert.deepEqual(codes.data, new Float32Array(8));
  }));

Deno.test("images of an unsupported size are rejected", () =>
  withFolder(async (out) => {
    using _scope = device.scope();
    await assert.rejects(writeOnnx(await vanilla(), device, [9, 8], out), /sides divisible by 4/);
  }));

Deno.test("models that ONNX cannot express are rejected by name", () => {
  using _scope = device.scope();
  const trial = (compute: (x: Tensor) => Tensor) =>
    writeGraph(device, {
      ...{ name: "trial", names: { input: "x", outputs: ["y"] } },
      inputOf: (batch) => zeros(device, [batch, 4]),
      compute: (x) => [compute(x)],
    });
  const median = (x: Tensor) =>
    execute(device, "kthValue", [reshape(x, [1, x.size, 1])], { rank: 0 })[0];
  assert.throws(() => trial(median), /operations that ONNX has, got kthValue$/);
  assert.throws(
    () => trial((x) => add(x, uniform(device, x.shape, key))),
    /got a constant that depends on the batch$/,
  );
});
