/** What every test file shares: the devices under test, and the libraries of the device cpu. */
import type { DeviceName } from "../core/backend.ts";
import { type Blas, type Dnn, findBlas, findDnn, openDevice } from "../core/device.ts";
import type { Device } from "../core/tensor.ts";
import { findAdapter } from "../core/webgpu/adapter.ts";

const EVERY_DEVICE: readonly DeviceName[] = ["reference", "cpu", "webgpu"];

/** The devices to test: all, or those that CODEBOOK_TEST_DEVICES names by hand. The reference is always there. */
function chosenDevices(inCi: boolean): readonly DeviceName[] {
  const chosen = Deno.env.get("CODEBOOK_TEST_DEVICES");
  if (chosen === undefined) return EVERY_DEVICE;
  if (inCi) {
    throw new Error(
      `Cannot choose test devices: CODEBOOK_TEST_DEVICES must not be set together with CI, got ${chosen}`,
    );
  }
  const names = chosen.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !EVERY_DEVICE.some((device) => device === name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot choose test devices: each must be one of ${EVERY_DEVICE.join(", ")}, got ${unknown}`,
    );
  }
  return EVERY_DEVICE.filter((device) => device === "reference" || names.includes(device));
}

/** On a software adapter, the smallest tiling: its shaders compile in half the time. `core/webgpu_test.ts` tests the others. */
async function quickTiling(): Promise<{ readonly tiling?: string }> {
  const adapter = await findAdapter();
  return adapter?.isSoftware ? { tiling: "4x16" } : {};
}

/** Opens the devices that a test file checks, the reference first, prints what they are, and closes them after the
 * file's last test. Call it once, at the top of the file.
 *
 * A device that does not open is named in the output; where the environment variable CI is set, it fails the file.
 * The device cpu computes with its own kernels, whatever libraries the machine has; see `findTestBlas` and `findTestDnn`. By hand,
 * `CODEBOOK_TEST_DEVICES=reference,cpu` tests only those.
 * @throws {Error} CI is set and a device does not open
 */
export async function openTestDevices(): Promise<readonly [Device, ...Device[]]> {
  const inCi = Deno.env.get("CI") !== undefined;
  const reference = await openDevice("reference");
  const opened: [Device, ...Device[]] = [reference];
  for (const name of chosenDevices(inCi)) {
    if (name === "reference") continue;
    try {
      const options = name === "cpu" ? { blas: "off", dnn: "off" } : await quickTiling();
      opened.push(await openDevice(name, options));
    } catch (cause) {
      if (inCi) {
        throw new Error(`Cannot test: every device must open where CI is set, got no ${name}`, {
          cause,
        });
      }
      console.log(`MISSING device ${name}, its tests do not run: ${cause}`);
    }
  }
  console.log(`devices under test: ${opened.map(({ description }) => description).join("; ")}`);
  Deno.test.afterAll(() => {
    for (const device of opened) device.close();
  });
  return opened;
}

/** The BLAS that tests of the device cpu with one take, after saying which that is.
 *
 * Where there is none, the output says so; where the environment variable CI is set, that fails the file.
 * @throws {Error} CI is set and there is no BLAS
 */
export function findTestBlas(): Promise<Blas | undefined> {
  return findLibrary("BLAS", findBlas);
}

/** The oneDNN that tests of the device cpu with one take, likewise.
 * @throws {Error} CI is set and there is no oneDNN
 */
export function findTestDnn(): Promise<Dnn | undefined> {
  return findLibrary("oneDNN", findDnn);
}

async function findLibrary<T extends Blas | Dnn>(
  name: string,
  find: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const library = await find();
  if (library !== undefined) {
    console.log(`${name} under test: ${library.description}`);
  } else if (Deno.env.has("CI")) {
    throw new Error(`Cannot test: a ${name} must be there where CI is set, got none`);
  } else {
    console.log(`MISSING ${name}, its tests do not run: \`deno task doctor\` says what to install`);
  }
  return library;
}
