/** The device that the page computes on. */
import { type Device, DEVICE_CHOICES, type DeviceChoice, openDevice } from "@codebook/codebook/web";

/** A device, and what the page says of it. */
export interface Chosen {
  readonly device: Device;
  readonly words: string;
}

/** Opens the device that the address names, or the best one there is: WebGPU on a real GPU, else the CPU, else plain
 * JavaScript. */
export async function chooseDevice(): Promise<Chosen> {
  const asked = askedDevice();
  const device = await openDevice(asked).catch(async (error: Error) => {
    if (asked === "reference") throw error;
    console.warn(error.message);
    return await openDevice("reference");
  });
  return { device, words: `${reason(asked, device)} ${WORDS[device.name](device)}` };
}

/** What the address asks for: `?device=cpu`. */
export function askedDevice(): DeviceChoice {
  const asked = new URLSearchParams(location.search).get("device");
  return DEVICE_CHOICES.find((choice) => choice === asked) ?? "auto";
}

const WORDS: Readonly<Record<Device["name"], (device: Device) => string>> = {
  webgpu: ({ description }) => `Computing with WebGPU on ${description.replace("webgpu: ", "")}.`,
  cpu: () => "Computing on the CPU, with WebAssembly on one thread.",
  reference: () => "Computing in plain JavaScript, which is slow.",
};

/** Why it is not what one would expect. */
function reason(asked: DeviceChoice, { name }: Device): string {
  if (name === "webgpu" || asked === name) return "";
  if (name === "reference" && asked !== "auto") return `This browser cannot open ${asked}.`;
  const { gpu } = navigator as { readonly gpu?: unknown };
  return gpu === undefined
    ? "This browser has no WebGPU here."
    : "This browser’s WebGPU has no GPU behind it.";
}

/** Lets works on one device take turns: each has scopes of its own on it, which must not be open at the same time. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Does a work once all earlier ones are done. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
