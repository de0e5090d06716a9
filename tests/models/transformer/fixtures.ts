/** Transformers against PyTorch's. */
import { fileURLToPath } from "node:url";
import { backward } from "../../../core/execute.ts";
import { reshape } from "../../../core/functions/movement.ts";
import type { HostTensor } from "../../../core/host_tensor.ts";
import type { Device, Tensor } from "../../../core/tensor.ts";
import { readSafetensors } from "../../../files/safetensors.ts";
import { crossEntropy } from "../../../nn/losses.ts";
import type { Module } from "../../../nn/module.ts";
import { assertClose } from "../../tolerances.ts";

/** Two blocks in float32 against PyTorch's in float64. The requirement. */
const AGAINST_PYTORCH = 1e-4;
/** A bias of keys that are not normalised changes nothing: its gradient is a sum of terms that cancel. */
const ZERO = { absolute: 1e-6 };

/** What tests/fixtures/make_transformer.py left of a model. */
export interface Fixture<Settings> {
  /** How the model is made. */
  readonly settings: Settings;
  /** Its weights, inputs, logits, loss and gradients. */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** Reads a fixture of a name. */
export async function readFixture<Settings>(name: string): Promise<Fixture<Settings>> {
  const path = fileURLToPath(
    new URL(`../../fixtures/transformer/${name}.safetensors`, import.meta.url),
  );
  const { tensors, metadata } = await readSafetensors(path);
  return { settings: JSON.parse(metadata.get("settings")!), tensors };
}

/** Gives a module the fixture's weights, and checks its logits and the gradients by every weight. */
export async function compareWithPyTorch(
  device: Device,
  { tensors }: Fixture<unknown>,
  module: Module,
  logitsOf: (input: (name: string) => Tensor) => Tensor,
): Promise<void> {
  const input = (name: string) => {
    const { shape, values } = tensors.get(`input.${name}`)!;
    return device.tensor(values, shape);
  };
  const named = [...module.namedParameters()];
  module.loadStateDictionary(new Map(named.map(([name]) => [name, tensors.get(name)!])));
  const logits = logitsOf(input), targets = input("targets");
  const expected = (name: string) => tensors.get(name)!.values;
  assertClose(await logits.floats(), expected("expected.logits"), AGAINST_PYTORCH, "logits");
  const rows = reshape(logits, [targets.size, logits.size / targets.size]);
  const loss = crossEntropy(rows, reshape(targets, [targets.size]), { smoothing: 0.1 });
  assertClose(await loss.floats(), expected("expected.loss"), AGAINST_PYTORCH, "loss");
  const gradients = backward(loss, named.map(([, tensor]) => tensor));
  for (const [index, [name]] of named.entries()) {
    const wanted = expected(`gradient.${name}`);
    const tolerance = wanted.every((value) => Math.abs(value) < 1e-12) ? ZERO : AGAINST_PYTORCH;
    assertClose(await gradients[index].floats(), wanted, tolerance, `gradient of ${name}`);
  }
}
