/** Images made smaller and larger, against PyTorch. */
import { fileURLToPath } from "node:url";
import { readSafetensors } from "../../files/safetensors.ts";
import { averageTo, bicubicTo } from "../../nn/resampling.ts";
import { testOnEach } from "../each_device.ts";
import { openTestDevices } from "../helpers.ts";
import { assertClose, EQUATIONS } from "../tolerances.ts";

const devices = await openTestDevices();
const { tensors, metadata } = await readSafetensors(
  fileURLToPath(new URL("../fixtures/next-scale/resampling.safetensors", import.meta.url)),
);
const RESIZE = { average: averageTo, bicubic: bicubicTo };
const cases: { name: keyof typeof RESIZE; height: number; width: number }[] = JSON.parse(
  metadata.get("cases")!,
);

testOnEach(devices, "downsampling and upsampling agree with PyTorch", async (device) => {
  for (const [at, { name, height, width }] of cases.entries()) {
    const { shape, values } = tensors.get(`${at}.images`)!;
    const resized = RESIZE[name](device.tensor(values, shape), height, width);
    const expected = tensors.get(`${at}.resized`)!.values;
    assertClose(await resized.floats(), expected, EQUATIONS, `${name}, ${shape}`);
  }
});
