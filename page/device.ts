/** Chooses the device. */
import { type Device, DEVICE_CHOICES, type DeviceChoice, openDevice } from "@codebook/codebook/web";

/** A device with its description for the user. */
export interface Chosen {
  readonly device: Device;
  readonly words: string;
}

/** Opens the device named in the address. Otherwise, or if that fails, opens WebGPU on a real GPU, else the CPU, else plain
 * JavaScript. */
export async function chooseDevice(): Promise<Chosen> {
  const asked = askedDevice();
  for (const choice of [asked, "auto"] as const) {
    try {
      const device = await openDevice(choice);
      return { device, words: wordsOf(asked, device) };
    } catch (error) {
      console.warn(error);
    }
  }
  const device = await openDevice("reference");
  return { device, words: wordsOf(asked, device) };
}

/** The device named in the address, such as `?device=cpu`. */
export function askedDevice(): DeviceChoice {
  const asked = new URLSearchParams(location.search).get("device");
  return DEVICE_CHOICES.find((choice) => choice === asked) ?? "auto";
}

const WORDS: Readonly<Record<Device["name"], string>> = {
  webgpu: "with WebGPU",
  cpu: "on the CPU",
  reference: "in plain JavaScript, which is slow",
};

/** Says where the page computes, and why it is not the expected device, if so. */
function wordsOf(asked: DeviceChoice, { name, description }: Device): string {
  const where = `Computing ${WORDS[name]}${detailsOf(name, description)}.`;
  if (name === asked || name === "webgpu") return where;
  if (asked !== "auto") return `Computing ${WORDS[asked]} is not possible here. ${where}`;
  const { gpu } = navigator as { readonly gpu?: unknown };
  return `${gpu === undefined ? "WebGPU is not available." : "WebGPU found no GPU."} ${where}`;
}

/** The GPU, or the number of threads. */
function detailsOf(name: Device["name"], description: string): string {
  const words = description.replace(`${name}: `, "");
  return { webgpu: ` on ${words}`, cpu: `, with ${words}`, reference: "" }[name];
}

/** Runs tasks on a device one after another. Their scopes would interfere if they overlapped. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs a task after all earlier ones have finished. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }
}
